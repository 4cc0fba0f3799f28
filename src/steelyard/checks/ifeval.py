"""Instructions that come with a prompt: the 25 kinds of IFEval, by the names and arguments of its data (and those of `checks._ifbench`).

Every function says whether one answer follows one instruction, and gives the verdict of the published checkers (Zhou et al., arXiv 2311.07911, and
Pyatkin et al., arXiv 2507.02833) wherever that is a rule. Sentences and words are counted as they count them (`checks._published`): `checks.text`
follows the language instead. What still deviates, and why:

- languages are recognised by py3langid, which needs no seed; the published checkers use langdetect, which takes short and capital texts for others;
- a code as "zh-CN" asks for its first part; langdetect never says "zh", so that no answer would follow;
- Punkt's 20,000 words are no part of this package: initials and abbreviations before words with a capital may be taken otherwise;
- keywords, forbidden words and sections are texts; the published checkers read them as patterns, and end at "c++";
- `keywords:letter_frequency` counts the sign it is given; for one other than a to z the published checker draws a letter at random;
- a number or a relation that is missing is refused, or "at least"; the published checkers draw one at random;
- what ends a published checker (fields that are empty, JSON that is nested too deeply) is no failure to judge: the answer does not follow;
- `repeat:repeat_span` counts words, as its prompts say; the published checker counts characters now;
- `count:person_names` takes its names from the prompt where it lists some; the published checker knows its 50 alone;
- emoji are those of the `regex` library's Unicode, which may be newer.
"""

from __future__ import annotations

import inspect
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from steelyard.checks._ifbench import IFBENCH
from steelyard.checks._published import sentences, tokens
from steelyard.checks.base import CHECKS, Function, that_leaves_out
from steelyard.checks.content import in_language
from steelyard.checks.form import is_json
from steelyard.errors import InputError, nearest
from steelyard.fields import is_missing


def _relation(count: int, relation: str | None, wanted: float) -> bool:
    if relation == "less than":
        return count < wanted
    if relation in (None, "at least"):
        return count >= wanted
    raise InputError(f"unknown relation {relation!r}: use 'at least' or 'less than'")


def _existence(answer: str, keywords: list[str]) -> bool:
    return all(re.search(re.escape(word), answer, re.IGNORECASE) for word in keywords)


def _frequency(answer: str, keyword: str, frequency: int, relation: str | None = None) -> bool:
    return _relation(len(re.findall(re.escape(keyword.strip()), answer, re.IGNORECASE)), relation, frequency)


def _forbidden(answer: str, forbidden_words: list[str]) -> bool:
    return not any(re.search(rf"\b{re.escape(word)}\b", answer, re.IGNORECASE) for word in forbidden_words)


def _letters(answer: str, letter: str, let_frequency: int, let_relation: str | None = None) -> bool:
    return _relation(answer.lower().count(letter.lower()), let_relation, let_frequency)


def _language(answer: str, language: str) -> bool:
    # A text without letters is in no language: no failure.
    return not any(map(str.isalpha, answer)) or in_language(answer, language) is True


def _sentences(answer: str, num_sentences: int, relation: str | None = None) -> bool:
    return _relation(len(sentences(answer)), relation, num_sentences)


def _starred_paragraphs(answer: str, num_paragraphs: int) -> bool:
    """IFEval asks for paragraphs parted by `***`."""
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", answer)]
    inner = parts[1:-1]
    return all(inner) and sum(bool(part) for part in parts) == num_paragraphs


def _words(answer: str, num_words: int, relation: str | None = None) -> bool:
    return _relation(len(re.findall(r"\w+", answer)), relation, num_words)


