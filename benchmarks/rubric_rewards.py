"""Does a judge's rubric train, and which way to ask it? References, lists, points and principles on the sums task, over seeds, with equal tries for all.

    python benchmarks/rubric_rewards.py tune  [--arms a,b] [--workers 2]
    python benchmarks/rubric_rewards.py final [--arms a,b] [--seeds 5]
    python benchmarks/rubric_rewards.py table

The judge is `ProgrammaticJudge`, a server that computes its verdicts by three principles: correctness (core: the last number is the sum), clarity
(important: a box and two steps), economy (highlight: fewer signs). "erring" adds noise of one step to every difference, half a step for the answer that is
shown first, and .3 of a step for every 100 signs. The start is the embedded policy; a run has 40 updates of 64 answers (8 prompts x 8), GRPO. `tune` chooses
each arm's learning rate among three by gold on 512 validation sums, on a seed that is not used again; the erring judge's arms take the rate of the same
arm before the true judge. `final` measures once on 512 test sums, at the end. Gold is what a policy is worth by the three principles, which no judge
says: (5 accuracy + 2 clarity + 1 (1 - tokens / 80)) / 8. Rows: results/rubric_rewards/runs.jsonl; those that are there are not repeated.
"""

import argparse
import os
import re
import statistics
import tempfile
import time
import warnings
from datetime import date
from pathlib import Path

from rows import interval, read_rows, run_all

RESULTS = Path(__file__).parent / "results"
RUNS = RESULTS / "rubric_rewards" / "runs.jsonl"
UPDATES, TUNING_SEED, RATES, LONGEST, GROUP = 40, 1000, (1e-4, 2e-4, 4e-4), 80, 8
ERRING = {"noise": 1.0, "place": 0.5, "length": 0.3}
TIERS = {"correctness": ("core", 5), "clarity": ("important", 2), "economy": ("highlight", 1)}
RANGES = {"correctness": (0.0, 2.0), "clarity": (0.0, 3.0), "economy": (-4.0, 0.0)}
RUBRIC = """
name: sums
version: 1
extends: general
principles:
  - {id: correctness, tier: core, means: The last number is the sum., fails: It is another number.}
  - {id: clarity, tier: important, means: "The steps are shown, and the result stands in a box.", fails: A number without a way to it.}
  - {id: economy, tier: highlight, means: As few signs as possible., fails: More signs than the sum needs.}
changelog: [{version: 1, date: 2026-11-28, what: First version.}]
"""
# An arm: reference, options of the reward, weighting (None: one objective), whether the judge errs.
REFERENCES = ("bootstrap", "greedy", "start", "tournament", "round-robin", "listwise", "written")
ARMS = {
    "function": (None, {}, None, False),
    "points": ("points", {}, None, False),
    **{reference: (reference, {}, None, False) for reference in REFERENCES},
    "bootstrap, graded": ("bootstrap", {"grade": "aggregate"}, None, False),
    **{f"{reference}, erring": (reference, {}, None, True) for reference in ("points", *REFERENCES)},
    "tournament, split, shares 5/2/1": ("tournament", {"form": "share"}, ("fixed", {"weights": [5 / 8, 2 / 8, 1 / 8]}), False),
    "tournament, split, means 5/2/1": ("tournament", {}, ("fixed", {"weights": [5 / 8, 2 / 8, 1 / 8]}), False),
    "tournament, split, gdpo 5/2/1": ("tournament", {}, ("gdpo", {"weights": [5 / 8, 2 / 8, 1 / 8]}), False),
    "tournament, split, gdpo": ("tournament", {}, ("gdpo", {}), False),
    "tournament, split, normalized-influence": ("tournament", {}, ("normalized-influence", {}), False),
    "tournament, split, normalized-influence, unbiased": ("tournament", {}, ("normalized-influence", {"estimate": "unbiased"}), False),
}  # fmt: skip


PAIRED = [
    *((arm, "tournament") for arm in ARMS if arm.startswith("tournament, split")),
    ("start", "bootstrap"), ("bootstrap, graded", "bootstrap"), ("round-robin", "tournament"),
    *((f"{arm}, erring", arm) for arm in ("points", "tournament", "round-robin", "listwise")),
]  # fmt: skip


