"""Instructions of IFBench about an answer's form: formats, and the benchmark's own tasks of one shape."""

from __future__ import annotations

import csv
import io
import re
import string
from collections.abc import Callable
from itertools import islice, pairwise

import regex

from steelyard.checks._ifbench_words import MARKS, NO_MARKS, bare, rising
from steelyard.checks._published import sentences, tokens
from steelyard.folding import without_accents

_CAPITALS = (
    "Reykjavik Helsinki Oslo Tallinn Stockholm Riga Moscow Copenhagen Vilnius Minsk Dublin Berlin Amsterdam Warsaw London Brussels Prague "
    "Luxembourg Paris Vienna Bratislava Budapest Vaduz Chisinau Bern Ljubljana Zagreb"
)
NORTH_TO_SOUTH = _CAPITALS.split()
"""Europe's capitals above 45 degrees north, as the benchmark orders them."""
COUNTRIES_OF_AFRICA = 52
"""The fewest names that count as all of them."""
_EMOJI = regex.compile(r"[\p{Emoji}--[0-9#*\U0001f1e6-\U0001f1ff]]", regex.V1)


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
    for char in answer:
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
    separator = "/" if "/" in options else "or" if "or" in options else ","
    listed = [option.strip() for option in options.split(separator)]
    if re.match(r"\W*a\W*b\W*c\W*", options, re.IGNORECASE):
        return answer in listed
    return answer.strip(MARKS).lower() in {option.strip(MARKS).lower() for option in listed}


def _a_word_a_line(answer: str) -> bool:
    """As many lines as words; a line of blanks counts as one."""
    text = answer.translate(NO_MARKS).strip()
    return sum(map(bool, text.split("\n"))) == len(text.split())


def _emoji(answer: str) -> bool:
    """An emoji is one of a sentence's last two signs beside ASCII marks, or the first sign of the next sentence."""
    said = [sentence.translate(NO_MARKS).strip() for sentence in sentences(answer)]
    return all(text and (_EMOJI.search(text[-2:]) or _EMOJI.match(after)) for text, after in pairwise([*said, ""]))


def _stairs(answer: str) -> bool:
    """Of empty lines in a row only every other one is passed over."""
    lines, kept = iter(answer.split("\n")), []
    for line in lines:
        if line.strip():
            kept.append(line)
        else:
            kept.extend(islice(lines, 1))
    return rising([len(line) - len(line.lstrip(" ")) for line in kept])


def _explained_quotes(answer: str) -> bool:
    text = "".join(answer.replace("'\"'", "").split())
    return '""' not in text and not text.strip(string.digits + string.punctuation.replace('"', "")).endswith('"')


def _thesis(answer: str) -> bool:
    """Text in the first `<i>`, or else `<em>`, and after it; either tag is taken to be as long as that of `<i>`."""
    begin = answer.find("<i>" if "<i>" in answer else "<em>")
    if begin < 0:
        return False
    end = next((at for at in (answer.find("</i>", begin), answer.find("</em>", begin)) if at >= 0), -1)
    return end >= 0 and bool(answer[begin + 3 : end].strip()) and bool(answer[end + 4 :].strip())


def _sentences_then_bullets(answer: str) -> bool:
    """Two sentences, at most one empty line, and nothing but bullets to the very end."""
    lines = [line.strip() for line in answer.split("\n")]
    first = next((i for i, line in enumerate(lines) if line.startswith("*")), len(lines))
    said, bullets = lines[:first], lines[first:]
    if not all(said[:-1]) or sum(len(sentences(line)) for line in said) < 2:
        return False
    return len(bullets) >= 2 and all(line.startswith("*") for line in bullets)


def _questions(answer: str) -> bool:
    if not answer.startswith("Question"):
        return False
    lengths = []
    for block in re.split(r"Question \d+[.|):;]?\s*", answer):
        lines = [line.strip() for line in block.strip().split("\n")]
        options = [i for i, line in enumerate(lines) if re.match(r"[A-Ea-e][.|)]\s*\w", line)]
        if block.strip():
            if len(options) != 5:
                return False
            lengths.append(len(" ".join(lines[: options[0]]).strip()))
    return len(lengths) == 4 and rising(lengths)


