"""What a model of 135M parameters is worth as a judge, on this machine: agreement with labels, and what a policy learns from it.

    python benchmarks/local_judge.py agreement --data LLMBar [--pairs 30]     # LLMBar's files; criteria that name their principle, and that do not
    python benchmarks/local_judge.py sums [--pairs 40]                        # its verdicts on pairs of answers to sums, beside what the answers are worth
    python benchmarks/local_judge.py train [--updates 8]                      # the embedded policy under it, beside the same updates under a judge that computes
    python benchmarks/local_judge.py table

Rows: results/local_judge.jsonl. The judge is `steelyard.llm.local` (make local), one criterion an order, both orders.
"""

import argparse
import asyncio
import json
import math
import random
import statistics
import time
import warnings
from datetime import date
from pathlib import Path

import rubric_rewards as world

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "local_judge.jsonl"


def client():
    from steelyard.llm import Client
    from steelyard.llm.local import LOCAL_REQUESTS, MODEL, shared_server

    return Client(shared_server().base_url, MODEL, concurrency=2, timeout=600.0, **LOCAL_REQUESTS)


def judge_of(rubric, **options):
    from steelyard.rubric import PairwiseJudge

    return PairwiseJudge(client(), rubric, criteria=1, quotes=0.0, **options)


def write(row):
    import platform

    import steelyard

    row |= {"date": str(date.today()), "steelyard": steelyard.__version__, "machine": f"{platform.machine()}, 2 cores"}
    with ROWS.open("a") as lines:
        lines.write(json.dumps(row) + "\n")
    print(row, flush=True)


async def judged(judge, pairs):
    began = time.perf_counter()
    verdicts = await asyncio.gather(*(judge.compare(*pair) for pair in pairs))
    return verdicts, (time.perf_counter() - began) / len(pairs)


def summary(verdicts, labels):
    """Verdicts beside labels: right, wrong, ties and failures; a tie counts half."""
    counts = {"right": 0, "wrong": 0, "tie": 0, "failed": 0}
    for verdict, label in zip(verdicts, labels, strict=True):
        winner = verdict.winner
        counts["failed" if winner is None else "tie" if winner == "tie" else "right" if winner == label else "wrong"] += 1
    credits = [
        0.5 if v.winner == "tie" else float(v.winner == label)
        for v, label in zip(verdicts, labels, strict=True)
        if v.winner is not None
    ]
    orders = [order for v in verdicts for order in v.judgements if order.score]
    first = [(order.score > 0) != order.swapped for order in orders]
    return counts | {
        "agreement": round(statistics.mean(credits), 4) if credits else None,
        "half_interval": round(1.96 * statistics.stdev(credits) / math.sqrt(len(credits)), 4) if len(credits) > 1 else None,
        "first_preferred": round(statistics.mean(first), 3) if first else None,
    }  # fmt: skip


def agreement(options):
    from steelyard.bench.judging import choose
    from steelyard.bench.llmbar import read
    from steelyard.rubric import MetaRubric

    items, _ = read(str(options.data))
    chosen = choose(items, limit=options.pairs, groups=["Natural"] if any(i.group == "Natural" for i in items) else (), seed=0)
    pairs = [(i.pairs[0].prompt, i.pairs[0].a, i.pairs[0].b) for i in chosen]
    labels = [i.pairs[0].label for i in chosen]
    for principles in (False, True):
        verdicts, seconds = asyncio.run(judged(judge_of(MetaRubric.load("general"), principles=principles), pairs))
        named = [one.principle for v in verdicts for order in v.judgements for one in order.criteria]
        write({"what": "agreement", "named": principles, "pairs": len(pairs), **summary(verdicts, labels), "seconds_a_pair": round(seconds, 2),
               "principles": dict(sorted(((str(n), named.count(n)) for n in set(named)), key=lambda entry: -entry[1])) if principles else {}})  # fmt: skip


def rubric_of_sums():
    import tempfile

    from steelyard.rubric import MetaRubric

    path = Path(tempfile.mkdtemp()) / "rubric.yaml"
    path.write_text(world.RUBRIC)
    return MetaRubric.load(path).only(list(world.TIERS))


def sums(options):
    """Pairs of answers by two styles and with a mistake in some: which is worth more is known."""
    from steelyard.tasks.sums import STYLES, draw_terms, prompt_text

    rng, terms, pairs, labels = random.Random(0), draw_terms(0, held_out=True), [], []
    while len(pairs) < options.pairs:
        now = next(terms)
        prompt, answers = prompt_text(now), []
        for style in rng.sample(list(STYLES), 2):
            answer = STYLES[style](*now)
            if rng.random() < 0.5:
                answer = answer.replace(str(sum(now)), str(sum(now) + rng.choice((-10, -1, 1, 10))))
            answers.append(answer)
        worth = [
            world.gold_of(world.correctness(prompt, a) / 2, world.clarity_of(prompt, a) / 3, min(len(a), world.LONGEST))
            for a in answers
        ]
        if abs(worth[0] - worth[1]) > 0.1:
            pairs.append((prompt, *answers))
            labels.append("a" if worth[0] > worth[1] else "b")
    verdicts, seconds = asyncio.run(judged(judge_of(rubric_of_sums()), pairs))
    write({"what": "sums", "pairs": len(pairs), **summary(verdicts, labels), "seconds_a_pair": round(seconds, 2)})


