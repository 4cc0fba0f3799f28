"""Seeded generators of what others might write: whatever comes, it is read, or refused by an error of ours.

`pytest tests/test_fuzz.py` tries each for a few seconds; for hours, by hand:

    STEELYARD_FUZZ_SECONDS=3600 STEELYARD_FUZZ_SEED=7 python tests/fuzz.py [NAME ...]
"""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import json
import math
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import yaml

from steelyard.errors import SteelyardError

WORDS = (
    "a", "b", "", " ", "yes", "no", "null", "1", "1.5", "-3", "1e999", "nan", "2026-02-30", "2026-01-01", "[1, 2]", "{a: 1}", "{", "[", "*", "&a", "%", "@",
    "\x00", "\x1b[2J", "\ud800", "\u202e", "\U0001f600", "\u4f60\u597d", "e\u0301", "```", "```json\n{}\n```", '{"a": 1}', "one two", "a" * 300, "\n", "\n\n",
    "\\boxed{4}", "#### 4", "(", "(a+)+$", "\\", "{{ a }}", "{% for x in y %}", "model_a", "tie", "A>B", "1/2", "9" * 400, "text", "prompt", "answer", "$ref",
    "grpo", "fixed", "../x", "/", "x.py:f", "punctuation:no_comma", "length_constraints:number_words", "en", "keyword", "user", "content",
)  # fmt: skip
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    100,
    2**31,
    2**63,
    -(2**70),
    10**400,
    0.0,
    -0.0,
    0.5,
    1.5,
    1e-300,
    1e308,
    math.inf,
    -math.inf,
    math.nan,
    True,
    False,
)
OTHERS = (
    None, datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1, 12), datetime.timedelta(1), decimal.Decimal("1.5"), b"bytes", b"\xff",
)  # fmt: skip


class Maker:
    """Random values; with `plain`, such as JSON holds."""

    def __init__(self, rng: random.Random, *, plain: bool = True) -> None:
        self.rng, self.plain = rng, plain

    def text(self) -> str:
        rng = self.rng
        parts = rng.choices(WORDS, k=rng.choice((1, 1, 1, 2, 5)))
        return rng.choice(("", " ", "\n")).join(parts)

    def value(self, depth: int = 0):
        rng = self.rng
        kind = rng.random()
        if kind < 0.4 or depth > 3:
            return self.text()
        if kind < 0.65:
            return rng.choice(NUMBERS)
        if kind < 0.75:
            return None if self.plain else rng.choice(OTHERS)
        if kind < 0.9:
            return [self.value(depth + 1) for _ in range(rng.randint(0, 3))]
        return {self.text(): self.value(depth + 1) for _ in range(rng.randint(0, 3))}

    def changed(self, value, times: int | None = None):
        """A copy with something in it changed, once or more often: replaced, left out, doubled, renamed, exchanged."""
        for _ in range(times or self.rng.choice((1, 1, 1, 2, 3))):
            value = self._changed(value)
        return value

    def _changed(self, value):
        rng = self.rng
        inside = isinstance(value, (dict, list)) and len(value) > 0
        if not inside or rng.random() < 0.05:
            if isinstance(value, str) and value and rng.random() < 0.3:
                at = rng.randrange(len(value) + 1)
                return value[:at] + self.text() + value[at + rng.randint(0, 2) :]
            return self.value()
        if isinstance(value, list):
            kept, at = list(value), rng.randrange(len(value))
            what = rng.random()
            if what < 0.7:
                kept[at] = self._changed(kept[at])
            elif what < 0.85:
                del kept[at]
            else:
                kept.insert(at, rng.choice((kept[at], self.value())))
            return kept
        kept, key = dict(value), rng.choice(list(value))
        what = rng.random()
        if what < 0.7:
            kept[key] = self._changed(kept[key])
        elif what < 0.8:
            del kept[key]
        elif what < 0.9:
            kept[rng.choice((self.text(), f"{key}s", key.upper() if isinstance(key, str) else "k"))] = kept.pop(key)
        else:
            kept[rng.choice((self.text(), rng.choice(list(value))))] = self.value()
        return kept


# Each takes a random source and a folder of its own, and tries one input.


