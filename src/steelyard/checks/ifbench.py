"""Instructions of IFBench, by the names and arguments of its data: the 55 of its 58 kinds that need no download.

Every function says whether one answer follows one instruction. Definitions follow the benchmark's (Pyatkin et al., arXiv 2507.02833) with four
deviations: sentences are told by `checks.text` and not by a model that has to be downloaded; where the benchmark passes an answer without the thing
that is asked for (no bullet at all where bullets with sub-bullets are), ours fails it; `repeat:repeat_span` counts in words, as its prompts say;
emoji are told by their Unicode blocks. Left out: `ratio:stop_words`, `words:start_verb` and `words:odd_even_syllables`, which need a list, a tagger
and a dictionary.
"""

from __future__ import annotations

import csv
import io
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable
from datetime import date
from itertools import pairwise

from steelyard.checks.text import sentences

MARKS = string.punctuation + " "
_NO_MARKS = str.maketrans("", "", string.punctuation)
CONJUNCTIONS = frozenset(("and", "but", "for", "nor", "or", "so", "yet"))
_PRONOUNS = (
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it its itself "
    "they them their theirs themselves this that these those who whom whose which what whoever whomever whatever whichever anybody anyone "
    "anything everybody everyone everything nobody nothing somebody someone something each either neither both all some any none"
)
PRONOUNS = frozenset(_PRONOUNS.split())
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
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


def _bare(text: str) -> list[str]:
    """The words of a text without any punctuation, in lower case."""
    return text.lower().translate(_NO_MARKS).split()


def _trimmed(text: str) -> list[str]:
    """The words of a text without the punctuation around them, in lower case."""
    return [word for word in (word.strip(MARKS) for word in text.lower().split()) if word]


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _rising(counts: list[int]) -> bool:
    return all(first < second for first, second in pairwise(counts))


def _ends(text: str, mark: str) -> int:
    return sum(sentence.rstrip("\"'\u201d\u2019)]*_ ").endswith(mark) for sentence in sentences(text))


def _word_range(answer: str, min_words: float, max_words: float) -> bool:
    return min_words <= len(re.findall(r"\w+", answer)) <= max_words


def _balanced(answer: str) -> bool:
    return _ends(answer, ".") == _ends(answer, "?") == _ends(answer, "!") > 0


def _two_to_one(answer: str) -> bool:
    asked = _ends(answer, "?")
    return asked > 0 and _ends(answer, ".") == 2 * asked


def _names(answer: str, N: float, prompt: str) -> bool:
    listed = re.search(r"list of person names:([^.]*)", prompt)
    names = {name.strip() for name in listed[1].split(",")} if listed else set()
    return sum(re.search(rf"\b{re.escape(name)}\b", answer) is not None for name in names if name) >= N


def _overlap(answer: str, reference_text: str, percentage: float) -> bool:
    def trigrams(text: str) -> set[str]:
        return {text[i : i + 3] for i in range(len(text) - 2)}

    found = trigrams(answer)
    return bool(found) and abs(100 * len(found & trigrams(reference_text)) / len(found) - percentage) <= 2


def _keywords(answer: str, **keywords: str) -> bool:
    text = answer.lower()
    return all(text.count(keywords[f"keyword{i}"].strip().lower()) == count for i, count in enumerate((1, 2, 3, 5, 7), start=1))


def _japanese(answer: str, N: float) -> bool:
    wanted = [word.strip(MARKS) for word in answer.split()][int(N) - 1 :: int(N)]
    return bool(wanted) and all(not word or word.isdigit() or _JAPANESE.search(word) for word in wanted)


def _alphabet(answer: str) -> bool:
    letters = [word[0] for word in _bare(answer)]
    return all(letter in string.ascii_lowercase for letter in letters) and all(
        (ord(second) - ord(first)) % 26 == 1 for first, second in pairwise(letters)
    )


def _three_vowels(answer: str) -> bool:
    return "\n" not in answer.strip() and len(set(answer.lower()) & set("aeiou")) <= 3


def _clusters(answer: str) -> bool:
    return all(re.search("[bcdfghjklmnpqrstvwxyz]{2}", word) for word in answer.lower().split())