def _africa(answer: str) -> bool:
    lines = [without_accents(line.strip(MARKS)) for line in answer.split("\n") if line.strip(MARKS)]
    start = next((i for i, line in enumerate(lines) if "Zimbabwe" in line), None)
    listed = [] if start is None else lines[start:]
    return len(listed) >= COUNTRIES_OF_AFRICA and listed == sorted(listed, reverse=True)


def _sentence_alphabet(answer: str) -> bool:
    letters = "".join(sentence.lstrip()[:1].lower() for sentence in sentences(answer))
    return letters == string.ascii_lowercase


def _capitals(answer: str) -> bool:
    return [name.strip() for name in without_accents(answer).split(",") if name.strip()] == NORTH_TO_SOUTH


def _rows(answer: str, delimiter: str = ",") -> list[list[str]]:
    """The rows of a table; none where it cannot be read."""
    try:
        return list(csv.reader(io.StringIO(answer), delimiter=delimiter))
    except csv.Error:
        return []


def _begins_with(answer: str, columns: str, separator: str) -> bool:
    """Whether the first line names the columns, each with or without quotes."""
    named = separator.join(f'(?:{name}|"{name}")' for name in columns.split())
    return re.fullmatch(named, answer.split("\n")[0].strip()) is not None


def _csv_city(answer: str) -> bool:
    rows = _rows(answer)
    return len(rows) == 8 and rows[0] == ["ID", "Country", "City", "Year", "Count"] and all(len(row) == 5 for row in rows[1:])


def _csv_special(answer: str) -> bool:
    """Rows after the first field with a special character in quotes are not looked at."""
    rows = _rows(answer.replace('"', '"""'))
    if len(rows) != 15 or not _begins_with(answer, "ProductID Category Brand Price Stock", r",[ \t]*"):
        return False
    for row in rows[1:]:
        if len(row) != 5:
            return False
        lines = [field.split("\n")[0] for field in row]
        if any(line[:1] == '"' and re.search(r"[^\w\s]", line[1 : max(1, line.rfind('"'))]) for line in lines):
            return True
    return False


def _csv_quotes(answer: str) -> bool:
    rows = _rows(answer.replace('"', '"""'), "\t")
    whole = len(rows) == 4 and _begins_with(answer, "StudentID Subject Grade Semester Score", r"\t *")
    fields = [field.strip() for row in rows for field in row]
    return whole and all(len(row) == 5 for row in rows) and all(field[:1] == field[-1:] == '"' for field in fields)


_DAYS = {2: 29} | dict.fromkeys((4, 6, 9, 11), 30) | dict.fromkeys((1, 3, 5, 7, 8, 10, 12), 31) | {0: 99}


def _dates(answer: str) -> bool:
    """Months and days may be 0, and every February has 29."""
    for text in answer.split(","):
        found = re.fullmatch(r"(\d{4})-(\d{2})-(\d{2})", text.strip())
        year, month, day = map(int, found.groups()) if found else (0, 0, 0)
        if not 1769 <= year <= 1821 or month not in _DAYS or day > _DAYS[month]:
            return False
    return True


def _title_case(answer: str) -> bool:
    """No word is wholly in lower case, or in capitals after a small letter."""
    return not any(word[0].islower() and (len(word) == 1 or word[1:].islower() or word[1:].isupper()) for word in tokens(answer))


OF_FORM: dict[str, Callable[..., bool]] = {
    "custom:character_reverse": lambda answer: "elgae dlab" in answer.lower(),
    "custom:csv_city": _csv_city,
    "custom:csv_quotes": _csv_quotes,
    "custom:csv_special_character": _csv_special,
    "custom:date_format_list": _dates,
    "custom:european_capitals_sort": _capitals,
    "custom:mcq_count_length": _questions,
    "custom:multiples": lambda answer: re.findall(r"\d+", answer) == [str(i) for i in range(14, 51, 7)],
    "custom:reverse_newline": _africa,
    "custom:sentence_alphabet": _sentence_alphabet,
    "custom:word_reverse": lambda answer: "bald eagle" in " ".join(reversed(bare(answer))),
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
    "format:sub-bullets": lambda answer: all("-" in part for part in answer.split("*")[1:]),
    "format:thesis": _thesis,
    "format:title_case": _title_case,
}