def options_of_checks(rng: random.Random, folder: Path) -> None:
    from steelyard.checks import check, check_kinds
    from steelyard.cli.judge import parse_check
    from steelyard.objectives import Objective
    from steelyard.settings import parameters_of

    kinds = check_kinds()
    kind, make = rng.choice(list(kinds)), Maker(rng, plain=rng.random() < 0.5)
    names = [name for name in parameters_of(kinds[kind]) if rng.random() < 0.8]
    if rng.random() < 0.1:
        names.append(make.text())
    good = {
        "pattern": "a+",
        "text": "a",
        "phrases": ["a", "b"],
        "texts": ["a"],
        "at_least": 1,
        "at_most": 5,
        "schema": {"type": "object"},
        "case": "lower",
    }
    options = {name: good[name] if name in good and rng.random() < 0.5 else make.value() for name in names}
    way = rng.random()
    if way < 0.4:
        made = check(kind, **options)
    elif way < 0.7:
        written = ",".join(
            f"{name}={value if rng.random() < 0.5 else json.dumps(value, default=str)}" for name, value in options.items()
        )
        made = parse_check(f"{kind}:{written}", "guard")
    else:
        from steelyard.recipes.loading import parse_recipe
        from steelyard.recipes.shipped import find_recipe

        content = yaml.safe_load(find_recipe("sums-fixed").read_text(encoding="utf-8"))
        content["objectives"] = [{"kind": "check", "check": kind, "options": options}, {"kind": "accuracy"}]
        content["weighting"] = {"method": "fixed"}
        objective = parse_recipe(content, where="it").build_objectives(base=folder)[0]
        objective.scores(prompts=["p"], completions=[make.text()], answer=[make.value()])
        return
    columns = {name: make.value() for name in ("answer", "schema", "language", "instruction_id_list", "kwargs")}
    if rng.random() < 0.5:
        columns |= ifeval_columns(rng, make)
    for answer in (make.text(), "", "a b c. " * 3):
        made(make.text(), answer, columns)
    Objective.from_check(made).scores(prompts=["p"], completions=["a"], **{name: [value] for name, value in columns.items()})


def ifeval_columns(rng: random.Random, make: Maker) -> dict:
    from steelyard.checks.ifeval import IFBENCH, IFEVAL

    known = {**IFEVAL, **IFBENCH}
    names = rng.choices(list(known), k=rng.randint(1, 3))
    given = []
    for name in names:
        arguments = getattr(known[name], "__code__", None)
        wanted = arguments.co_varnames[1 : arguments.co_argcount] if arguments else ()
        given.append(
            {one: make.value() for one in (*wanted, *(("keyword1",) * (rng.random() < 0.1)))}
            if rng.random() < 0.9
            else make.value()
        )
    columns = {"instruction_id_list": names, "kwargs": given}
    return columns if rng.random() < 0.7 else {**columns, "kwargs": json.dumps(make.changed(given), default=str)}


