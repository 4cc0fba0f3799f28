"""Instructions of IFBench about an answer's form: formats, and the benchmark's own tasks of one shape."""

from __future__ import annotations

import csv
import io
import re
import string
from collections.abc import Callable
from datetime import date

from steelyard.checks._ifbench_words import MARKS, NO_MARKS, bare, rising
from steelyard.checks.text import sentences
from steelyard.folding import without_accents

_CAPITALS = (
    "Reykjavik Helsinki Oslo Tallinn Stockholm Riga Moscow Copenhagen Vilnius Minsk Dublin Berlin Amsterdam Warsaw London Brussels Prague "
    "Luxembourg Paris Vienna Bratislava Budapest Vaduz Chisinau Bern Ljubljana Zagreb"
)
NORTH_TO_SOUTH = _CAPITALS.split()
"""Europe's capitals above 45 degrees north, as the benchmark orders them."""
COUNTRIES_OF_AFRICA = 52
"""The fewest names that count as all of them."""
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2300-\u23ff\u3030\u303d\u3297\u3299\u00a9\u00ae\u203c\u2049\u2122\ufe0f\u200d\u20e3]"
)


def _nested(answer: str) -> bool:
    closing, open_ones, deepest = {")": "(", "]": "[", "}": "{"}, [], 0
    for char in answer:
        if char in "([{":
            open_ones.append(char)
            deepest = max(deepest, len(open_ones))
        elif char in closing:
            if not open_ones or open_ones.pop() != closing[char]:
                open_ones, deepest = [], 0
            elif deepest >= 5:
                return True
    return False


def _nested_quotes(answer: str) -> bool:
    open_ones: list[str] = []
    deepest = 0
    for char in answer.translate(str.maketrans("\u201c\u201d\u2018\u2019", "\"\"''")):
        if char in "\"'":
            if open_ones and open_ones[-1] == char:
                open_ones.pop()
                if deepest - len(open_ones) >= 3:
                    return True
            else:
                open_ones.append(char)
                deepest = max(deepest, len(open_ones))
    return False


def _options(answer: str, options: str) -> bool:
    lettered = re.match(r"\W*a\W*b\W*c\W*", options, re.IGNORECASE) is not None
    separator = "/" if "/" in options else "or" if "or" in options else ","
    listed = [option.strip() for option in options.split(separator)]
    if lettered:
        return answer.strip() in listed
    return answer.strip(MARKS + "\n").lower() in {option.strip(MARKS).lower() for option in listed}


def _a_word_a_line(answer: str) -> bool:
    return all(len(line.split()) <= 1 for line in answer.translate(NO_MARKS).splitlines())


def _emoji(answer: str) -> bool:
    parts = [part for part in re.split(r"(?<=[.!?\u3002])\s+|\n+", answer.strip()) if part.strip(MARKS)]
    for i, part in enumerate(parts):
        kept = part.translate(NO_MARKS).strip()
        # What stands after the full stop belongs to the sentence before it.
        after = parts[i + 1].translate(NO_MARKS).strip() if i + 1 < len(parts) else ""
        if kept and not _EMOJI.match(kept[-1]) and not (after and _EMOJI.match(after[0])):
            return False
    return bool(parts)


def _stairs(answer: str) -> bool:
    indents = [len(line) - len(line.lstrip(" ")) for line in answer.split("\n") if line.strip()]
    return rising(indents)


def _explained_quotes(answer: str) -> bool:
    text = "".join(answer.translate(str.maketrans("\u201c\u201d", '""')).split())
    return '""' not in text and not text.strip(string.digits + string.punctuation.replace('"', "")).endswith('"')


def _thesis(answer: str) -> bool:
    open_ended = set()
    for opening in re.finditer(r"<(i|em)>", answer):
        # A tag of which none is closed any more is looked for once, and not from each of its openings.
        end = -1 if opening[1] in open_ended else answer.find(f"</{opening[1]}>", opening.end())
        if end >= 0:
            return bool(answer[opening.end() : end].strip()) and bool(answer[end + len(opening[1]) + 3 :].strip())
        open_ended.add(opening[1])
        if len(open_ended) == 2:
            break
    return False


def _sub_bullets(answer: str) -> bool:
    parts = answer.split("*")[1:]
    return bool(parts) and all("-" in part for part in parts)


def _sentences_then_bullets(answer: str) -> bool:
    said, _, _ = answer.partition("\n*")
    lines = [line.strip() for line in answer[len(said) :].split("\n") if line.strip()]
    return len(sentences(said)) >= 2 and len(lines) >= 2 and all(line.startswith("*") for line in lines)


