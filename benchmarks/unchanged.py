"""Do two versions of Steelyard give the same runs and the same verdicts? For a change that must not move a number.

    PYTHONPATH=/path/to/old/src python benchmarks/unchanged.py record before     # the version before the change
    PYTHONPATH=src              python benchmarks/unchanged.py record after
    PYTHONPATH=src              python benchmarks/unchanged.py resume before after-resumed
    python benchmarks/unchanged.py compare before after

`record` trains sums-fixed, sums-normalized and a supervised run, judges pairs on a server whose replies depend on the question alone, and
leaves one run of each kind killed on its way. `resume` copies the killed runs of another version and goes on with them: they must end as the runs that
were not killed. `compare` reads both folders: everything but times has to be equal, byte for byte where a file holds no times.
Runs on one CPU thread; about ten minutes for `record`.
"""

import asyncio
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
TIMES = ("seconds", "checkpoint_seconds")
WORDS = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heath",
    "inlet",
    "jetty",
    "knoll",
    "larch",
    "marsh",
    "north",
    "ocean",
    "pearl",
    "quill",
    "ridge",
    "stone",
    "thorn",
]


def texts(path):
    """A file of rows in five languages of invented words, from 400 rows down to 12."""
    with path.open("w", encoding="utf-8") as file:
        for number, (name, rows) in enumerate({"en": 400, "fr": 150, "sw": 60, "yo": 24, "lo": 12}.items()):
            for row in range(rows):
                picked = hashlib.sha256(f"{name} {row}".encode()).digest()
                words = [WORDS[byte % len(WORDS)][: 3 + (byte + number) % 3] + name for byte in picked[:14]]
                file.write(json.dumps({"text": " ".join(words), "domain": name}) + "\n")


def pairs(path):
    """Pairs of which some are decided by checks, some by the judge, and one is twice the same answer."""
    with path.open("w", encoding="utf-8") as file:
        for row in range(48):
            better = " ".join(WORDS[(row * 7 + i) % len(WORDS)] for i in range(8 + row % 5))
            worse = better if row == 7 else " ".join(WORDS[(row * 3 + i) % len(WORDS)] for i in range(5 + row % 9))
            kind = ("Write a haiku about rain.", "Solve 2x + 3 = 7.", "Translate into French: good night", "Name a stone.")[
                row % 4
            ]
            one = {
                "id": f"p{row}",
                "prompt": f"{kind} ({row})",
                "a": better,
                "b": worse,
                "label": "ab"[row % 2],
                "answer": "2",
                "subject": "general",
            }
            if row % 6 == 0:
                one["criteria"] = [
                    {"name": "truth", "description": "is true", "tier": "hard"},
                    {"name": "tone", "description": "is kind"},
                ]
            file.write(json.dumps(one) + "\n")


class Server:
    """Answers every question by a hash of it, as its JSON schema asks."""

    def __init__(self):
        self.loop, ready = asyncio.new_event_loop(), threading.Event()

        def run():
            server = self.loop.run_until_complete(asyncio.start_server(self.handle, "127.0.0.1", 0, backlog=512))
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            self.loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        ready.wait(10)

    async def handle(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"content-length: *(\d+)", head.lower())[1])
                body = json.loads(await reader.readexactly(length))
                raw = json.dumps(reply(body)).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(raw) + raw)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def reply(body):
    said = body["messages"][-1]["content"]
    schema = body["response_format"]["json_schema"]["schema"]
    content = json.dumps(filled(schema, schema.get("$defs", {}), said, "root", answers(said)))
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    usage = {"prompt_tokens": len(said), "completion_tokens": len(content), "total_tokens": len(said) + len(content)}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice], "usage": usage}


def answers(said):
    return dict(re.findall(r"^=+ beginning of ([^\n]+)\n(.*?)\n=+ end of \1$", said, re.S | re.M))


def filled(schema, named, said, at, shown):
    """A value that the schema allows, chosen by a hash of the question and of the place."""
    if "$ref" in schema:
        return filled(named[schema["$ref"].rpartition("/")[2]], named, said, at, shown)
    number = int.from_bytes(hashlib.sha256(f"{at} {said}".encode()).digest()[:4], "big")
    if "enum" in schema:
        # The scores of given criteria: each of the names once.
        place = re.search(r"\[(\d+)\]\.name$", at)
        return schema["enum"][int(place[1]) % len(schema["enum"]) if place else number % len(schema["enum"])]
    if schema["type"] == "object":
        return {key: filled(part, named, said, f"{at}.{key}", shown) for key, part in schema["properties"].items()}
    if schema["type"] == "array":
        low, high = schema.get("minItems", 0), schema["maxItems"]
        return [filled(schema["items"], named, said, f"{at}[{i}]", shown) for i in range(low + number % (high - low + 1))]
    if at.endswith((".quote_1", ".quote_2")):
        return shown.get(f"answer {at[-1]}", "").partition(" ")[0] if number % 5 else "not there"
    return f"{WORDS[number % len(WORDS)]} {number % 97}"


