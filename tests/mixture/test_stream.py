"""Streaming sources give what the sampler's draws say, whoever reads them and however often the reading stops."""

import itertools

import pytest
from datasets import Dataset
from torch.utils.data import DataLoader

from steelyard.errors import InputError
from steelyard.mixture import ConstantTemperature, Cooldown, MixtureStream, temperature_probabilities

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