def _nth_first_word(answer: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Empty paragraphs are not counted, but stand in the row in which the nth is looked for."""
    parts = [part.strip() for part in answer.split("\n\n")]
    if sum(map(bool, parts)) != num_paragraphs or not 1 <= nth_paragraph <= num_paragraphs or not parts[nth_paragraph - 1]:
        return False
    word = parts[nth_paragraph - 1].split()[0].lstrip("'").lstrip('"')
    return re.split(r"[.,?!'\"]", word, maxsplit=1)[0].lower() == first_word.lower()


def _placeholders(answer: str, num_placeholders: int) -> bool:
    count = 0
    for line in answer.split("\n"):
        at = 0
        # A pattern would look for the end from every beginning.
        while (begin := line.find("[", at)) >= 0 and (end := line.find("]", begin)) >= 0:
            count, at = count + 1, end + 1
    return count >= num_placeholders


_POSTSCRIPTS = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}


def _postscript(answer: str, postscript_marker: str) -> bool:
    """The marker stands anywhere; of the two in the data the letters may be parted by a blank, and the points are needed."""
    marker = postscript_marker.strip()
    return re.search(_POSTSCRIPTS.get(marker, re.escape(marker.lower())), answer.lower()) is not None


def _bullets(answer: str, num_bullets: int) -> bool:
    found = re.findall(r"^[^\S\n]*\*[^*].*$", answer, re.MULTILINE) + re.findall(r"^[^\S\n]*-.*$", answer, re.MULTILINE)
    return len(found) == num_bullets


def _constrained(answer: str) -> bool:
    return any(option in answer for option in ("My answer is yes.", "My answer is no.", "My answer is maybe."))


def _highlights(answer: str, num_highlights: int) -> bool:
    """Text between single and between double asterisks is looked for separately, so that some counts twice."""
    single = sum(bool(part.strip("*").strip()) for part in re.findall(r"\*[^\n*]*\*", answer))
    double = sum(bool(part.strip()) for part in re.findall(r"\*\*([^\n*]*)\*\*", answer))
    return single + double >= num_highlights


def _sections(answer: str, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", answer)) >= num_sections


def _json(answer: str) -> bool:
    """A fence's two ends are cut off separately: either may be missing."""
    text = answer.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        text = text.removeprefix(fence)
    return is_json(text.removesuffix("```").strip(), fenced=False)


def _title(answer: str) -> bool:
    """From the first `<<` of a line to its last `>>` there is more than angle brackets and blanks."""
    for line in answer.split("\n"):
        begin, end = line.find("<<"), line.rfind(">>")
        if 0 <= begin < end - 2 and line[begin:end].lstrip("<").rstrip(">").strip():
            return True
    return False


def _two_responses(answer: str) -> bool:
    parts = answer.split("******")
    kept = [part.strip() for i, part in enumerate(parts) if part.strip() or 0 < i < len(parts) - 1]
    return len(kept) == 2 and all(kept) and kept[0] != kept[1]


def _repeat_prompt(answer: str, prompt_to_repeat: str) -> bool:
    return answer.strip().lower().startswith(prompt_to_repeat.strip().lower())


def _end(answer: str, end_phrase: str) -> bool:
    return answer.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def _capital_words(answer: str, capital_frequency: int, capital_relation: str | None = None) -> bool:
    return _relation(sum(map(str.isupper, tokens(answer))), capital_relation, capital_frequency)


def _quotation(answer: str) -> bool:
    text = answer.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


IFEVAL: dict[str, Callable[..., bool]] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden,
    "keywords:letter_frequency": _letters,
    "language:response_language": _language,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": _starred_paragraphs,
    "length_constraints:number_words": _words,
    "length_constraints:nth_paragraph_first_word": _nth_first_word,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": _constrained,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeat_prompt,
    "startend:end_checker": _end,
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": lambda answer: answer.isupper() and _language(answer.lower(), "en"),
    "change_case:english_lowercase": lambda answer: answer.islower() and _language(answer, "en"),
    "punctuation:no_comma": lambda answer: "," not in answer,
    "startend:quotation": _quotation,
}
"""Functions by IFEval's instruction ids: the answer, and the arguments that are not None."""