def rows(rng: random.Random, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from steelyard.mixture import count_domains
    from steelyard.recipes.recipe import PromptsConfig
    from steelyard.rows import read_rows
    from steelyard.rubric.pairs import read_pairs
    from steelyard.runs._prompts import load_prompts

    suffix = rng.choice((".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".jsonl.gz", ".ndjson"))
    path, make = folder / f"rows{suffix}", Maker(rng, plain=suffix not in (".parquet", ".arrow"))
    base = {
        "id": "1",
        "prompt": "p",
        "a": "x",
        "b": "y",
        "label": "a",
        "criteria": [{"name": "n", "description": "d", "tier": "core"}],
        "answer": "4",
    }
    if rng.random() < 0.3:
        base = {
            "prompt": [{"role": "user", "content": "p"}],
            "chosen": [{"role": "assistant", "content": "x"}],
            "rejected": "y",
            "domain": "en",
        }
    made = [
        make.changed({**base, "id": str(i)}) if rng.random() < 0.7 else {**base, "id": str(i)} for i in range(rng.randint(0, 4))
    ]
    if suffix in (".parquet", ".arrow"):
        try:
            columns = {
                str(key): [row.get(key) if isinstance(row, dict) else row for row in made]
                for row in made
                if isinstance(row, dict)
                for key in row
            }
            table = pa.table({**columns, **dates(rng, len(made))})
            if suffix == ".parquet":
                pq.write_table(table, path)
            else:
                with pa.ipc.new_stream(str(path), table.schema) as writer:
                    writer.write_table(table)
        except (pa.ArrowException, OverflowError, TypeError, ValueError, UnicodeError):
            return
    elif suffix in (".csv", ".tsv"):
        text = io.StringIO()
        writer = csv.writer(text, delimiter="\t" if suffix == ".tsv" else ",", escapechar="\\")
        writer.writerows(
            [list(base)] + [[str(value) for value in row.values()] if isinstance(row, dict) else [row] for row in made]
        )
        path.write_bytes(text.getvalue().encode("utf-8", "replace"))
    else:
        lines = [json.dumps(row, default=str) for row in made]
        content = ("[" + ",".join(lines) + "]" if "json" in suffix and "l" not in suffix else "\n".join(lines)).encode()
        if suffix.endswith(".gz"):
            import gzip

            content = gzip.compress(content)
        path.write_bytes(content)
    damage(rng, path)
    way = rng.choice((read_rows, read_pairs, "domain", "prompts", "count"))
    if way == "domain":
        for pair in read_pairs(str(path), domain_column="domain"):
            judged(pair)
    elif way == "prompts":
        template = rng.choice(
            (None, "{{ prompt }}", "{{ a }} {{ answer | number }}", "{{ prompt | regex_replace('a', 'b') }}", "{{ row['id'] }}")
        )
        load_prompts(PromptsConfig(source=str(path), prompt=template, chat=rng.random() < 0.5, validation={"size": 1}))
    elif way == "count":
        count_domains([str(path)], column=rng.choice(("id", "domain", "a")))
    else:
        for one in way(str(path)):
            if way is read_pairs:
                judged(one)


def judged(pair) -> None:
    """What is done with a pair before any question is asked."""
    from steelyard.rubric.router import by_rules
    from steelyard.rubric.verdict_files import digest_of

    digest_of(pair)
    by_rules(pair.prompt)


def dates(rng: random.Random, count: int) -> dict:
    import pyarrow as pa

    if rng.random() < 0.6:
        return {}
    kind = rng.choice(
        (
            pa.date32(),
            pa.date64(),
            pa.timestamp("s"),
            pa.timestamp("ns"),
            pa.timestamp("us", tz="UTC"),
            pa.duration("s"),
            pa.duration("ns"),
            pa.time64("ns"),
        )
    )
    wide = 32 if kind == pa.date32() else 64
    numbers = pa.array(
        [rng.choice((0, 1, -1, 2 ** (wide - 1) - 1, -(2 ** (wide - 1)), 10**9)) for _ in range(count)],
        pa.int32() if wide == 32 else pa.int64(),
    )
    return {rng.choice(("when", "id", "prompt", "answer", "domain", "a")): pa.Array.from_buffers(kind, count, numbers.buffers())}


def damage(rng: random.Random, path: Path) -> None:
    """Some bytes of a file changed, or its end cut off."""
    content = bytearray(path.read_bytes())
    if rng.random() < 0.6 or not content:
        return
    if rng.random() < 0.4:
        content = content[: rng.randrange(len(content))]
    for _ in range(rng.choice((0, 1, 1, 5))):
        if content:
            content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(bytes(content))


def verdict_files(rng: random.Random, folder: Path) -> None:
    from steelyard.bench import benchmark, benchmark_names, tabulate
    from steelyard.bench.base import Item
    from steelyard.rubric import Judgement, Verdict
    from steelyard.rubric.page import write_verdicts
    from steelyard.rubric.pairs import Pair
    from steelyard.rubric.stats import rubric_stats
    from steelyard.rubric.verdict import Scored
    from steelyard.rubric.verdict_files import Line, read_verdicts

    make = Maker(rng)
    one = Judgement(False, ["d"], [Scored("n", "core", "r", 1, "x", "y", True, False)], 1.0)
    good = Verdict("a", 1.0, "criteria", [one, one], {"words": (1.0, None)}, "general@1", 2, 10, 5)
    lines = []
    for number in range(rng.randint(0, 4)):
        plain = json.loads(Line(str(number), "0" * 16, "1" * 16, good).text())
        lines.append(json.dumps(make.changed(plain) if rng.random() < 0.6 else plain))
    path = folder / "v.jsonl"
    path.write_text("\n".join(lines) + "\n" * rng.randint(0, 2), encoding="utf-8")
    damage(rng, path)
    found = read_verdicts(path, failed=rng.random() < 0.5)
    rubric_stats(found.values()).lines()
    pairs = [Pair(str(number), "p", "x and y", "y", "a") for number in range(4)]
    write_verdicts(pairs, path, folder / "page.html", errors=rng.random() < 0.5)
    name = rng.choice(benchmark_names())
    if name in ("judgebench", "llmbar", "ppe"):
        tabulate(benchmark(name), [Item(pair.id, "g", (pair,)) for pair in pairs], found)


BENCH_ROWS = {
    "judgebench": {"pair_id": "x", "source": "mmlu-pro-law", "question": "q", "response_A": "r", "response_B": "w", "label": "A>B", "response_model": "m"},
    "llmbar": {"input": "q", "output_1": "w", "output_2": "r", "label": 2},
    "rewardbench2": {"id": "1", "prompt": "q", "chosen": ["r"], "rejected": ["w", "v", "u"], "subset": "Math"},
    "rmbench": {"id": "1", "prompt": "q", "chosen": ["r", "s", "t"], "rejected": ["w", "v", "u"], "domain": "safety-refuse"},
    "ppe": {"question_id": "h", "prompt": "q", "response_1": "w", "response_2": "r", "winner": "model_b"},
    "ppe of K": {
        "question_id": "k", "model_name": "m", "prompt": "q", "scores": [True, False, True], "response_1": "r", "response_2": "w", "response_3": "s",
        "sampled_conflict_pairs": [[0, 1], [1, 2], [0, 1]],
    },
}  # fmt: skip


def bench_files(rng: random.Random, folder: Path) -> None:
    from steelyard.bench import benchmark
    from steelyard.bench.judging import choose

    make, name = Maker(rng), rng.choice(list(BENCH_ROWS))
    lines = [
        json.dumps(make.changed(BENCH_ROWS[name]) if rng.random() < 0.7 else BENCH_ROWS[name]) for _ in range(rng.randint(0, 3))
    ]
    path = folder / "train-00000-of-00001.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    damage(rng, path)
    items, _ = benchmark(name.partition(" ")[0]).read(str(rng.choice((path, folder))))
    for pair in (pair for item in choose(items, limit=2, groups=(), seed=0) for pair in item.pairs):
        judged(pair)


def recipes(rng: random.Random, folder: Path) -> None:
    from steelyard.recipes import load_recipe, recipe_names
    from steelyard.recipes.shipped import find_recipe

    make = Maker(rng, plain=rng.random() < 0.7)
    content = yaml.safe_load(find_recipe(rng.choice(recipe_names())).read_text(encoding="utf-8"))
    changes = []
    if rng.random() < 0.6:
        content = make.changed(content)
    for _ in range(rng.choice((0, 0, 1, 2))):
        keys = [".".join(keys) for keys in paths_of(content)] or ["name"]
        key = rng.choice(keys) if rng.random() < 0.8 else make.text()
        value = make.value()
        changes.append(
            f"{key}{rng.choice(('=', '=', '=', '', '.x=', '.0='))}{value if rng.random() < 0.5 else json.dumps(value, default=str)}"
        )
    path = folder / "mine.yaml"
    try:
        path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    except (yaml.YAMLError, UnicodeError, ValueError):
        return
    damage(rng, path)
    made = load_recipe(path, changes=changes)
    if hasattr(made, "build_objectives"):
        objectives = made.build_objectives(base=folder)
        made.build_weighting(objectives, base=folder)
    from steelyard.runs._resume import resolved

    resolved(made)


def paths_of(content, above=()):
    if isinstance(content, dict):
        for key, value in content.items():
            yield (*above, str(key))
            yield from paths_of(value, (*above, str(key)))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from paths_of(value, (*above, str(number)))


def rubrics(rng: random.Random, folder: Path) -> None:
    from steelyard.rubric import MetaRubric, diff_rubrics, rubric_names
    from steelyard.rubric.meta_rubric import find_rubric
    from steelyard.rubric.router import by_rules

    make = Maker(rng, plain=rng.random() < 0.7)
    content = yaml.safe_load(find_rubric(rng.choice(rubric_names())).read_text(encoding="utf-8"))
    path = folder / "mine.yaml"
    try:
        path.write_text(yaml.safe_dump(make.changed(content), allow_unicode=True), encoding="utf-8")
    except (yaml.YAMLError, UnicodeError, ValueError):
        return
    damage(rng, path)
    made = MetaRubric.load(path)
    made.text()
    diff_rubrics(MetaRubric.load("general"), made)
    by_rules(make.text(), {"mine": made})


def mixtures(rng: random.Random, folder: Path) -> None:
    from steelyard.mixture import parse_schedule, plan_mixture, schedule_forms
    from steelyard.mixture.count import read_sizes
    from steelyard.mixture.export import export_plan

    make = Maker(rng)
    sizes = {"en": 1e6, "sw": 2000, "yo": 30}
    for name, content in (("sizes.json", sizes), ("shares.json", {"en": 0.5, "sw": 0.3, "yo": 0.2})):
        content = {"train_domain_weights": content} if rng.random() < 0.2 and name == "shares.json" else content
        (folder / name).write_text(json.dumps(make.changed(content) if rng.random() < 0.5 else content), encoding="utf-8")
        damage(rng, folder / name)
    form = rng.choice([*schedule_forms(), *schedule_forms().values()])
    words = (
        form,
        "cooldown",
        f"shares:{folder}/shares.json",
        "tau=2",
        f"cooldown:tau={make.value()}",
        f"{form.partition(':')[0]}:{make.text()}",
        make.text(),
    )
    found = parse_schedule(rng.choice(words))
    counted = read_sizes(folder / "sizes.json") if rng.random() < 0.7 else sizes
    plan = plan_mixture(
        list(counted.values()),
        found,
        num_samples=rng.choice((1, 100, 10**7)),
        batch_size=rng.choice((1, 64, 10**6)),
        names=list(counted),
    )
    export_plan(plan, rng.choice(("megatron", "nemo", "llama-factory", "axolotl", "datasets", "mosaic", make.text())))


def domains(rng: random.Random, folder: Path) -> None:
    from steelyard.recipes.supervised import DataConfig
    from steelyard.runs._domain_data import load_domains

    make = Maker(rng)
    base = {"text": "t", "domain": "en", "prompt": "p", "answer": "4"}
    if rng.random() < 0.3:
        base = {"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "x"}], "domain": "en"}
    made = [{**base, "domain": rng.choice(("en", "sw")), **({"text": str(i)} if "text" in base else {})} for i in range(8)]
    (folder / "rows.jsonl").write_text(
        "\n".join(json.dumps(make.changed(row) if rng.random() < 0.2 else row) for row in made), encoding="utf-8"
    )
    damage(rng, folder / "rows.jsonl")
    settings = {"source": str(folder / "rows.jsonl")}
    templates = (
        None,
        None,
        "{{ text }}",
        "{{ row['text'] }} {{ domain }}",
        "{{ domain | regex_replace('(', '') }}",
        "{{ text | number }}",
        make.text(),
    )
    settings |= {name: rng.choice(templates) for name in ("text", "domain", "keep") if rng.random() < 0.3}
    from steelyard.errors import InputError

    try:
        config = DataConfig(**settings)
    except ValueError as error:
        raise InputError("refused by its model") from error
    load_domains(config)


GENERATORS = {
    "options of checks": options_of_checks, "rows": rows, "verdict files": verdict_files, "bench files": bench_files, "recipes": recipes, "rubrics": rubrics,
    "mixtures": mixtures, "domains": domains,
}  # fmt: skip


def tried(name: str, *, seconds: float, seed: int) -> tuple[int, int, dict[str, tuple[int, str]]]:
    """Try inputs for a while: how many, how many were refused, and by the place where it was raised every other exception, with a seed that makes it again."""
    count, refused, found, seen = 0, 0, {}, Counter()
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while time.monotonic() < until or not count:
            folder = Path(place) / "one"
            folder.mkdir()
            one = seed * 1_000_003 + count
            count += 1
            try:
                GENERATORS[name](random.Random(one), folder)
            except SteelyardError:
                refused += 1
            except Exception as error:
                last = [
                    frame
                    for frame in traceback.extract_tb(error.__traceback__)
                    if "steelyard" in frame.filename and "tests" not in frame.filename
                ]
                where = (
                    f"{type(error).__name__} at {last[-1].filename.rpartition('steelyard/')[2]}:{last[-1].lineno}"
                    if last
                    else traceback.format_exc()[-600:]
                )
                seen[where] += 1
                found.setdefault(where, (one, str(error)[:200]))
            finally:
                for file in folder.iterdir():
                    file.unlink()
                folder.rmdir()
    return count, refused, {f"{where} ({seen[where]} times)": what for where, what in found.items()}


def settings() -> tuple[float, int]:
    return float(os.environ.get("STEELYARD_FUZZ_SECONDS", "7")), int(os.environ.get("STEELYARD_FUZZ_SEED", "0"))


if __name__ == "__main__":
    for each in sys.argv[1:] or GENERATORS:
        count, refused, found = tried(each, seconds=settings()[0], seed=settings()[1])
        print(f"{each}: {count} inputs, {refused} refused, {len(found)} kinds of tracebacks")
        for where, (one, said) in found.items():
            print(f"  {where}: {said!r} [seed {one}]")