def number(text):
    found = re.findall(r"[0-9]+", text)
    return int(found[-1]) if found else None


def correctness(prompt, answer):
    return 2.0 * (number(answer) == sum(map(int, re.findall(r"[0-9]+", prompt)[:3])))


def clarity_of(prompt, answer):
    from steelyard.objectives import clarity

    return 3.0 * clarity(graded=True).scores(prompts=[prompt], completions=[answer])[0]


def economy(prompt, answer):
    return -len(answer) / 20


def gold_of(accuracy, clear, tokens):
    return (5 * accuracy + 2 * clear + (1 - tokens / LONGEST)) / 8


def gold_reward(prompts, completions, completion_ids, **columns):
    """The same information without a judge: each answer's own worth."""
    return [
        gold_of(correctness(p, c) / 2, clarity_of(p, c) / 3, len(ids))
        for p, c, ids in zip(prompts, completions, completion_ids, strict=True)
    ]


class Seconds:
    """A recorder that keeps seconds and weights of the updates."""

    def __init__(self):
        self.records = []

    def on_answers(self, step, columns):
        pass

    def on_step(self, record):
        self.records.append(record)

    def on_checkpoint(self, step):
        pass

    def on_validation(self, step, point, seconds, trainer):
        pass


def objectives_of(arm, server, true_server, folder):
    """The objectives of an arm and the reward that they come from."""
    from steelyard.llm import Client
    from steelyard.objectives import Objective
    from steelyard.rubric import MetaRubric, PairwiseJudge, PointwiseJudge
    from steelyard.rubric_reward import PointsReward, RubricReward

    reference, options, weighting, _ = ARMS[arm]
    if reference is None:
        return [Objective("gold", gold_reward)], None
    path = folder / "rubric.yaml"
    path.write_text(RUBRIC)
    rubric = MetaRubric.load(path).only(list(TIERS))
    if reference == "points":
        points = [
            {"name": one.id, "criterion": f"{one.id}: {one.means}", "points": TIERS[one.id][1], "scale": "graded"}
            for one in rubric.principles
        ]
        reward = PointsReward(PointwiseJudge(Client(server.url, "judge")), points, **options)
        return [reward.objective()], reward
    judge = PairwiseJudge(Client(server.url, "judge"), rubric, principles=weighting is not None)
    true = PairwiseJudge(Client(true_server.url, "judge"), rubric, principles=weighting is not None)
    reward = RubricReward(judge, reference=reference, group_size=GROUP, measured_by=[true], **options)
    return ([reward.objective()] if weighting is None else reward.objectives()), reward


