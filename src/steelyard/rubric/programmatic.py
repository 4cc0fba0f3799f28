"""A judge that computes its verdicts, behind the same interface as a language model: for tests and benchmarks of all that asks a judge.

It follows exactly the principles that stand in the question and that it has a measure for, and can be made to err: by noise, by the place where an
answer stands, by its length.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from steelyard.errors import InputError

_Measure = Callable[[str, str], float]
_BLOCK = re.compile(r"^(=+) beginning of ([^\n]+)\n(.*?)\n\1 end of \2$", re.DOTALL | re.MULTILINE)
_PRINCIPLE = re.compile(r"^- \[(hard|core|important|highlight)\] ([a-z0-9][a-z0-9-]*):", re.MULTILINE)
_CRITERION = re.compile(r"^- (criterion_\d+) (\[[^\n]*?\]|\(0 to \d+\)): ([^\n]*)$", re.MULTILINE)
_QUOTED = 40


class ProgrammaticJudge:
    """A server on 127.0.0.1 that judges pairs by measures of its own; use it in a `with`.

    Args:
        measures: by a principle's id, a function of prompt and answer: the larger value is the better answer.
        steps: the differences of a measure that make a score of 1 and of 2.
        noise: standard deviation of what is added to every difference, in units of the first step; drawn anew for every question, and the same for an equal one.
        place: what is added in favour of the answer that is shown first, in the same units.
        length: what is added for every 100 characters that an answer is longer, in the same units.
        seed: of the noise.
        ranges: by a measure's name, its values for an answer that is graded on its own and meets nothing, and everything; default: 0 and 1. Such a criterion
            is followed where its text begins with the name of a measure and a colon.

    Attributes:
        questions: how many were asked.

    Example:
        >>> from steelyard.llm import Client
        >>> from steelyard.rubric import MetaRubric, PairwiseJudge
        >>> with ProgrammaticJudge({"economy": lambda prompt, answer: -len(answer)}, steps=(1, 20)) as server:
        ...     judge = PairwiseJudge(Client(server.url, "programmatic"), MetaRubric.load("general"), principles=True)
        ...     verdict = judge.compare_sync("2+2?", "4", "The answer is four.")
        >>> verdict.winner, [(one.principle, one.score) for one in verdict.judgements[0].criteria]
        ('a', [('economy', 1)])
    """

    def __init__(
        self,
        measures: Mapping[str, _Measure],
        *,
        steps: tuple[float, float] = (0.5, 1.5),
        noise: float = 0.0,
        place: float = 0.0,
        length: float = 0.0,
        seed: int = 0,
        ranges: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        if not measures or not 0 < steps[0] < steps[1]:
            raise InputError(
                f"a programmatic judge needs a measure at least, and two rising steps above 0, but got {sorted(measures)} and {steps}"
            )
        self.measures, self.steps = dict(measures), steps
        self.noise, self.place, self.length, self.seed = noise, place, length, seed
        self.ranges = dict(ranges or {})
        self.questions = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """What a client is given as its server's address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ProgrammaticJudge:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What it says to a question, as an object."""
        with self._lock:
            self.questions += 1
        system = "\n".join(message["content"] for message in body["messages"] if message["role"] == "system")
        asked = "\n".join(message["content"] for message in body["messages"] if message["role"] != "system")
        texts = {name: text for _, name, text in _BLOCK.findall(asked)}
        tiers = {name: tier for tier, name in _PRINCIPLE.findall(system)}
        prompt = texts.get("prompt", "")
        # The same for an equal question, and drawn anew for another sample of it.
        drawn = random.Random(hashlib.sha256(f"{self.seed} {body.get('seed')} {asked}".encode("utf-8", "surrogatepass")).digest())
        if "reference answer" in texts:
            written = [
                {"name": name, "text": f"{name}: as the reference answer", "importance": "essential"} for name in self.measures
            ]
            return {"criteria": written}
        if "answer" in texts:
            return self._graded(prompt, texts["criteria"], texts["answer"], drawn)
        if "answer 1" not in texts:
            return {
                "criteria": [
                    {"name": name, "tier": tier, "principle": name, "description": f"better by {name}"}
                    for name, tier in self._known(tiers)
                ]
            }
        if '"Answer"' in json.dumps(body.get("response_format", {})) or "answer 3" in texts:
            return {"answers": self._listed(prompt, texts, tiers, drawn)}
        first, second = texts["answer 1"], texts["answer 2"]
        # The schema is a part of the request, or stands in the words of the question.
        names_principle = '"principle"' in json.dumps(body.get("response_format", {})) or '"principle"' in system + asked
        criteria = []
        for name, tier in self._known(tiers):
            gap = self.measures[name](prompt, first) - self.measures[name](prompt, second)
            gap += self.steps[0] * (self.place + self.noise * drawn.gauss(0, 1) + self.length * (len(first) - len(second)) / 100)
            criteria.append(
                {
                    "name": name,
                    "tier": tier,
                    **({"principle": name} if names_principle else {}),
                    "reason": f"a difference of {gap:.2f} by {name}",
                    "quote_1": first[:_QUOTED],
                    "quote_2": second[:_QUOTED],
                    "score": self._score(gap),
                }
            )
        criteria = criteria[: self._most_criteria(body)]
        return {"differences": [one["reason"] for one in criteria][:4], "criteria": criteria}

    def _graded(self, prompt: str, criteria: str, answer: str, drawn: random.Random) -> dict[str, Any]:
        """What it says of an answer on its own; of a criterion that it has no measure for, the worst."""
        found = {}
        for key, words, text in _CRITERION.findall(criteria):
            levels = json.loads(words) if words[0] == "[" else [str(i) for i in range(int(words[6:-1]) + 1)]
            name = text.partition(":")[0]
            low, high = self.ranges.get(name, (0.0, 1.0))
            value = self.measures[name](prompt, answer) if name in self.measures else low
            value += self.steps[0] * (self.noise * drawn.gauss(0, 1) + self.length * len(answer) / 100)
            share = min(1.0, max(0.0, (value - low) / (high - low)))
            found[key] = {
                "reason": f"{value:.2f} by {name}",
                "quote": answer[:_QUOTED],
                "verdict": levels[round(share * (len(levels) - 1))],
            }
        return found

    @staticmethod
    def _most_criteria(body: Mapping[str, Any]) -> int | None:
        """How many criteria the question's schema allows; None where it says nothing."""
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
        most: int | None = schema.get("properties", {}).get("criteria", {}).get("maxItems")
        return most

    def _listed(
        self, prompt: str, texts: Mapping[str, str], tiers: Mapping[str, str], drawn: random.Random
    ) -> list[dict[str, Any]]:
        """Scores of a list: an answer begins in the middle, and gains and loses by every other one; errors count as differences from all others."""
        answers = {name: text for name, text in texts.items() if name.startswith("answer ")}
        found = []
        for name, text in answers.items():
            gaps = [
                self._score(self.measures[measure](prompt, text) - self.measures[measure](prompt, other))
                for measure, _ in self._known(tiers)
                for other in answers.values()
                if other != text
            ]
            mean = sum(gaps) / len(gaps) if gaps else 0.0
            longer = len(text) - sum(map(len, answers.values())) / len(answers)
            mean += self.place * (name == "answer 1") + self.noise * drawn.gauss(0, 1) + self.length * longer / 100
            found.append(
                {"answer": name, "reason": f"a mean difference of {mean:.2f}", "score": min(10, max(0, round(5 + 2.5 * mean)))}
            )
        return found

    def _known(self, tiers: Mapping[str, str]) -> list[tuple[str, str]]:
        """The principles of the question that it has a measure for."""
        return [(name, tier) for name, tier in tiers.items() if name in self.measures]

    def _score(self, gap: float) -> int:
        size = sum(abs(gap) >= step for step in self.steps)
        return size if gap > 0 else -size


def _said_in(answer: str) -> str:
    """Words to quote: the beginning of the first line that is no fence of a conversation's turn."""
    return next((line[:_QUOTED] for line in answer.split("\n") if line.strip() and not line.startswith("=")), "")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def _handler_of(judge: ProgrammaticJudge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            said = json.dumps(judge.reply(body))
            usage = {
                "prompt_tokens": sum(len(one["content"]) for one in body["messages"]) // 4,
                "completion_tokens": len(said) // 4,
            }
            message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
            whole = {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [message]}
            raw = json.dumps({**whole, "usage": {**usage, "total_tokens": sum(usage.values())}}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *words: Any) -> None:
            """Nothing is written about requests."""

    return Handler
