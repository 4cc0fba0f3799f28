"""Streaming sources give what the sampler's draws say, whoever reads them and however often the reading stops."""

import copy
import itertools
import json
from types import SimpleNamespace

import pytest
import torch.utils.data
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from steelyard.errors import InputError
from steelyard.mixture import ConstantTemperature, Cooldown, MixtureSampler, MixtureStream, temperature_probabilities

SOURCES = {name: [f"{name}{i}" for i in range(size)] for name, size in (("en", 50), ("sw", 7), ("lo", 1))}
SIZES = {name: len(rows) for name, rows in SOURCES.items()}


def stream(**changes):
    settings = {"sizes": SIZES, "num_samples": 60, "batch_size": 6, "seed": 3, **changes}
    return MixtureStream(SOURCES, Cooldown(), **settings)


def test_each_source_is_read_in_its_own_order_and_again_when_it_ends():
    drawn = list(stream(num_samples=600))
    for name, rows in SOURCES.items():
        mine = [item for item in drawn if item.startswith(name)]
        assert mine == list(itertools.islice(itertools.cycle(rows), len(mine)))
    assert len(drawn) == 600
    assert len([item for item in drawn if item.startswith("lo")]) > 60


@pytest.mark.parametrize("draw", ["stratified", "independent"])
def test_it_draws_the_domains_that_the_sampler_draws(draw):
    made = stream(draw=draw)
    domains, _ = made.sampler.draws(0, 10)
    assert [item[:2] for item in made] == [made.names[d] for d in domains]


@pytest.mark.parametrize("num_samples", [60, 57])
def test_ranks_together_give_the_stream_of_one_process(num_samples):
    parts = [list(stream(num_samples=num_samples, rank=rank, world_size=2)) for rank in (0, 1)]
    joined = [item for batch in range(10) for part in parts for item in part[batch * 3 : (batch + 1) * 3]]
    assert joined == list(stream(num_samples=num_samples))


def test_workers_of_a_loader_together_give_it_too():
    loaded = [item for batch in DataLoader(stream(), batch_size=6, num_workers=2) for item in batch]
    assert loaded == list(stream())


def test_a_dataset_that_gives_every_worker_another_part_is_refused_there():
    rows = Dataset.from_dict({"text": ["a", "b", "c"]}).to_iterable_dataset(num_shards=3)
    stream = MixtureStream({"en": rows, "sw": ["x"]}, ConstantTemperature(1.0), sizes=[3, 1], num_samples=8, batch_size=4)
    assert len(list(stream)) == 8
    with pytest.raises(InputError, match="gives every worker another part: set num_workers=0"):
        list(DataLoader(stream, batch_size=None, num_workers=2))


def test_behind_workers_a_state_is_told_what_was_used():
    one = stream()
    loader = iter(DataLoader(one, batch_size=6, num_workers=2))
    used = [example for _ in range(3) for example in next(loader)]
    again = stream()
    again.load_state_dict(one.state_dict(consumed=18))
    assert used + list(again) == list(stream())
    with pytest.raises(InputError, match="consumed is a number of this process's 60 indices, but is 61"):
        one.state_dict(consumed=61)


class Loader:
    """The batches of a DataLoader over a stream, in their order: worker by worker in turn, each from a copy of the stream."""

    def __init__(self, made, workers, monkeypatch):
        self.made, self.workers, self.monkeypatch = made, workers, monkeypatch

    def batches(self):
        part = self.made.sampler.batch_size // self.made.sampler.world_size
        if not self.workers:
            iterator = iter(self.made)
            while batch := list(itertools.islice(iterator, part)):
                yield batch
            return
        copies = [copy.deepcopy(self.made) for _ in range(self.workers)]
        iterators = [iter(one) for one in copies]
        for turn in itertools.count():
            info = SimpleNamespace(id=turn % self.workers, num_workers=self.workers)
            with self.monkeypatch.context() as patch:
                patch.setattr(torch.utils.data, "get_worker_info", lambda info=info: info)
                batch = list(itertools.islice(iterators[turn % self.workers], part))
            if not batch:
                return
            yield batch


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    num_samples=st.integers(1, 70),
    worlds=st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=4),
    workers=st.lists(st.integers(0, 4), min_size=4, max_size=4),
    stops=st.lists(st.integers(1, 5), min_size=3, max_size=3),
    draw=st.sampled_from(["stratified", "independent"]),
)
def test_however_often_it_stops_with_whatever_workers_and_processes_the_stream_is_the_same(
    monkeypatch, num_samples, worlds, workers, stops, draw
):
    """Interrupted after some batches, and gone on with by another number of workers and of processes each time."""
    whole = list(stream(num_samples=num_samples, draw=draw))
    seen, state = [], None
    for world, loaded_by, stop in itertools.zip_longest(worlds, workers[: len(worlds)], [*stops[: len(worlds) - 1], 10**6]):
        found, states = [], []
        for rank in range(world):
            made = stream(num_samples=num_samples, draw=draw, rank=rank, world_size=world)
            if state is not None:
                made.load_state_dict(json.loads(json.dumps(state)))
            begun = made.position
            taken = list(itertools.islice(Loader(made, loaded_by, monkeypatch).batches(), stop))
            found.append(taken)
            states.append(made.state_dict(consumed=begun + sum(map(len, taken))))
        # A batch is the parts of all processes, one after the other.
        seen += [item for parts in itertools.zip_longest(*found, fillvalue=[]) for part in parts for item in part]
        state = states[0]
    assert seen == whole


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_real_loader_goes_on_with_the_first_batch_that_is_left(workers):
    again = stream()
    again.load_state_dict(stream().state_dict(consumed=18))
    loaded = [item for batch in DataLoader(again, batch_size=6, num_workers=workers) for item in batch]
    assert loaded == list(stream())[18:]