def run(phase, arm, rate, seed):
    """One run; returns its row."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch
    from datasets import Dataset
    from trl import GRPOConfig

    import steelyard
    from steelyard.cli.console import quiet_environment, quiet_libraries
    from steelyard.models.loading import load_policy
    from steelyard.objectives import accuracy, clarity, conciseness
    from steelyard.rubric import ProgrammaticJudge
    from steelyard.runs._trl_arguments import quiet
    from steelyard.tasks.sums import STYLES, sums_rows, sums_test_rows
    from steelyard.training import PolicyTrainer
    from steelyard.training._validation import measure
    from steelyard.weighting import METHODS

    torch.set_num_threads(1)
    quiet_environment()
    quiet_libraries()
    _, _, weighting, errs = ARMS[arm]
    rows, validation = sums_rows(4096, 512, seed=seed)
    test = sums_test_rows(512, 512)
    for row in (*rows, *validation, *test):
        row["written"] = STYLES["two-steps"](*map(int, row["prompt"].rstrip("=").split("+")))
    began, recorder = time.perf_counter(), Seconds()
    measures = {"correctness": correctness, "clarity": clarity_of, "economy": economy}
    with (
        tempfile.TemporaryDirectory() as folder,
        ProgrammaticJudge(measures, seed=seed, ranges=RANGES, **(ERRING if errs else {})) as server,
        ProgrammaticJudge(measures, ranges=RANGES) as true_server,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        objectives, reward = objectives_of(arm, server, true_server, Path(folder))
        model, tokenizer = load_policy("sums")
        args = GRPOConfig(
            output_dir=folder, seed=seed, use_cpu=True, bf16=False, report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1,
            per_device_train_batch_size=8 * GROUP, num_generations=GROUP, num_generations_eval=1, per_device_eval_batch_size=512, max_completion_length=LONGEST,
            max_steps=UPDATES, learning_rate=rate, lr_scheduler_type="constant", beta=0.0, temperature=1.0, gradient_checkpointing=False, eval_strategy="no",
            dataloader_pin_memory=False,
        )  # fmt: skip
        name, options = weighting or ("fixed", {})
        trainer = quiet(
            PolicyTrainer(
                model, objectives=objectives, args=args, train_dataset=Dataset.from_list(rows), eval_dataset=Dataset.from_list(validation),
                processing_class=tokenizer, weighting=METHODS[name](**options), recorder=recorder,
                probes=[accuracy(), clarity(name="clear", graded=True), conciseness(name="tokens", max_tokens=LONGEST, decay=0.9)],
            )
        )  # fmt: skip
        final = phase == "final"
        if final:
            measure(trainer, Dataset.from_list(test))  # keeps the start's answers, which the end is compared with
        start = time.perf_counter()
        trainer.train()
        trained = time.perf_counter() - start
        asked = server.questions
        measured = measure(trainer, Dataset.from_list(test if final else validation))
        totals = dict(reward.totals) if reward is not None else {}
    probes = [measured.probes[name] for name in ("accuracy", "clear", "tokens")]
    return {
        "phase": phase, "arm": arm, "rate": rate, "seed": seed, "gold": round(gold_of(*probes), 5), "probes": [round(one, 5) for one in probes],
        "objectives": {name: round(value, 5) for name, value in measured.values.items()},
        "weights": [round(one, 3) for one in recorder.records[-1]["weights"].values()],
        "calls": asked / UPDATES, "totals": totals,
        "seconds": {what: round(statistics.mean(r["seconds"].get(what, 0.0) for r in recorder.records[2:]), 3) for what in ("generation", "rewards", "weighting", "update")},
        "trained": round(trained, 1), "wall": round(time.perf_counter() - began, 1), "date": str(date.today()), "steelyard": steelyard.__version__, "torch": torch.__version__,
    }  # fmt: skip


def key_of(row):
    return row["phase"], row["arm"], row["rate"], row["seed"]


def rate_of(rows, arm):
    """The best rate on the tuning seed; of an erring judge's arm, that of the true one."""
    found = {row["rate"]: row["gold"] for row in rows if row["phase"] == "tune" and row["arm"] == arm.removesuffix(", erring")}
    if set(found) != set(RATES):
        raise SystemExit(f"{arm}: tuned at {sorted(found)} of {RATES}: run `tune` first")
    return max(found, key=lambda rate: found[rate])


def line_of(row):
    return (
        f"{row['phase']:5} {row['arm']:50} {row['rate']:g} seed {row['seed']:4} gold {row['gold']:.4f} {row['probes']} "
        f"calls {row['calls']:.0f} {row['seconds']} {row['wall']:.0f} s"
    )  # fmt: skip


def formula(arm):
    """Questions an update by the reference's formula, before equal answers, checks and skewed groups take some away."""
    reference = ARMS[arm][0]
    if reference is None:
        return 0
    if reference == "points":
        return 8 * GROUP
    from steelyard.rubric_reward.references import COLUMN
    from steelyard.rubric_reward.references import REFERENCES as SCHEMES

    return 8 * SCHEMES.get(reference, COLUMN).calls(GROUP) * (1 if reference == "listwise" else 2)