def train(options):
    from datasets import Dataset
    from trl import GRPOConfig

    from steelyard.cli.console import quiet_environment, quiet_libraries
    from steelyard.llm import Client
    from steelyard.models.loading import load_policy
    from steelyard.objectives import accuracy, clarity, conciseness
    from steelyard.rubric import PairwiseJudge, ProgrammaticJudge
    from steelyard.rubric_reward import RubricReward
    from steelyard.runs._trl_arguments import quiet
    from steelyard.tasks.sums import sums_rows, sums_test_rows
    from steelyard.training import PolicyTrainer
    from steelyard.training._validation import measure

    quiet_environment()
    quiet_libraries()
    rubric, measures = rubric_of_sums(), {"correctness": world.correctness, "clarity": world.clarity_of, "economy": world.economy}
    for name in ("computed", "local"):
        with ProgrammaticJudge(measures) as server, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            judge = judge_of(rubric) if name == "local" else PairwiseJudge(Client(server.url, "judge"), rubric)
            reward = RubricReward(judge, reference="bootstrap", grade="aggregate", group_size=4)
            model, tokenizer = load_policy("sums")
            args = GRPOConfig(
                output_dir="/tmp/local_judge" if Path("/tmp").is_dir() else "local_judge", seed=1, use_cpu=True, bf16=False, report_to="none", disable_tqdm=True,
                save_strategy="no", logging_steps=1, per_device_train_batch_size=16, num_generations=4, num_generations_eval=1, per_device_eval_batch_size=512,
                max_completion_length=world.LONGEST, max_steps=options.updates, learning_rate=2e-4, lr_scheduler_type="constant", beta=0.0, temperature=1.0,
                gradient_checkpointing=False, eval_strategy="no", dataloader_pin_memory=False,
            )  # fmt: skip
            watch = world.Seconds()
            trainer = quiet(
                PolicyTrainer(
                    model, objectives=[accuracy(), clarity(name="clear", graded=True), conciseness(name="tokens", max_tokens=world.LONGEST)], args=args,
                    train_dataset=Dataset.from_list(sums_rows(4096, 1, seed=1)[0]), processing_class=tokenizer, eval_dataset=Dataset.from_list(sums_rows(1, 8)[1]),
                )
            )  # fmt: skip
            before = measure(trainer, Dataset.from_list(sums_test_rows(512, 512))).values
            del trainer
            trainer = quiet(
                PolicyTrainer(
                    model, objectives=[reward.objective()], args=args, train_dataset=Dataset.from_list(sums_rows(4096, 1, seed=1)[0]), processing_class=tokenizer,
                    eval_dataset=Dataset.from_list(sums_rows(1, 8)[1]), recorder=watch,
                    probes=[accuracy(), clarity(name="clear", graded=True), conciseness(name="tokens", max_tokens=world.LONGEST)],
                )
            )  # fmt: skip
            trainer.train()
            after = measure(trainer, Dataset.from_list(sums_test_rows(512, 512))).probes
        keys = ("accuracy", "clear", "tokens")
        write({"what": "train", "judge": name, "updates": options.updates, "before": [round(before[k], 4) for k in keys], "after": [round(after[k], 4) for k in keys],
               "gold": [round(world.gold_of(*(m[k] for k in keys)), 4) for m in (before, after)], "totals": dict(reward.totals),
               "judging_seconds_an_update": round(statistics.mean(r["seconds"]["rewards"] for r in watch.records), 1)})  # fmt: skip


def table():
    rows = [json.loads(line) for line in ROWS.read_text().splitlines()]
    lines = [
        "# A model of 135M parameters as a judge", "",
        f"`python benchmarks/local_judge.py agreement --data LLMBar`, `sums`, `train`, `table`; {rows[-1]['date']}; {rows[-1]['machine']}; steelyard {rows[-1]['steelyard']}. SmolLM2-135M-Instruct in "
        "4 bits through `make local`, one criterion an order, both orders. Rows: `local_judge.jsonl`.", "",
        "| pairs | criteria name their principle | pairs | right | wrong | tie | failed | agreement, ties half | prefers what is shown first | s a pair |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        if row["what"] in ("agreement", "sums"):
            data = "LLMBar" if row["what"] == "agreement" else "sums"
            lines.append(
                f"| {data} | {'yes' if row.get('named') else 'no'} | {row['pairs']} | {row['right']} | {row['wrong']} | {row['tie']} | {row['failed']} | "
                f"{row['agreement']} ± {row['half_interval']} | {row['first_preferred']} | {row['seconds_a_pair']} |"
            )
    trained = [row for row in rows if row["what"] == "train"]
    lines += [] if not trained else [
        "", "The embedded policy, 16 answers an update (4 prompts x 4), bootstrap graded by the aggregate, on 512 test sums; gold as in `rubric_rewards.md`:", "",
        "| judge | updates | gold before | after | accuracy | clarity | tokens | pairs failed | judging, s an update |", "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in trained:
        changes = " | ".join(f"{a:.3f} -> {b:.3f}" for a, b in zip(row["before"], row["after"], strict=True))
        lines.append(f"| {row['judge']} | {row['updates']} | {row['gold'][0]} | {row['gold'][1]} | {changes} | {row['totals']['failed']} of {row['totals']['pairs']} | {row['judging_seconds_an_update']} |")  # fmt: skip
    (RESULTS / "local_judge.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("agreement", "sums", "train", "table"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--updates", type=int, default=8)
    options = parser.parse_args()
    {"agreement": lambda: agreement(options), "sums": lambda: sums(options), "train": lambda: train(options), "table": table}[
        options.what
    ]()


if __name__ == "__main__":
    main()
