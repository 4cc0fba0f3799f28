"""Run by test_distributed.py under torchrun: two processes with groups that span both, and a judge among the objectives.

torchrun --nproc_per_node 2 two_processes_judged.py POLICY_DIR OUT_DIR JUDGE_URL REFERENCE
"""

import json
import os
import sys
import time
from pathlib import Path

from datasets import Dataset
from two_processes import arguments

from steelyard.errors import RunError
from steelyard.llm import Client
from steelyard.models.loading import load_policy
from steelyard.objectives import conciseness
from steelyard.rubric import MetaRubric, PairwiseJudge
from steelyard.rubric_reward import RubricReward
from steelyard.tasks.sums import sums_rows
from steelyard.training import PolicyTrainer

if __name__ == "__main__":
    policy, out, url, reference = sys.argv[1:]
    judge = PairwiseJudge(Client(url, "m", retries=0), MetaRubric.load("general"))
    reward = RubricReward(judge, reference=reference, group_size=8, patience=0)
    model, tokenizer = load_policy(policy)
    trainer = PolicyTrainer(
        model,
        None,
        arguments(out, num_generations=8, max_steps=2, num_generations_eval=1),
        train_dataset=Dataset.from_list(sums_rows(16, 1)[0]),
        eval_dataset=Dataset.from_list(sums_rows(16, 4)[1]),
        processing_class=tokenizer,
        objectives=[conciseness(max_tokens=12), reward.objective()],
    )
    rank = trainer.accelerator.process_index
    found = {}
    seen = []
    calculate = trainer._calculate_rewards
    trainer._calculate_rewards = lambda *given: seen.append(calculate(*given)) or seen[-1]
    try:
        found["measured"] = trainer.evaluate()
        seen.clear()
        trainer.train()
    except RunError as error:
        found["error"] = str(error)
    found["scores"] = [scores_BK.nan_to_num(nan=-9.0).tolist() for scores_BK in seen]
    found["start"] = len(reward.against_start.start)
    found["totals"] = dict(reward.totals)
    Path(out, f"rank{rank}.json").write_text(json.dumps(found))
    # What is tested is done and written. gloo's threads now and then abort a process that Python tears down in the usual way.
    trainer.accelerator.wait_for_everyone()
    time.sleep(1)
    os._exit(0)