def table():
    rows = read_rows(RUNS)
    finals = [row for row in rows if row["phase"] == "final"]
    last = finals[-1]
    seeds = sorted({row["seed"] for row in finals})
    lines = [
        "# A rubric as a reward: which way to ask the judge", "",
        f"`python benchmarks/rubric_rewards.py tune`, `final`, `final --rate 2e-4`, `table`; {last['date']}; x86_64, 2 cores, a thread a run; torch {last['torch']}, steelyard "
        f"{last['steelyard']}; seeds {', '.join(map(str, seeds))}. What a run is: the script's first lines.", "",
        f"Gold is measured once, on 512 test sums, after {UPDATES} updates; means over seeds with 95% intervals (Student's t). *Minus function*: paired by seed with the reward that "
        "has the same information without a judge, at its own rate. Questions an update: by formula, and as asked (equal answers need no question). Won: against the start's answers, ties half, "
        "by the true judge. Judging, s: of an update, by a judge that answers at once.", "",
    ]  # fmt: skip
    tuned = {arm: rate_of(rows, arm) for arm in ARMS}
    for title, rates in (
        (f"## Each arm at the learning rate that seed {TUNING_SEED} chose for it", tuned),
        ("## All at 2e-4", dict.fromkeys(ARMS, 2e-4)),
    ):
        lines += [title, "", *rows_of_table(finals, rates, tuned["function"]), ""]
    lines += ["## Paired differences in gold at 2e-4", "", "| | minus | difference |", "|---|---|---|"]
    for one, other in PAIRED:
        mine, theirs = ({r["seed"]: r["gold"] for r in finals if (r["arm"], r["rate"]) == (arm, 2e-4)} for arm in (one, other))
        lines.append(
            "| {} | {} | {:+.3f} ± {:.3f} |".format(one, other, *interval([mine[s] - theirs[s] for s in mine if s in theirs]))
        )
    (RESULTS / "rubric_rewards.md").write_text("\n".join(lines).rstrip() + "\n")
    print("\n".join(lines))


def rows_of_table(finals, rates, base_rate):
    lines = [
        "| arm | seeds | rate | gold | minus function | accuracy | clarity | tokens | won | questions: formula | asked | judging, s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    base = {row["seed"]: row for row in finals if (row["arm"], row["rate"]) == ("function", base_rate)}
    for arm, rate in rates.items():
        found = {row["seed"]: row for row in finals if (row["arm"], row["rate"]) == (arm, rate)}
        if not found:
            continue
        mean, half = interval([row["gold"] for row in found.values()])
        both = [row["gold"] - base[seed]["gold"] for seed, row in found.items() if seed in base]
        minus = "" if arm == "function" or not both else "{:+.3f} ± {:.3f}".format(*interval(both))
        probes = [statistics.mean(row["probes"][i] for row in found.values()) for i in range(3)]
        wins = [row["objectives"]["rubric"] for row in found.values() if "rubric" in row["objectives"]]
        won = f"{statistics.mean(wins):.3f}" if wins else ""
        asked = statistics.mean(row["totals"].get("calls", 0) / UPDATES for row in found.values())
        judging = statistics.mean(row["seconds"]["rewards"] for row in found.values())
        lines.append(
            f"| {arm} | {len(found)} | {rate:g} | {mean:.3f} ± {half:.3f} | {minus} | {probes[0]:.3f} | {probes[1]:.3f} | {probes[2]:.1f} | {won} "
            f"| {formula(arm)} | {asked:.0f} | {judging:.2f} |"
        )
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("tune", "final", "table", "one"))
    parser.add_argument("--arms", default=";".join(ARMS), help="names, with ; between them")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rate", type=float, help="with `final`: this learning rate for all, in place of each arm's own")
    options = parser.parse_args()
    arms = options.arms.split(";")
    if options.what == "table":
        table()
    elif options.what == "one":
        print(run("tune", arms[0], RATES[1], TUNING_SEED))
    elif options.what == "tune":
        jobs = [("tune", arm, rate, TUNING_SEED) for arm in arms if not arm.endswith(", erring") for rate in RATES]
        run_all(run, jobs, RUNS, key_of, line_of, options.workers)
    else:
        rows = read_rows(RUNS)
        rates = {arm: options.rate or rate_of(rows, arm) for arm in arms}
        # Seed by seed, so that an early end leaves whole seeds.
        jobs = [("final", arm, rates[arm], seed) for seed in range(1, options.seeds + 1) for arm in arms]
        run_all(run, jobs, RUNS, key_of, line_of, options.workers)


if __name__ == "__main__":
    main()