def follows(instruction: str, answer: str, arguments: Mapping[str, Any] | None = None, prompt: str = "") -> bool:
    """Whether an answer follows one instruction of IFEval or IFBench; an empty answer follows none.

    Args:
        instruction: its id in the benchmark's data.
        answer: a text.
        arguments: of the instruction; those that are None are left out, as the data has them.
        prompt: for the few instructions that refer to a list in it.

    Raises:
        InputError: where there is no such instruction, or its arguments are others.

    Example:
        >>> follows("punctuation:no_comma", "One two."), follows("keywords:frequency", "a b a", {"keyword": "a", "frequency": 3})
        (True, False)
    """
    known = {**IFEVAL, **IFBENCH}
    if instruction not in known:
        raise InputError(
            f"no check for instruction {instruction!r}{nearest(instruction, known)}: there are the {len(IFEVAL)} of IFEval and {len(IFBENCH)} of IFBench"
        )
    function = known[instruction]
    given = {name: value for name, value in (arguments or {}).items() if value is not None}
    if "prompt" in inspect.signature(function).parameters:
        given["prompt"] = prompt
    try:
        return bool(answer.strip()) and bool(function(answer, **given))
    except InputError as error:
        raise InputError(f"instruction {instruction!r}: {error}") from None
    except (TypeError, AttributeError, ValueError, ArithmeticError, LookupError) as error:
        raise InputError(f"instruction {instruction!r}: its arguments {given} do not fit: {error}") from None


def _instructions(*, ids: str = "instruction_id_list", arguments: str = "kwargs", loose: bool = False) -> Function:
    """The share of a row's instructions (IFEval's and IFBench's) that an answer follows; as a guard, all must be followed. One that is unknown, or whose
    arguments do not fit, is left out with a warning.

    Args:
        ids: the row's column with the instructions' names. A row without one does not apply.
        arguments: the row's column with an object of arguments for each.
        loose: also try the answer without its first or last line, and without asterisks.
    """

    left: Counter[str] = Counter()

    def run(prompt: str, answer: str, columns: Mapping[str, Any]) -> float | None:
        tried, kept = _variants(answer) if loose else [answer], []
        for one, some in _instructions_of(columns, ids, arguments):
            try:
                kept.append(any(follows(one, text, some, prompt) for text in tried))
            except InputError as error:
                left[one] += 1
                if left[one] == 1:
                    warnings.warn(f"{error}; it is left out of the shares", stacklevel=2)
        return sum(kept) / len(kept) if kept else None

    return that_leaves_out(run, left)


def _instructions_of(columns: Mapping[str, Any], ids: str, arguments: str) -> list[tuple[str, Mapping[str, Any] | None]]:
    """A row's instructions, each with its arguments; none where the row has none.

    Raises:
        InputError: where a column is not what it must be.

    Example:
        >>> _instructions_of({"names": ["punctuation:no_comma"], "kwargs": "[{}]"}, "names", "kwargs")
        [('punctuation:no_comma', {})]
    """
    wanted, given = columns.get(ids), columns.get(arguments)
    if is_missing(wanted):
        return []
    if not isinstance(wanted, (list, tuple)) or not all(isinstance(one, str) for one in wanted):
        raise InputError(f"column {ids!r} must be a list of instructions, by their names, but is {str(wanted)[:60]!r}")
    found = given
    if isinstance(found, str) and found:
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            found = None  # it is text, but no JSON: refused below
    elif is_missing(found) or (isinstance(found, (list, tuple, dict)) and not found):
        found = [None] * len(wanted)
    if (
        not isinstance(found, (list, tuple))
        or len(found) != len(wanted)
        or not all(one is None or isinstance(one, Mapping) for one in found)
    ):
        raise InputError(
            f"column {arguments!r} must be a list with an object for each of the row's {len(wanted)} instructions, "
            f"but is {str(given)[:60]!r}"
        )
    return list(zip(wanted, found, strict=True))


CHECKS.add("ifeval")(_instructions)
CHECKS.add("ifbench")(_instructions)


def _variants(answer: str) -> list[str]:
    """An answer as IFEval's loose reading takes it: also without its first or last line, and without asterisks.

    Example:
        >>> _variants("Sure:\\n*Hello*\\nBye")[3]
        '*Hello*'
    """
    lines = answer.split("\n")
    cut = ["\n".join(lines), "\n".join(lines[1:]), "\n".join(lines[:-1]), "\n".join(lines[1:-1])]
    cut = [text.strip() for text in cut]
    return cut + [text.replace("*", "") for text in cut]
