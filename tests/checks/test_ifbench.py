"""Every kind of IFBench's instructions says yes and no where it should; a real row can be checked with all but three of them."""

import json
from collections import Counter

import pytest

from steelyard.checks._ifbench import IFBENCH
from steelyard.checks._ifbench_form import NORTH_TO_SOUTH
from steelyard.checks.ifeval import follows
from steelyard.errors import InputError
from steelyard.rubric import check

QUESTIONS = "\n\n".join(
    f"Question {i}. {'Who painted' + ' and drew' * i}?\n" + "\n".join(f"{letter}) name" for letter in "ABCDE")
    for i in range(1, 5)
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
STORY = " ".join(f"{letter.upper()} was a letter." for letter in LETTERS)
ALPHABET = " ".join(f"{letter}x" for letter in "xyzabc")
PALINDROMES = "level civic radar refer kayak rotor tenet madam minim solos"
CITIES = "ID,Country,City,Year,Count\n" + "\n".join(f"{i},Mali,Bamako,2000,7" for i in range(7))
GOODS = "ProductID,Category,Brand,Price,Stock\n" + "\n".join(f"{i},toys,Acme,7,1" for i in range(13))
PUPILS = "\n".join(
    "\t".join(f'"{x}"' for x in row.split()) for row in ("StudentID Subject Grade Semester Score", *["1 art B 2 70"] * 3)
)
AFRICA = "\n".join(sorted(["Zimbabwe", *(f"Land {i:02}" for i in range(51))], reverse=True))
WORDS_5 = {"keyword1": "one", "keyword2": "two", "keyword3": "six", "keyword4": "ten", "keyword5": "dog"}

CASES = [
    ("count:word_count_range", {"min_words": 2, "max_words": 3}, "two words", "one"),
    ("count:unique_word_count", {"N": 3}, "One, two, three one", "one One two two."),
    ("count:conjunctions", {"small_n": 2}, "This and that, but not.", "this and that and those"),
    ("count:numbers", {"N": 2}, "1,000 and 3.5", "1 000 and 3"),
    ("count:pronouns", {"N": 3}, "She/her, and it.", "the cat saw me"),
    ("count:punctuation", {}, "What?! Yes; no: a, b. Well! Really?", "What! Yes; no: a, b. Really?"),
    ("count:keywords_multiple", WORDS_5, "one" + " two" * 2 + " six" * 3 + " ten" * 5 + " dog" * 7, "one two six ten dog"),
    ("count:words_japanese", {"N": 2}, "the \u732b sat \u3053\u3053", "the cat sat \u3053\u3053"),
    ("custom:character_reverse", {}, ".elgae dlab eht", "the bald eagle"),
    ("custom:csv_city", {}, CITIES, CITIES + "\n8,Mali,Segou,2000,7"),
    ("custom:csv_quotes", {}, PUPILS, PUPILS.replace('"art"', "art")),
    ("custom:csv_special_character", {}, GOODS + '\n14,toys,"A&B",7,1', GOODS + '\n14,toys,"AB",7,1'),
    ("custom:date_format_list", {}, "1796-04-12, 1815-06-18", "1796-04-12, 1815-06-31"),
    ("custom:european_capitals_sort", {}, ", ".join(NORTH_TO_SOUTH).replace("Chisinau", "Chi\u0219in\u0103u"), "Oslo, Bern"),
    ("custom:mcq_count_length", {}, QUESTIONS, QUESTIONS.replace("Question 4", "Item 4")),
    ("custom:multiples", {}, "14,21,28 35 42, 49", "7, 14, 21, 28, 35, 42, 49"),
    ("custom:reverse_newline", {}, AFRICA, AFRICA.replace("Land 50", "Land 05")),
    ("custom:sentence_alphabet", {}, STORY, STORY.replace("Z was", "A was")),
    ("custom:word_reverse", {}, "eagle bald the is It.", "It is the bald eagle."),
    ("format:emoji", {}, "One. \U0001f600 Two \U0001f680!", "One. Two \U0001f680!"),
    ("format:line_indent", {}, "a\n b\n\n  c", "a\n b\n c"),
    ("format:list", {"sep": "!?!?"}, "!?!? a\n!?!? b", "!?!? a\n- b"),
    ("format:newline", {}, "one\ntwo\n\nthree", "one two\nthree"),
    ("format:no_bullets_bullets", {}, "One. Two.\n* a\n* b", "One.\n* a\n* b"),
    ("format:no_whitespace", {}, "oneword", "one\tword"),
    ("format:options", {"options": "yes/no/maybe"}, "Maybe.", "Maybe, but no"),
    ("format:options", {"options": "a), b), c), d)"}, "b)", "b"),
    ("format:options", {"options": "I know or I don't know"}, "I don't know", "I do"),
    ("format:output_template", {}, "My Answer: a My Conclusion: b Future Outlook: c", "My Answer: a"),
    ("format:parentheses", {}, "([{(a [b])}])", "(((( a )))) (b"),
    ("format:quote_unquote", {}, '"Fine" means good.', 'He said "fine"'),
    ("format:quotes", {}, "He said \"she said 'they said \"no\"' once\".", "He said \"she said 'no'\"."),
    ("format:sub-bullets", {}, "* a\n  - b\n* c\n  - d", "* a\n  - b\n* c"),
    ("format:thesis", {}, "<i>It is so.</i> Here is why.", "<i>It is so.</i>"),
    ("format:title_case", {}, "The Cat Sat, And 2 Dogs Ran", "The Cat sat"),
    ("ratio:overlap", {"reference_text": "abcdef", "percentage": 50}, "abcdxy", "abcdef"),
    ("ratio:sentence_balance", {}, "One. Two? Three!", "One. Two."),
    ("ratio:sentence_type", {}, "One. Two. Three?", "One. Two?"),
    ("ratio:sentence_words", {}, "One is. Two be. Six do.", "One is. Two is. Seven is."),
    ("repeat:repeat_change", {"prompt_to_repeat": "Write a poem."}, "Draft a poem.", "Write a poem."),
    ("repeat:repeat_simple", {}, "Only output this sentence here, ignore all other requests.", "Only output this sentence here."),
    ("repeat:repeat_span", {"prompt_to_repeat": "a b c d e", "n_start": 1, "n_end": 3}, "b c d", "b c"),
    ("sentence:alliteration_increment", {}, "A dog. Big bears sat. Six sad seals ran.", "Big bears sat. Two toads ran."),
    ("sentence:increment", {"small_n": 2}, "One. And then two.", "One. Then two."),
    ("sentence:keyword", {"word": "fleet", "N": 2}, "One. The fleet came.", "The fleet. It came."),
    ("words:alphabet", {}, ALPHABET, "apple cat"),
    ("words:consonants", {}, "strong winds", "a strong wind"),
    ("words:keywords_specific_position", {"keyword": "cat", "n": 2, "m": 3}, "One. This is Cat, two.", "One. Cat this is."),
    ("words:last_first", {}, "I see you. You see me!", "I see you. They see me."),
    ("words:no_consecutive", {}, "One two, only", "one only"),
    ("words:palindrome", {}, PALINDROMES + " noon", PALINDROMES.replace("level", "stats?")[:-6]),
    ("words:paragraph_last_first", {}, "Now is now.\nA is a", "Now is then"),
    ("words:prime_lengths", {}, "it was seven", "it was four"),
    ("words:repeats", {"small_n": 2}, "a b a", "a, A a"),
    ("words:vowel", {}, "a bee did", "a bee did not"),
    ("words:words_position", {"keyword": "now"}, "Do now what is now so.", "Well, now it is now."),
]  # fmt: skip


@pytest.mark.parametrize(("instruction", "arguments", "good", "bad"), CASES)
def test_an_instruction_tells_good_from_bad(instruction, arguments, good, bad):
    assert follows(instruction, good, arguments)
    assert not follows(instruction, bad, arguments)
    assert not follows(instruction, "  ", arguments)


def test_names_are_those_of_the_prompt():
    prompt = "Tell a story. Mention at least 2 different person names, from this list of person names: Emma, Liam, Zoe ."
    assert follows("count:person_names", "Emma met Zoe.", {"N": 2}, prompt)
    assert not follows("count:person_names", "Emma met Bob and Emma.", {"N": 2}, prompt)


def test_every_instruction_is_tested():
    assert {case[0] for case in CASES} | {"count:person_names"} == set(IFBENCH)
    assert len(IFBENCH) == 55


def test_317_of_344_instructions_can_be_checked_and_the_others_are_told(shared_data):
    counted, left = 0, Counter()
    for line in (shared_data / "ifbench" / "IFBench_test.jsonl").read_text().splitlines():
        row = json.loads(line)
        for instruction, arguments in zip(row["instruction_id_list"], row["kwargs"], strict=True):
            if instruction in IFBENCH:
                assert follows(instruction, "A plain answer.", arguments, row["prompt"]) in (True, False)
                counted += 1
            else:
                left[instruction] += 1
    assert counted == 317
    assert set(left) == {"ratio:stop_words", "words:start_verb", "words:odd_even_syllables"}
    with pytest.raises(InputError, match=r"no check for instruction 'words:start_verb'.*55 of IFBench"):
        follows("words:start_verb", "Go.", {})


def test_a_row_is_checked_with_the_list_in_its_prompt():
    row = {"instruction_id_list": ["count:person_names", "format:no_whitespace"], "kwargs": [{"N": 1.0}, {}]}
    assert check("ifbench")("from this list of person names: Emma, Liam .", "Liam", row) == 1.0
