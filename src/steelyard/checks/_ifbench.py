"""Instructions of IFBench, by the names and arguments of its data: the 55 of its 58 kinds that need no download.

Every function says whether one answer follows one instruction. Definitions follow the benchmark's (Pyatkin et al., arXiv 2507.02833) with four
deviations: sentences are split by `checks.text` and not by a model that has to be downloaded; where the benchmark passes an answer without the thing
that is asked for (no bullet at all where bullets with sub-bullets are), ours fails it; `repeat:repeat_span` counts in words, as its prompts say;
emoji are recognised by their Unicode blocks. Left out: `ratio:stop_words`, `words:start_verb` and `words:odd_even_syllables`, which need a list, a tagger
and a dictionary.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from steelyard.checks._ifbench_form import OF_FORM
from steelyard.checks._ifbench_words import MARKS, NO_MARKS, bare, rising
from steelyard.checks.text import sentences

CONJUNCTIONS = frozenset(("and", "but", "for", "nor", "or", "so", "yet"))
_PRONOUNS = (
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it its itself "
    "they them their theirs themselves this that these those who whom whose which what whoever whomever whatever whichever anybody anyone "
    "anything everybody everyone everything nobody nothing somebody someone something each either neither both all some any none"
)
PRONOUNS = frozenset(_PRONOUNS.split())
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


def _trimmed(text: str) -> list[str]:
    """The words of a text without the punctuation around them, in lower case."""
    return [word for word in (word.strip(MARKS) for word in text.lower().split()) if word]


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
    letters = [word[0] for word in bare(answer)]
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
    return rising(counts)


def _all_marks(answer: str) -> bool:
    rest = re.sub(r"\?!|!\?|\u203d", "", answer, count=1)
    return rest != answer and set(".,!?;:") <= set(rest)


def _prime_lengths(answer: str) -> bool:
    return all(len(word) > 1 and all(len(word) % d for d in range(2, len(word))) for word in bare(answer))


def _equal_sentences(answer: str) -> bool:
    found = sentences(answer)
    each = [set(bare(sentence)) for sentence in found]
    different = len(each) == 3 and not (each[0] & each[1] or each[0] & each[2] or each[1] & each[2])
    return different and len({len(sentence) for sentence in found}) == 1


def _no_repeats(answer: str, small_n: float) -> bool:
    return max(Counter(bare(answer)).values(), default=0) <= small_n


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
    counts = [len(bare(sentence)) for sentence in sentences(answer)]
    return all(second - first == small_n for first, second in pairwise(counts))


def _no_neighbours(answer: str) -> bool:
    words = bare(answer)
    return all(first[0] != second[0] for first, second in pairwise(words))


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


_OF_WORDS: dict[str, Callable[..., bool]] = {
    "count:word_count_range": _word_range,
    "count:unique_word_count": lambda answer, N: len(set(_trimmed(answer))) >= N,
    "count:conjunctions": lambda answer, small_n: len(CONJUNCTIONS & set(_trimmed(answer))) >= small_n,
    "count:person_names": _names,
    "count:numbers": lambda answer, N: len(re.findall(r"\d+", answer.translate(NO_MARKS))) == N,
    "count:pronouns": _pronouns,
    "count:punctuation": _all_marks,
    "count:keywords_multiple": _keywords,
    "count:words_japanese": _japanese,
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
    "words:palindrome": lambda answer: sum(len(word) > 4 and word == word[::-1] for word in bare(answer)) >= 10,
    "words:paragraph_last_first": _paragraph_ends,
    "words:prime_lengths": _prime_lengths,
    "words:repeats": _no_repeats,
    "words:vowel": _three_vowels,
    "words:words_position": _second_words,
}

IFBENCH: dict[str, Callable[..., bool]] = {**_OF_WORDS, **OF_FORM}
"""Functions by IFBench's instruction ids: the answer, and the arguments that are not None (and `prompt`, where the prompt holds the list)."""
