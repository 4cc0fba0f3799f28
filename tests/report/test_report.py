import json
import re
from html.parser import HTMLParser

import pytest

from steelyard.errors import InputError
from steelyard.report import write_report
from steelyard.report._drawing import RunData
from steelyard.report._figures import _pairwise_front, cosines_figure
from steelyard.report._time import phase_seconds
from steelyard.report.page import _read_run, _summarise
from steelyard.runlog import RunLog


def make_run(path, *, points, objectives=None, answer="1. a", weights=None, gram=False):
    """A run folder written by hand; points are (accuracy, tokens)."""
    log = RunLog(path).create("name: x\nseed: 0\nweighting: {method: fixed}\nversions: {steelyard: '0', trl: '1', torch: '2'}\n")
    for step in range(1, len(points)):
        log.append_step(
            {
                "step": step,
                "weights": weights or {"accuracy": 0.5, "tokens": 0.5},
                "rewards": {"accuracy": {"mean": 0.5}, "tokens": {"mean": None}},
                "seconds": {"generation": 1.0, "update": 0.5},
                "influence": {"accuracy": 0.1, "tokens": -0.1},
                **({"gram": [[4.0, -1.0], [-1.0, 1.0]]} if gram else {}),
            }
        )
        log.write_answers(
            step,
            {
                "prompt": ["p", "p"],
                "answer": [answer, "x"],
                "reward/accuracy": [1.0, None],
                "reward/tokens": [1.0, 0.0],
                "weight/accuracy": [0.5, 0.5],
                "weight/tokens": [0.5, 0.5],
                "advantage": [1.0, -1.0],
            },
        )
    for step, (accuracy, tokens) in enumerate(points):
        log.append_validation(
            {
                "step": step,
                "point": {"accuracy": accuracy, "tokens": tokens},
                "hypervolume": 0.1 * step,
                "seconds": 2.0,
                "checkpoint_seconds": 0.1,
            }
        )
    log.write_json(
        "pareto.json",
        {
            "objectives": objectives
            or [
                {"name": "accuracy", "goal": "maximize", "bounds": [0, 1]},
                {"name": "tokens", "goal": "minimize", "bounds": [0, 100]},
            ],
            "reference": {"accuracy": 0.0, "tokens": 100.0},
            "scale": {"accuracy": 1.0, "tokens": 100.0},
            "hypervolume": 0.3,
            "front": [
                {
                    "step": 1,
                    "values": {"accuracy": points[1][0], "tokens": points[1][1]},
                    "checkpoint": "checkpoints/front/step-000001",
                    "names": ["balanced"],
                }
            ],
        },
    )
    return path


POINTS = [(0.2, 50.0), (0.6, 40.0), (0.5, 60.0)]


class Outside(HTMLParser):
    """Collects everything a page would fetch."""

    def __init__(self):
        super().__init__()
        self.found, self.images = [], 0

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            if key in ("src", "href"):
                self.images += tag == "img"
                if not value.startswith("data:"):
                    self.found.append(value)
        if tag in ("script", "link", "iframe"):
            self.found.append(tag)


def test_a_page_needs_nothing_beside_itself_and_shows_every_picture(tmp_path):
    page = write_report([make_run(tmp_path / "one", points=POINTS)])
    assert page == tmp_path / "one" / "report.html"
    text = page.read_text(encoding="utf-8")
    outside = Outside()
    outside.feed(text)
    assert outside.found == ["./answers.html"]  # the link to all answers, a page of its own
    assert outside.images == 7
    answers = Outside()
    answers.feed((tmp_path / "one" / "answers.html").read_text(encoding="utf-8"))
    assert set(answers.found) == {"script"}  # its own, which its policy names by a checksum
    for part in ("balanced", "checkpoints/front/step-000001", "does not apply", "reference point"):
        assert part in text
    assert "url(" not in re.sub(r"data:[^\"']*", "", text)


