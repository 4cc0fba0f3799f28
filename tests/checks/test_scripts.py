"""What a word, a sentence, a phrase and a list are in every script."""

import gzip
import json
import unicodedata
from pathlib import Path

import pytest

from steelyard.checks import check
from steelyard.checks.content import in_language, language_of, scripts
from steelyard.checks.text import characters, list_items, occurrences, sentences, words
from steelyard.llm import Client
from steelyard.rubric import MetaRubric, PairwiseJudge
from steelyard.rubric._quotes import as_looked_for, quote_found, with_places
from steelyard.rubric.page import marked

UDHR = Path(__file__).parents[3] / "shared/data/udhr/udhr.jsonl.gz"

WORDS = [
    (
        "\u092e\u0948\u0902 \u0906\u091c \u0918\u0930 \u091c\u093e \u0930\u0939\u093e",
        5,
    ),  # Hindi, whose vowel signs are no letters
    ("\u6211\u4eec\u4eca\u5929\u53bb\u5b66\u6821\u4e0a\u8bfe\u3002", 5),  # Chinese: we, today, go, school, attend class
    ("\u79c1\u306f\u5b66\u751f\u3067\u3059\u3002", 4),  # Japanese: I, topic, student, am
    ("\u0e09\u0e31\u0e19\u0e44\u0e1b\u0e42\u0e23\u0e07\u0e40\u0e23\u0e35\u0e22\u0e19", 3),  # Thai: I, go, school
    ("\ud55c\uad6d\uc5b4 \ubb38\uc7a5\uc785\ub2c8\ub2e4", 2),  # Korean
    ("\u05e9\u05dc\u05d5\u05dd \u05d3\u05f4\u05e8 \u05db\u05d4\u05df", 3),  # Hebrew, with a sign inside a word
    ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0628\u0631\u0648\u0645", 2),  # Persian, with a joiner inside a word
    ("cafe\u0301 man\u0303ana", 2),
    ("don\u2019t rock\u2011n\u2011roll", 2),
    ("one\u2014two \u2013 three", 3),
    ("3,14 and 1,250.50 and \u0663\u066b\u0661\u0664", 5),
    ("- a\n- b", 2),
    ("\U0001f44d\U0001f3fd \U0001f1eb\U0001f1f7 ** __ --", 0),
    ("\uff28\uff45\uff4c\uff4c\uff4f\uff0c\uff57\uff4f\uff52\uff4c\uff44", 2),
    ("\U0001d49c\U0001d4d3 well-known \U0001f600-x a--b -c d-", 7),
    ("half \ud800 of one", 3),
    ("zero\u200bwidth soft\u00adhyphen", 3),
]


@pytest.mark.parametrize(("text", "count"), WORDS)
def test_words_are_counted_in_every_script(text, count):
    assert len(words(text)) == count, words(text)


def test_a_long_chinese_text_is_many_words():
    assert check("words", at_least=150, at_most=300)("", "\u6211\u4eec\u4eca\u5929\u53bb\u5b66\u6821\u4e0a\u8bfe" * 40) == 1.0


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("\u0939\u093e\u0901\u0964 \u0928\u0939\u0940\u0902? \u0920\u0940\u0915\u0965", 3),  # Hindi
        ("\u4f60\u597d\u3002\u518d\u89c1\uff01\u771f\u7684\u5417\uff1f\uff01", 3),  # Chinese
        ("\u0647\u0644 \u0623\u0646\u062a\u061f \u0646\u0639\u0645. \u0644\u0627\u06d4", 3),  # Arabic and Urdu marks
        ("\u0532\u0561\u0580\u0587\u0589 \u053b\u0576\u0579\u057a\u0565\u057d \u0565\u057d", 2),  # Armenian
        ("\u1230\u120b\u121d\u1362 \u12a5\u1295\u12f4\u1275 \u1290\u1205\u1367", 2),  # Amharic
        ("\u179f\u17bd\u179f\u17d2\u178f\u17b8\u17d4 \u17a2\u179a\u1782\u17bb\u178e\u17d4", 2),  # Khmer
        ("He said \u201cHi.\u201d She left.", 2),
        ("\u00ab\u00a0Bonjour\u00a0!\u00a0\u00bb dit-il. Oui.", 3),
        ("It costs \uff13\uff0e\uff15\u5143\u3002\u597d\u3002", 2),
        ("Wait\u2026 What?", 2),
        ("1. Add them.\n2. Carry one.\n3. Done.", 3),
        ("Is it 42? It is 42. Good.", 3),
        ("hello there. how are you.", 2),
    ],
)
def test_sentences_end_in_every_script(text, count):
    assert len(sentences(text)) == count, sentences(text)