def _alliteration(answer: str) -> bool:
    """Words that begin as a neighbour does, counted in runs: more in every sentence than in the one before."""
    counts = []
    for sentence in sentences(answer):
        letters = [word.lstrip(MARKS)[:1] for word in sentence.lower().split()]
        same = [first == second for first, second in pairwise(letters)]
        runs = "".join("x" if one else " " for one in same).split()
        counts.append(sum(len(run) + 1 for run in runs))
    return _rising(counts)


def _all_marks(answer: str) -> bool:
    rest = re.sub(r"\?!|!\?|\u203d", "", answer, count=1)
    return rest != answer and set(".,!?;:") <= set(rest)


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


def _prime_lengths(answer: str) -> bool:
    return all(len(word) > 1 and all(len(word) % d for d in range(2, len(word))) for word in _bare(answer))


def _options(answer: str, options: str) -> bool:
    lettered = re.match(r"\W*a\W*b\W*c\W*", options, re.IGNORECASE) is not None
    separator = "/" if "/" in options else "or" if "or" in options else ","
    listed = [option.strip() for option in options.split(separator)]
    if lettered:
        return answer.strip() in listed
    return answer.strip(MARKS + "\n").lower() in {option.strip(MARKS).lower() for option in listed}


def _a_word_a_line(answer: str) -> bool:
    return all(len(line.split()) <= 1 for line in answer.translate(_NO_MARKS).splitlines())


def _emoji(answer: str) -> bool:
    parts = [part for part in re.split(r"(?<=[.!?\u3002])\s+|\n+", answer.strip()) if part.strip(MARKS)]
    for i, part in enumerate(parts):
        kept = part.translate(_NO_MARKS).strip()
        # What stands after the full stop belongs to the sentence before it.
        after = parts[i + 1].translate(_NO_MARKS).strip() if i + 1 < len(parts) else ""
        if kept and not _EMOJI.match(kept[-1]) and not (after and _EMOJI.match(after[0])):
            return False
    return bool(parts)


def _equal_sentences(answer: str) -> bool:
    found = sentences(answer)
    each = [set(_bare(sentence)) for sentence in found]
    different = len(each) == 3 and not (each[0] & each[1] or each[0] & each[2] or each[1] & each[2])
    return different and len({len(sentence) for sentence in found}) == 1


def _no_repeats(answer: str, small_n: float) -> bool:
    return max(Counter(_bare(answer)).values(), default=0) <= small_n


def _sentence_keyword(answer: str, word: str, N: float) -> bool:
    found = sentences(answer)
    return len(found) >= N and re.search(rf"\b{re.escape(word)}\b", found[int(N) - 1], re.IGNORECASE) is not None


def _pronouns(answer: str, N: float) -> bool:
    return sum(word in PRONOUNS for word in re.findall(r"[a-z]+", answer.lower())) >= N


def _last_first(answer: str) -> bool:
    each = [_trimmed(sentence) for sentence in sentences(answer)]
    return all(first and second and first[-1] == second[0] for first, second in pairwise(each))


def _paragraph_ends(answer: str) -> bool:
    each = [_trimmed(line) for line in answer.split("\n")]
    return all(words[0] == words[-1] for words in each if words)


def _growing(answer: str, small_n: float) -> bool:
    counts = [len(_bare(sentence)) for sentence in sentences(answer)]
    return all(second - first == small_n for first, second in pairwise(counts))


def _no_neighbours(answer: str) -> bool:
    words = _bare(answer)
    return all(first[0] != second[0] for first, second in pairwise(words))


def _stairs(answer: str) -> bool:
    indents = [len(line) - len(line.lstrip(" ")) for line in answer.split("\n") if line.strip()]
    return _rising(indents)


def _explained_quotes(answer: str) -> bool:
    text = "".join(answer.translate(str.maketrans("\u201c\u201d", '""')).split())
    return '""' not in text and not text.strip(string.digits + string.punctuation.replace('"', "")).endswith('"')


def _thesis(answer: str) -> bool:
    found = re.search(r"<(i|em)>(.*?)</\1>(.*)", answer, re.DOTALL)
    return found is not None and bool(found[2].strip()) and bool(found[3].strip())


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
    for block in re.split(r"\n*Question \d+[.):;]?\s*", answer)[1:]:
        lines = [line.strip() for line in block.split("\n")]
        options = [i for i, line in enumerate(lines) if re.match(r"[A-Ea-e][.)]\s*\w", line)]
        if len(options) != 5:
            return False
        lengths.append(len(" ".join(lines[: options[0]])))
    return len(lengths) == 4 and _rising(lengths)