def test_several_runs_are_compared_on_one_page_beside_their_folders(tmp_path):
    runs = [make_run(tmp_path / name, points=POINTS) for name in ("fixed", "gradient")]
    text = write_report(runs).read_text(encoding="utf-8")
    assert (tmp_path / "report.html").is_file()
    assert "fixed and gradient" in text
    # Their answers are beside the report, and the runs' own folders as they were.
    assert 'href="./answers-1.html"' in text
    assert (tmp_path / "answers-2.html").is_file()
    assert not (runs[0] / "answers.html").exists()
    elsewhere = write_report(runs[:1], out=tmp_path / "first.html").read_text(encoding="utf-8")
    assert 'href="./first-answers.html"' in elsewhere


def test_an_answer_cannot_put_anything_into_the_page(tmp_path):
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"
    text = write_report([make_run(tmp_path / "one", points=POINTS, answer=attack)]).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "{{ 7 * 7 }}" in text


def test_runs_with_other_objectives_are_not_compared(tmp_path):
    other = [
        {"name": "accuracy", "goal": "maximize", "bounds": [0, 1]},
        {"name": "tokens", "goal": "minimize", "bounds": [0, 50]},
    ]
    runs = [make_run(tmp_path / "a", points=POINTS), make_run(tmp_path / "b", points=POINTS, objectives=other)]
    with pytest.raises(InputError, match="other objectives than"):
        write_report(runs)


def test_a_run_that_has_not_validated_yet_says_so(tmp_path):
    RunLog(tmp_path / "new").create("name: x\n")
    with pytest.raises(InputError, match="has no validation yet"):
        write_report([tmp_path / "new"])
    with pytest.raises(InputError, match="at least one run"):
        write_report([])


def test_summary_and_seconds_add_up():
    run = RunData(
        "a",
        [],
        {},
        [{"weights": {}, "seconds": {"generation": 1.0, "update": 2.0}}] * 3,
        [
            {"step": i, "point": {}, "hypervolume": v, "seconds": 1.0, "checkpoint_seconds": 0.5}
            for i, v in enumerate([0.0, 0.1, 0.7, 1.0])
        ],
        [],
    )
    assert phase_seconds(run)["update"] == 6.0
    assert _summarise(run)["half_at"] == 2
    assert _summarise(run)["seconds"] == pytest.approx(3 + 6 + 4 + 2)


def test_the_front_of_a_pair_knows_directions():
    import numpy as np

    points = np.array([[0.1, 10.0], [0.5, 20.0], [0.4, 30.0]])
    assert _pairwise_front(points, np.array([1.0, -1.0])).tolist() == [[0.1, 10.0], [0.5, 20.0]]


def test_a_report_of_a_run_that_is_still_going_can_be_written(tmp_path):
    path = make_run(tmp_path / "one", points=POINTS)
    with (path / "steps.jsonl").open("a") as file:
        file.write(json.dumps({"step": 99})[:-3])
    assert write_report([path]).is_file()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pareto.json", "{"),
        ("pareto.json", "[1]"),
        ("recipe.yaml", "a: ["),
        ("recipe.yaml", ""),
        ("steps.jsonl", "5\n"),
        ("validation.jsonl", "{}\n"),
        ("answers/000001.parquet", "x"),
    ],
)
def test_a_damaged_run_folder_is_named_in_one_line(tmp_path, name, content):
    path = make_run(tmp_path / "one", points=POINTS)
    (path / name).write_text(content)
    with pytest.raises(InputError, match=r"one|damaged") as error:
        write_report([path])
    assert "\n" not in str(error.value)


def test_names_are_shown_as_they_are(tmp_path):
    path = make_run(tmp_path / "cost $x^{$", points=POINTS)
    assert "cost $x^{$" in write_report([path]).read_text(encoding="utf-8")


def test_cosines_are_drawn_where_there_are_gram_matrices(tmp_path):
    make_run(tmp_path / "with", points=[(0.1, 50), (0.2, 60), (0.3, 40)], gram=True)
    make_run(tmp_path / "without", points=[(0.1, 50), (0.2, 60), (0.3, 40)])
    assert "Cosines between" in write_report([tmp_path / "with"]).read_text()
    assert "Cosines between" not in write_report([tmp_path / "without"]).read_text()
    figure = cosines_figure([_read_run(tmp_path / "with"), _read_run(tmp_path / "without")])
    (axis,) = figure.axes
    assert axis.lines[0].get_ydata().tolist() == [-0.5, -0.5]
    assert axis.lines[0].get_label() == "accuracy and tokens"