@pytest.mark.parametrize(
    ("phrase", "text", "count"),
    [
        ("don't", "DON\u2019T, don't", 2),
        ("well-known", "well\u2011known and well\u2010known", 2),
        ("caf\u00e9", "cafe\u0301 CAF\u00c9 cafe", 2),
        ("cafe", "cafe\u0301 cafe", 1),
        ("\u0918\u0930", "\u0918\u0930 \u0918\u0930\u0947\u0932\u0942 \u0918\u0930\u093e", 1),  # Hindi: house, and not domestic
        ("\u5b66\u6821", "\u6211\u4eec\u53bb\u5b66\u6821\u4e0a\u8bfe", 1),  # Chinese: inside running text
        ("AI", "\u4f7f\u7528AI\u6280\u672f, \uff21\uff29, AIM", 2),
        ("\u0e44\u0e1b", "\u0e09\u0e31\u0e19\u0e44\u0e1b\u0e42\u0e23\u0e07", 1),  # Thai
        ("stra\u00dfe", "STRASSE", 1),
        ("ofﬁce", "office", 1),
        ("C++", "C++ and C++x", 1),
        (" ", "a b", 0),
    ],
)
def test_phrases_are_found_however_they_are_written(phrase, text, count):
    assert occurrences(phrase, text) == count
    if phrase.strip():
        assert check("contains", phrases=[phrase], at_least=count)("", text) == 1.0
        assert check("avoids", phrases=[phrase])("", text) == 0.0


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_accents_change_no_count(form):
    text = unicodedata.normalize(form, "D\u00e9j\u00e0 vu, \u00c9cole \u01d6ber \ud55c\uad6d \u0939\u0942\u0901.")
    assert characters(text) == 25
    assert len(words(text)) == 6
    assert check("exact", text="D\u00e9j\u00e0 vu, \u00c9cole \u01d6ber \ud55c\uad6d \u0939\u0942\u0901.")("", text) == 1.0
    assert check("starts-with", text="D\u00e9j\u00e0")("", text) == 1.0
    assert check("ends-with", text="\u01d6ber \ud55c\uad6d \u0939\u0942\u0901.")("", text) == 1.0
    assert check("one-of", texts=["d\u00e9j\u00e0 vu, \u00e9cole \u01d6ber \ud55c\uad6d \u0939\u0942\u0901"])("", text) == 1.0
    assert scripts(text)["LATIN"] == scripts(unicodedata.normalize("NFC", text))["LATIN"]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        (unicodedata.normalize("NFD", "\u00c9cole Normale"), 1.0),
        ("It\u2019s Don't", 1.0),
        ("NASA Launches", 1.0),
        ("HELLO WORLD", 0.0),
        ("Hello world", 0.0),
        ("\u4f60\u597d", 0.0),
        ("2nd Edition", 1.0),
    ],
)
def test_title_case(text, passes):
    assert check("case", case="title")("", text) == passes


def test_what_differs_in_meaning_is_not_exact():
    assert check("exact", text="x2")("", "x\u00b2") == 0.0
    assert check("exact", text="Yes")("", "yes") == 0.0
    assert check("exact", text="a-b")("", "a\u2013b") == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "THE CAT SLEEPS.",
        "HELLO, HOW ARE YOU TODAY?",
        "Hello WORLD, THIS IS MOSTLY CAPS",
        "\uff34\uff48\uff49\uff53 is a test of width",
    ],
)
def test_capitals_and_widths_are_no_other_language(text):
    assert language_of(text) == "en"
    assert in_language(text, "en")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0", "GEORGIAN"),
        ("\u0c28\u0c2e", "TELUGU"),
        ("\uff21\uff22", "LATIN"),
        ("\u4f60\u306b\u30ab", "CJK"),
        ("\ud55c", "HANGUL"),
    ],
)
def test_letters_of_every_script_are_counted(text, name):
    assert scripts(text) == {name: sum(map(str.isalpha, text))}


def test_lists_of_every_script():
    text = "\u2022 a\n\u2013 b\n\u30fb\u9805\u76ee\n\u4e00\u3001\u7b2c\u4e00\n\uff08\uff12\uff09\u7b2c\n\u2460 one\n(3) c\n3\u3001d\n-5 degrees\n2.5 kg\n*emphasis*"
    assert len(list_items(text)) == 8


@pytest.mark.parametrize(
    ("quote", "answer"),
    [
        ('it\'s a "good" answer', "It\u2019s a \u201cgood\u201d answer."),
        ("a well-known fact - really", "A well\u2011known fact \u2014 really"),
        ("caf\u00e9", "the cafe\u0301 there"),
        ("soft hyphen", "soft \u00ad hy\u00adphen"),
        ("\uff28ello", "Hello"),
    ],
)
def test_a_quote_is_found_and_marked_however_its_signs_are_written(quote, answer):
    assert quote_found(quote, answer)
    assert with_places(answer)[0] == as_looked_for(answer)
    assert "<mark>" in marked(answer, [quote])


def test_signs_that_are_not_seen_are_no_quote():
    assert quote_found("\u200b\u00ad", "Hello") is None
    assert "<mark>" not in marked("Hello", ["\u200b"])


def test_answers_that_differ_in_the_form_of_accents_are_alike_to_the_judge():
    judge = PairwiseJudge(Client("http://127.0.0.1:9/v1", "m"), MetaRubric.load("general"))
    assert judge.compare_sync("Say it.", "caf\u00e9", "cafe\u0301").winner == "tie"


def test_the_same_declaration_has_about_as_many_words_in_every_script():
    if not UDHR.exists():
        pytest.skip("needs the translations of the declaration, which are not part of the project")
    with gzip.open(UDHR, "rt", encoding="utf-8") as lines:
        texts = {row["code"]: " ".join(row["paragraphs"]) for row in map(json.loads, lines)}
    counts = {
        code: len(words(texts[code])) for code in ("eng", "hin", "cmn_hans", "jpn", "tha", "rus", "arb", "khm", "lao", "mya")
    }
    assert all(0.5 < count / counts["eng"] < 2.2 for count in counts.values()), counts
