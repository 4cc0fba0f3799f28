"""Instructions of IFBench, by the names and arguments of its data: the 55 of its 58 kinds that need no download.

Every function says whether one answer follows one instruction, with the verdict of the published checkers; `checks.ifeval` says where it deviates. Some
of those verdicts are not what the prompts ask for: an answer without a single bullet has sub-bullets under each, one without questions has twice as many
statements, and three sentences of one length need no different words. Left out: `ratio:stop_words`, `words:start_verb` and
`words:odd_even_syllables`, which need a list, a tagger and a dictionary.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from steelyard.checks._ifbench_form import OF_FORM
from steelyard.checks._ifbench_words import MARKS, NO_MARKS, bare, rising
from steelyard.checks._published import sentences, tokens

CONJUNCTIONS = frozenset(("and", "but", "for", "nor", "or", "so", "yet"))
_PRONOUNS = (
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it its itself "
    "they them their theirs themselves this that these those who whom whose which what whoever whomever whatever whichever anybody anyone "
    "anything everybody everyone everything nobody nothing somebody someone something each either neither both all some any none"
)
PRONOUNS = frozenset(_PRONOUNS.split())
_NAMES = (
    "Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Charlotte Alexander Amelia Benjamin Harper Leo Zoe Daniel Chloe "
    "Samuel Lily Matthew Grace Owen Abigail Gabriel Ella Jacob Scarlett Nathan Victoria Elijah Layla Nicholas Audrey David Hannah Christopher "
    "Penelope Thomas Nora Andrew Aria Joseph Claire Ryan Stella Jonathan"
)
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


def _ends(answer: str) -> list[int]:
    """How many sentences end with a full stop, with a question mark, and with an exclamation mark, as their very last sign."""
    found = sentences(answer)
    return [sum(sentence.endswith(mark) for sentence in found) for mark in ".?!"]


def _nth(texts: list[str], n: float) -> str:
    """One of some texts, counted from 1; an empty one where there are fewer."""
    return texts[int(n) - 1] if 1 <= n <= len(texts) else ""


def _word_range(answer: str, min_words: float, max_words: float) -> bool:
    return min_words <= len(re.findall(r"\w+", answer)) <= max_words


def _two_to_one(answer: str) -> bool:
    said, asked, _ = _ends(answer)
    return said == 2 * asked


def _conjunctions(answer: str, small_n: float) -> bool:
    """Every spelling counts as one of its own: "and" and "And" are two."""
    return len({word for word in answer.split() if word.strip(MARKS).lower() in CONJUNCTIONS}) >= small_n


def _names(answer: str, N: float, prompt: str) -> bool:
    listed = re.search(r"list of person names:([^.]*)", prompt)
    names = {name.strip() for name in listed[1].split(",")} if listed else set(_NAMES.split())
    return sum(re.search(rf"\b{re.escape(name)}\b", answer) is not None for name in names if name) >= N


def _overlap(answer: str, reference_text: str, percentage: float) -> bool:
    def trigrams(text: str) -> set[str]:
        return {text[i : i + 3] for i in range(len(text) - 2)}

    found = trigrams(answer)
    share = len(found & trigrams(reference_text)) / max(1, len(found))
    return bool(found) and percentage - 2 <= share * 100 <= percentage + 2


def _keywords(answer: str, **keywords: str) -> bool:
    text = answer.lower()
    return all(text.count(keywords[f"keyword{i}"].strip().lower()) == count for i, count in enumerate((1, 2, 3, 5, 7), start=1))


def _japanese(answer: str, N: float) -> bool:
    wanted = [word.strip(MARKS) for word in answer.split()][int(N) - 1 :: int(N)]
    return all(not word or word.isdigit() or _JAPANESE.search(word) for word in wanted)


def _alphabet(answer: str) -> bool:
    letters = [word[0] for word in bare(answer)]
    in_order = all((ord(second) - ord(first)) % 26 == 1 for first, second in pairwise(letters))
    return bool(letters) and in_order and all(letter in string.ascii_lowercase for letter in letters)


def _three_vowels(answer: str) -> bool:
    return "\n" not in answer.strip() and len(set(answer.lower()) & set("aeiou")) <= 3


def _clusters(answer: str) -> bool:
    return all(re.search("[bcdfghjklmnpqrstvwxyz]{2}", word) for word in answer.lower().split())


def _alliteration(answer: str) -> bool:
    """Words that begin as a neighbour does, counted in runs: more in every sentence than in the one before."""
    counts = []
    for sentence in sentences(answer):
        letters = [word.lstrip(MARKS)[0] for word in sentence.lower().split() if word.strip(MARKS)]
        same = [first == second for first, second in pairwise(letters)]
        runs = "".join("x" if one else " " for one in same).split()
        counts.append(sum(len(run) + 1 for run in runs))
    return rising(counts)


def _all_marks(answer: str) -> bool:
    """A question mark and an exclamation mark side by side, and all marks beside the first of those."""
    if not any(both in answer for both in ("?!", "!?", "\u203d")):
        return False
    rest = answer.replace("?!", "", 1) if "?!" in answer else answer.replace("!?", "", 1)
    return set(".,!?;:") <= set(rest)


_PRIMES = frozenset(n for n in range(2, 98) if all(n % d for d in range(2, n)))


def _prime_lengths(answer: str) -> bool:
    return all(len(word) in _PRIMES for word in answer.translate(NO_MARKS).split())


def _equal_sentences(answer: str) -> bool:
    lengths = [len(sentence.strip()) for sentence in sentences(answer)]
    return len(lengths) == 3 and len(set(lengths)) == 1


def _no_repeats(answer: str, small_n: float) -> bool:
    return max(Counter(bare(answer)).values(), default=0) <= small_n


def _sentence_keyword(answer: str, word: str, N: float) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", _nth(sentences(answer), N), re.IGNORECASE) is not None


def _pronouns(answer: str, N: float) -> bool:
    return sum(word in PRONOUNS for word in tokens(answer.replace("/", " ").lower())) >= N


def _last_first(answer: str) -> bool:
    """Marks are cut off where one sentence ends and the next begins, and stay at the other side of a word."""
    for first, second in pairwise(sentences(answer)):
        before, after = first.rstrip(MARKS).lower().split(), second.lstrip(MARKS).lower().split()
        if not before or not after or before[-1] != after[0]:
            return False
    return True


def _paragraph_ends(answer: str) -> bool:
    each = [line.strip().lower().strip(MARKS).split() for line in answer.split("\n")]
    return all(words[0] == words[-1] for words in each if words)


def _growing(answer: str, small_n: float) -> bool:
    counts = [len(bare(sentence)) for sentence in sentences(answer)]
    return all(second - first == small_n for first, second in pairwise(counts))


def _no_neighbours(answer: str) -> bool:
    words = bare(answer)
    return all(first[0] != second[0] for first, second in pairwise(words))


def _keyword_at(answer: str, keyword: str, n: float, m: float) -> bool:
    words = [token for token in tokens(_nth(sentences(answer), n)) if any(map(str.isalnum, token))]
    return _nth(words, m).lower() == keyword.strip().lower()


def _second_words(answer: str, keyword: str) -> bool:
    """Marks count as words, but for one ASCII mark at the end."""
    words = [token.lower() for token in tokens(answer)]
    if words and words[-1] in string.punctuation:
        words.pop()
    return len(words) > 1 and words[1] == words[-2] == keyword.strip().lower()


def _first_word_changed(answer: str, prompt_to_repeat: str) -> bool:
    return answer != prompt_to_repeat and answer.split()[1:] == prompt_to_repeat.split()[1:]


def _span(answer: str, prompt_to_repeat: str, n_start: float, n_end: float) -> bool:
    wanted = prompt_to_repeat.split()[int(n_start) : int(n_end) + 1]
    return answer.lower().split() == [word.lower() for word in wanted]


_OF_WORDS: dict[str, Callable[..., bool]] = {
    "count:word_count_range": _word_range,
    "count:unique_word_count": lambda answer, N: len({word.strip(MARKS) for word in answer.lower().split()}) >= N,
    "count:conjunctions": _conjunctions,
    "count:person_names": _names,
    "count:numbers": lambda answer, N: len(re.findall(r"\d+", answer.translate(NO_MARKS))) == N,
    "count:pronouns": _pronouns,
    "count:punctuation": _all_marks,
    "count:keywords_multiple": _keywords,
    "count:words_japanese": _japanese,
    "ratio:overlap": _overlap,
    "ratio:sentence_balance": lambda answer: len(set(_ends(answer))) == 1,
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