def _questions(answer: str) -> bool:
    if not answer.startswith("Question"):
        return False
    lengths = []
    for block in re.split(r"Question \d+[.):;]?\s*", answer)[1:]:
        lines = [line.strip() for line in block.split("\n")]
        options = [i for i, line in enumerate(lines) if re.match(r"[A-Ea-e][.)]\s*\w", line)]
        if len(options) != 5:
            return False
        lengths.append(len(" ".join(lines[: options[0]])))
    return len(lengths) == 4 and rising(lengths)


def _africa(answer: str) -> bool:
    lines = [without_accents(line.strip(MARKS)) for line in answer.split("\n") if line.strip(MARKS)]
    start = next((i for i, line in enumerate(lines) if "Zimbabwe" in line), None)
    listed = [] if start is None else lines[start:]
    return len(listed) >= COUNTRIES_OF_AFRICA and listed == sorted(listed, reverse=True)


def _reversed_words(answer: str) -> bool:
    return "bald eagle" in " ".join(reversed(bare(answer))) and len(sentences(answer)) == 1


def _sentence_alphabet(answer: str) -> bool:
    letters = "".join(sentence.lstrip(MARKS)[:1].lower() for sentence in sentences(answer))
    return letters == string.ascii_lowercase


def _capitals(answer: str) -> bool:
    return [name.strip(" .\n") for name in without_accents(answer).split(",") if name.strip()] == NORTH_TO_SOUTH


def _rows(answer: str, header: str, count: int, delimiter: str = ",") -> list[list[str]] | None:
    try:
        rows = list(csv.reader(io.StringIO(answer.strip()), delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        return None
    wanted = header.split()
    whole = len(rows) == count + 1 and rows[0] == wanted and all(len(row) == len(wanted) for row in rows)
    return rows if whole else None


def _csv_special(answer: str) -> bool:
    rows = _rows(answer, "ProductID Category Brand Price Stock", 14)
    quoted = re.findall(r'"([^"\n]*)"', answer.partition("\n")[2])
    return rows is not None and any(re.search(r"[^\w\s]", field) for field in quoted)


def _csv_quotes(answer: str) -> bool:
    rows = _rows(answer, "StudentID Subject Grade Semester Score", 3, "\t")
    fields = [field.strip() for line in answer.strip().split("\n") for field in line.split("\t")]
    return rows is not None and all(len(field) > 1 and field[0] == field[-1] == '"' for field in fields)


def _dates(answer: str) -> bool:
    for text in answer.split(","):
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip()):
            return False
        try:
            found = date.fromisoformat(text.strip())
        except ValueError:
            return False
        if not 1769 <= found.year <= 1821:
            return False
    return True


def _title_case(answer: str) -> bool:
    return all(not word[0].islower() for word in re.findall(r"\w+(?:['\u2019-]\w+)*", answer))


OF_FORM: dict[str, Callable[..., bool]] = {
    "custom:character_reverse": lambda answer: "elgae dlab" in answer.lower(),
    "custom:csv_city": lambda answer: _rows(answer, "ID Country City Year Count", 7) is not None,
    "custom:csv_quotes": _csv_quotes,
    "custom:csv_special_character": _csv_special,
    "custom:date_format_list": _dates,
    "custom:european_capitals_sort": _capitals,
    "custom:mcq_count_length": _questions,
    "custom:multiples": lambda answer: re.findall(r"\d+", answer) == [str(i) for i in range(14, 51, 7)],
    "custom:reverse_newline": _africa,
    "custom:sentence_alphabet": _sentence_alphabet,
    "custom:word_reverse": _reversed_words,
    "format:emoji": _emoji,
    "format:line_indent": _stairs,
    "format:list": lambda answer, sep: answer.count(sep) >= 2,
    "format:newline": _a_word_a_line,
    "format:no_bullets_bullets": _sentences_then_bullets,
    "format:no_whitespace": lambda answer: not re.search(r"\s", answer),
    "format:options": _options,
    "format:output_template": lambda answer: all(part in answer for part in ("My Answer:", "My Conclusion:", "Future Outlook:")),
    "format:parentheses": _nested,
    "format:quote_unquote": _explained_quotes,
    "format:quotes": _nested_quotes,
    "format:sub-bullets": _sub_bullets,
    "format:thesis": _thesis,
    "format:title_case": _title_case,
}
