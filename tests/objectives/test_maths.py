import threading
import time

import pytest

from steelyard.checks.answers import equivalent, final_answer
from steelyard.errors import InputError
from steelyard.objectives import accuracy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \boxed{42}", "42"),
        (r"\boxed{1} no, \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{", None),
        (r"\boxed{}", None),
        ("she has 5 left.\n#### 1,234", "1,234"),
        ("first 3, then 12.", "12"),
        ("it is -7", "-7"),
        ("about 3.5 metres", "3.5"),
        ("no idea", None),
        ("", None),
    ],
)
def test_the_final_answer_of_a_text(text, expected):
    assert final_answer(text) == expected


@pytest.mark.parametrize(
    ("answer", "truth", "same"),
    [
        ("42", "42", True),
        ("42.0", "42", True),
        ("1,000", "1000", True),
        ("$5", "5", True),
        ("3/6", "0.5", True),
        (r"\frac{3}{6}", "1/2", True),
        ("x+1", "1+x", True),
        ("41", "42", False),
        ("1/0", "42", False),
        ("banana", "42", False),
        ("1e5", "100000", True),
    ],
)
def test_equivalence(answer, truth, same):
    assert equivalent(answer, truth) is same


@pytest.mark.parametrize(
    "hostile", ["9^{9^{9^{9}}}", "10^{1000000000}", "((((" * 40, "1+" * 5000 + "1", "99999!!!", "2**999999999"]
)
def test_an_answer_made_to_stall_the_parser_is_wrong_quickly(hostile):
    began = time.perf_counter()
    assert equivalent(hostile, "7") is False
    assert time.perf_counter() - began < 6


def test_equivalence_works_outside_the_main_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(equivalent(r"\frac{1}{2}", "0.5")))
    thread.start()
    thread.join()
    assert found == [True]


def test_a_truth_in_gsm8k_form_is_read_like_an_answer():
    truth = "She sold 24 + 48 = <<24+48=72>>72 clips.\n#### 72"
    assert accuracy().scores(prompts=[""] * 2, completions=["it is 72", r"\boxed{71}"], answer=[truth, truth]) == [1.0, 0.0]


def test_prompts_without_a_truth_are_left_out_and_a_missing_column_is_named():
    assert accuracy().scores(prompts=[""], completions=["1"], answer=[None]) == [None]
    with pytest.raises(InputError, match=r"needs the prompts' column 'answer'.*found: truth"):
        accuracy().scores(prompts=[""], completions=["1"], truth=["1"])


def test_real_solutions_are_judged_as_their_authors_did(shared_data):
    """GSM8K's own model solutions come with a verdict; both end in `A: n`."""
    import json

    agreed = total = 0
    with (shared_data / "gsm8k" / "example_model_solutions.jsonl").open(encoding="utf-8") as lines:
        for line in list(lines)[:300]:
            row = json.loads(line)
            truth = final_answer(row["ground_truth"])
            for key in ("6b_finetuning", "175b_finetuning"):
                found = accuracy().scores(prompts=[""], completions=[row[key]["solution"]], answer=[truth])[0]
                agreed += bool(found) == row[key]["is_correct"]
                total += 1
    assert agreed / total > 0.99