def _africa(answer: str) -> bool:
    lines = [_ascii(line.strip(MARKS)) for line in answer.split("\n") if line.strip(MARKS)]
    start = next((i for i, line in enumerate(lines) if "Zimbabwe" in line), None)
    listed = [] if start is None else lines[start:]
    return len(listed) >= COUNTRIES_OF_AFRICA and listed == sorted(listed, reverse=True)


def _reversed_words(answer: str) -> bool:
    return "bald eagle" in " ".join(reversed(_bare(answer))) and len(sentences(answer)) == 1


def _sentence_alphabet(answer: str) -> bool:
    letters = "".join(sentence.lstrip(MARKS)[:1].lower() for sentence in sentences(answer))
    return letters == string.ascii_lowercase


def _capitals(answer: str) -> bool:
    return [name.strip(" .\n") for name in _ascii(answer).split(",") if name.strip()] == NORTH_TO_SOUTH


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


def _keyword_at(answer: str, keyword: str, n: float, m: float) -> bool:
    found = sentences(answer)
    words = _trimmed(found[int(n) - 1]) if len(found) >= n else []
    return len(words) >= m and words[int(m) - 1] == keyword.strip().lower()


def _second_words(answer: str, keyword: str) -> bool:
    words = _trimmed(answer)
    return len(words) > 1 and words[1] == words[-2] == keyword.strip().lower()


def _first_word_changed(answer: str, prompt_to_repeat: str) -> bool:
    asked, said = prompt_to_repeat.split(), answer.split()
    return bool(said) and asked[1:] == said[1:] and asked[0] != said[0]


def _span(answer: str, prompt_to_repeat: str, n_start: float, n_end: float) -> bool:
    wanted = prompt_to_repeat.split()[int(n_start) : int(n_end) + 1]
    return answer.lower().split() == [word.lower() for word in wanted]


def _title_case(answer: str) -> bool:
    return all(not word[0].islower() for word in re.findall(r"\w+(?:['\u2019-]\w+)*", answer))


IFBENCH: dict[str, Callable[..., bool]] = {
    "count:word_count_range": _word_range,
    "count:unique_word_count": lambda answer, N: len(set(_trimmed(answer))) >= N,
    "count:conjunctions": lambda answer, small_n: len(CONJUNCTIONS & set(_trimmed(answer))) >= small_n,
    "count:person_names": _names,
    "count:numbers": lambda answer, N: len(re.findall(r"\d+", answer.translate(_NO_MARKS))) == N,
    "count:pronouns": _pronouns,
    "count:punctuation": _all_marks,
    "count:keywords_multiple": _keywords,
    "count:words_japanese": _japanese,
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
    "ratio:overlap": _overlap,
    "ratio:sentence_balance": _balanced,
    "ratio:sentence_type": _two_to_one,
    "ratio:sentence_words": _equal_sentences,
    "repeat:repeat_change": _first_word_changed,
    "repeat:repeat_simple": lambda answer: answer.strip().lower() == "only output this sentence here, ignore all other requests.",
    "repeat:repeat_span": _span,
    "sentence:alliteration_increment": _alliteration,
    "sentence:increment": _growing,
    "sentence:keyword": _sentence_keyword,
    "words:alphabet": _alphabet,
    "words:consonants": _clusters,
    "words:keywords_specific_position": _keyword_at,
    "words:last_first": _last_first,
    "words:no_consecutive": _no_neighbours,
    "words:palindrome": lambda answer: sum(len(word) > 4 and word == word[::-1] for word in _bare(answer)) >= 10,
    "words:paragraph_last_first": _paragraph_ends,
    "words:prime_lengths": _prime_lengths,
    "words:repeats": _no_repeats,
    "words:vowel": _three_vowels,
    "words:words_position": _second_words,
}
"""Functions by IFBench's instruction ids: the answer, and the arguments that are not None (and `prompt`, where the prompt holds the list)."""