def test_workers_do_not_go_on_inside_a_batch():
    again = stream()
    again.load_state_dict(stream().state_dict(consumed=14))
    with pytest.raises(
        InputError, match=r"goes on inside a batch \(2 of 6 examples were used\), and a loader's workers begin with whole ones"
    ):
        list(DataLoader(again, batch_size=6, num_workers=2))
    assert list(again) == list(stream())[14:]


def test_a_state_inside_a_batch_is_not_shared_out_among_others():
    state = stream(rank=0, world_size=2).state_dict(consumed=4)
    with pytest.raises(InputError, match=r"inside a batch \(1 of its 3 indices were used\), and cannot be shared out among 3"):
        stream(rank=0, world_size=3).load_state_dict(state)
    same = stream(rank=1, world_size=2)
    same.load_state_dict(state)
    assert same.position == 4


def test_it_goes_on_where_it_stopped_twice():
    whole = list(stream())
    first = stream()
    begun = list(itertools.islice(iter(first), 13))
    second = stream()
    second.load_state_dict(first.state_dict())
    begun += list(itertools.islice(iter(second), 22))
    third = stream()
    third.load_state_dict(second.state_dict())
    assert begun + list(third) == whole


def test_it_does_not_go_on_where_sizes_are_others():
    state = stream().state_dict()
    sizes = state["sizes"]
    with pytest.raises(InputError, match=r"the mixture's sizes was \[.*\] when the run began and is \[.*\] now"):
        stream().load_state_dict({**state, "sizes": [size + 1 for size in sizes]})


def test_a_source_that_was_read_through_once_is_not_read_through_again_to_resume():
    reads = {"count": 0}

    def counted():
        for item in ["a", "b", "c"]:
            reads["count"] += 1
            yield item

    made = MixtureStream({"x": counted, "y": counted}, ConstantTemperature(1.0), sizes=[1, 1], num_samples=3000, batch_size=10)
    whole = list(made)
    reads["count"] = 0
    made.load_state_dict({**made.state_dict(), "position": 2990})
    assert list(made) == whole[2990:]
    assert reads["count"] < 30


def test_it_becomes_a_dataset_of_the_datasets_library():
    import datasets

    assert [
        row["text"] for row in datasets.IterableDataset.from_generator(lambda: ({"text": item} for item in stream()))
    ] == list(stream())


def test_a_shuffling_source_is_told_its_pass():
    epochs = []

    class Shuffling:
        def set_epoch(self, epoch):
            epochs.append(epoch)

        def __iter__(self):
            return iter(["a", "b"])

    list(MixtureStream({"x": Shuffling(), "y": ["c"]}, ConstantTemperature(1.0), sizes=[1, 1], num_samples=8, batch_size=2))
    assert epochs == [0, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: list(MixtureStream({"x": [], "y": ["a"]}, Cooldown(), sizes=[1, 1], num_samples=4, batch_size=2)),
            "source 'x' gives no examples",
        ),
        (
            lambda: list(MixtureStream({"x": iter("a"), "y": ["a"]}, Cooldown(), sizes=[1, 1], num_samples=8, batch_size=2)),
            "can be read more than once",
        ),
        (lambda: MixtureStream(SOURCES, Cooldown(), sizes={"en": 3}, num_samples=4, batch_size=2), "no size is given for sw, lo"),
        (lambda: MixtureStream(SOURCES, Cooldown(), sizes=[3, 0, 1], num_samples=4, batch_size=2), "domain 'sw' has 0"),
    ],
)
def test_what_cannot_be_mixed_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_sizes_in_any_unit_shape_the_shares():
    made = MixtureStream(
        SOURCES, ConstantTemperature(2.0), sizes={"en": 1.5e12, "sw": 3.2e9, "lo": 0.25}, num_samples=6000, batch_size=60
    )
    expected = temperature_probabilities([1.5e12, 3.2e9, 0.25], 2.0)
    counts = [sum(item.startswith(name) for item in made) for name in SOURCES]
    assert counts == pytest.approx((6000 * expected).tolist(), abs=1.5)


def test_of_a_hundred_thousand_domains_the_first_that_differs_is_named():
    names = [f"d{i}" for i in range(100_000)]
    sizes = [3] * len(names)
    made = MixtureSampler(sizes, ConstantTemperature(1.0), num_samples=10, batch_size=10, names=names, draw="independent")
    state = made.state_dict()
    for changed, message in (
        (
            {"sizes": [*sizes[:70_000], 4, *sizes[70_001:]]},
            "sizes differ, first that of 'd70000', which was 4 when the run began and is 3 now",
        ),
        (
            {"domains": names[:-1]},
            "domains differ: there were 99,999 when the run began and there are 100,000 now, the first new one 'd99999'",
        ),
        (
            {"domains": [*names, "x"]},
            "there were 100,001 when the run began and there are 100,000 now, the first that is gone 'x'",
        ),
        ({"domains": ["x", *names[1:]]}, "domains differ, first number 1, which was 'x' when the run began and is 'd0' now"),
    ):
        with pytest.raises(InputError) as error:
            made.load_state_dict({**state, **changed})
        assert message in str(error.value)
        assert len(str(error.value)) < 300