JUDGED = {
    "both": ["--html", "both.html"],
    "adaptive": ["--orders", "adaptive", "--decisive", "1.5"],
    "one": ["--orders", "one", "--stages", "2", "--criteria", "3"],
    "sum": ["--orders", "sum", "--stages", "3", "--rubric", "general"],
    "per-prompt": ["--per-prompt", "--domain", "judge"],
    "checks": ["--guard", "words:at_least=6", "--reward", "contains:phrases=[stone]", "--reward", "no-repetition:ngram=2"],
    "column": ["--domain", "subject", "--guard", "sentences:at_most=3"],
}
TRAINED = {
    "fixed": ["sums-fixed", "--set", "algorithm.steps=30"],
    "normalized": ["sums-normalized", "--set", "algorithm.steps=30"],
    "supervised": [
        "bytes-scratch",
        "--set",
        "data.source=texts.jsonl",
        "--set",
        "training.steps=60",
        "--set",
        "validation.every=15",
        "--set",
        "checkpoint.every=15",
    ],
}
KILLED_AFTER = {"fixed": 14, "normalized": 13, "supervised": 34}


def steelyard(*words, folder):
    return subprocess.run(
        [sys.executable, "-m", "steelyard", *words], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, text=True
    )


def killed(name, folder):
    """A run that is killed after an update."""
    words = [sys.executable, "-m", "steelyard", "train", *TRAINED[name], "--out", f"{name}-killed"]
    process = subprocess.Popen(words, cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    steps = folder / f"{name}-killed" / "steps.jsonl"
    while process.poll() is None:
        if steps.is_file() and steps.read_bytes().count(b"\n") >= KILLED_AFTER[name]:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return
        time.sleep(0.02)
    raise SystemExit(f"{name} ended before it could be killed")


def record(folder):
    folder.mkdir(parents=True)
    texts(folder / "texts.jsonl")
    pairs(folder / "pairs.jsonl")
    server = Server()
    for name, options in JUDGED.items():
        words = [
            "judge",
            "pairs.jsonl",
            "--base-url",
            f"http://127.0.0.1:{server.port}/v1",
            "--model",
            "m",
            "--out",
            f"{name}.jsonl",
        ]
        # One at a time, so that the lines have one order.
        done = steelyard(*words, "--concurrency", "1", "--show", "2", *options, folder=folder)
        (folder / f"{name}.txt").write_text(done.stdout)
    (folder / "stats.txt").write_text(steelyard("rubric", "stats", "both.jsonl", folder=folder).stdout)
    for name, options in TRAINED.items():
        steelyard("train", *options, "--out", name, folder=folder)
        killed(name, folder)


def resume(source, folder):
    folder.mkdir(parents=True)
    texts(folder / "texts.jsonl")
    for name, options in TRAINED.items():
        shutil.copytree(source / f"{name}-killed", folder / name)
        steelyard("report", name, "--out", f"{name}-killed.html", folder=folder)
        steelyard("train", *options, "--out", name, "--resume", folder=folder)


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(part) for key, part in value.items() if key not in TIMES}
    return [without_times(part) for part in value] if isinstance(value, list) else value


def content(path):
    """What has to be equal of a file."""
    if path.suffix == ".jsonl":
        # Keys keep their order: a file is what it is, but for the times in it. Verdicts come in the order in which they are ready.
        lines = [json.dumps(without_times(json.loads(line))) for line in path.read_text(encoding="utf-8").splitlines()]
        return sorted(lines) if lines and lines[0].startswith('{"id": ') else lines
    return path.read_bytes()


def compare(first, second):
    """Every file that either holds, but pages (they show times) and what libraries keep for themselves."""
    wrong, seen = [], 0
    passed_over = re.compile(
        r"\.html$|\.lock$|-killed/|training_args\.bin$|optimizer\.pt$|rng_state\.pth$|scheduler\.pt$|trainer_state\.json$"
    )
    names = {str(path.relative_to(root)) for root in (first, second) for path in root.rglob("*") if path.is_file()}
    for name in sorted(names):
        if passed_over.search(name):
            continue
        if not (first / name).is_file() or not (second / name).is_file():
            if first.name.endswith("resumed") or second.name.endswith("resumed"):
                continue
            wrong.append(f"{name}: there in one of them alone")
            continue
        seen += 1
        if content(first / name) != content(second / name):
            wrong.append(f"{name}: differs")
    print(*wrong, f"{seen} files compared, {len(wrong)} differ", sep="\n")
    return 1 if wrong or not seen else 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record", folder]:
            record(Path(folder).resolve())
        case ["resume", source, folder]:
            resume(Path(source).resolve(), Path(folder).resolve())
        case ["compare", first, second]:
            sys.exit(compare(Path(first), Path(second)))
        case _:
            sys.exit(__doc__)
