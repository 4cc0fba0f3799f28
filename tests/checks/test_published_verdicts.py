"""IFEval's and IFBench's instructions near each rule of their published checkers: every verdict here is what those gave."""

import pytest

from steelyard.checks.ifeval import follows


def at_least(count, kind="num_sentences"):
    return {kind: count, "relation": "at least"}


def capitals(count):
    return {"capital_frequency": count, "capital_relation": "at least"}


SENTENCES = [
    # What ends none: an empty line, an abbreviation, an initial before another, a number or an ellipsis before a small letter.
    ("One\n\ntwo\n\nthree.", 1),
    ("# Title\n\n- one\n- two", 1),
    ("Dr. Smith met Mrs. Jones in the U.S. today.", 1),
    ("It was Mr. X.", 1),
    ("J. K. Rowling wrote it.", 1),
    ("In 1990. and later.", 1),
    ("Well... and so on.", 1),
    ("One.Two.Three.", 1),
    ("\u4f60\u597d\u3002\u518d\u89c1\u3002", 1),
    ("\u0928\u092e\u0938\u094d\u0924\u0947\u0964 \u0927\u0928\u094d\u092f\u0935\u093e\u0926\u0964", 1),
    ("He said \u201cStop.\u201d Then he left.", 1),
    ("No. 5 is vs. him at 5 p.m. on Jan. 3", 2),
    # What ends one: a number before a capital, any mark in quotes, an abbreviation before "The".
    ("1. Add\n2. Carry", 3),
    ("In 1990. Later.", 2),
    ("Well... The end.", 2),
    ('"Stop." he said.', 2),
    ('"Why?" she asked.', 2),
    ("See e.g. this, i.e. that, etc. and more.", 4),
    ("In the U.S. The end.", 2),
    ("A. The cat ran. B. It sat.", 4),
    ("Yes?! No!! Go!", 3),
    ("Is it? yes! fine. sure", 4),
    ("Here (as he said.) Then there.", 2),
    ("**Bold.** Next.", 2),
    ("?!", 2),
    ("One. .", 2),
    ("One. ***", 2),
    ("Dr. What?! he said.", 3),
    ("Well-known Co. is vs. it.", 1),
    ("3. Who won?", 1),
]


@pytest.mark.parametrize(("said", "count"), SENTENCES)
def test_sentences(said, count):
    assert follows("length_constraints:number_sentences", said, at_least(count))
    assert not follows("length_constraints:number_sentences", said, at_least(count + 1))


CAPITALS = [
    ("I'm here, NOW", 2),
    ("the U.S. and NO.1 or A/B", 3),
    ("WELL-KNOWN X_Y", 2),
    ("DON'T GO", 3),
    ('**BOLD** *X* "OK" (YES)', 4),
    ("R&B at $A and #TAG", 4),
    ("CANNOT STOP...GO--ON", 5),
    ("IT\u2019S \u201cOK\u201d", 3),
    ("McDonald iPhone a 2b", 0),
    ("A1 MP3 HTTP://A.B", 4),
    ("I'LL I'VE O'NEIL'S", 6),
    ("A:B C,D E:1", 5),
    ("'A' is X.", 2),
    ("Go to the U.S.", 1),
]


@pytest.mark.parametrize(("said", "count"), CAPITALS)
def test_words_in_capitals(said, count):
    assert follows("change_case:capital_word_frequency", said, capitals(count))
    assert not follows("change_case:capital_word_frequency", said, capitals(count + 1))


WORDS = [("well-known it's", 4), ("U.S. 3.5 1,000", 6), ("x_y e.g.", 3), ("\u4f60\u597d\u4e16\u754c", 1), ("- * 7", 1)]


@pytest.mark.parametrize(("said", "count"), WORDS)
def test_words(said, count):
    assert follows("length_constraints:number_words", said, at_least(count, "num_words"))
    assert not follows("length_constraints:number_words", said, at_least(count + 1, "num_words"))
    assert follows("count:word_count_range", said, {"min_words": count, "max_words": count})
    assert not follows("count:word_count_range", said, {"min_words": count + 1, "max_words": count + 2})


SECOND = {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"}
QUESTION = "Question {0}{1} Who painted{2}?\nA) Monet\nB) Manet\nC) Klee\nD) Miro\nE) Munch"
QUESTIONS = [QUESTION.format(i, ":", " and then drew" * i) for i in range(1, 5)]
CAPITALS_OF_EUROPE = (
    "Reykjav\u00edk, Helsinki, Oslo, Tallinn, Stockholm, Riga, Moscow, Copenhagen, Vilnius, Minsk, Dublin, Berlin, Amsterdam, Warsaw, London, "
    "Brussels, Prague, Luxembourg, Paris, Vienna, Bratislava, Budapest, Vaduz, Chi\u0219in\u0103u, Bern, Ljubljana, Zagreb"
)
STORY = " ".join(f"{letter} cat ran off." for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ".lower())
TALE = " ".join(f"{letter}x cats ran off." for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
CITIES = "ID,Country,City,Year,Count\n" + "\n".join(f"{i},Mali,Bamako,2000,7" for i in range(7))
GOODS = "ProductID,Category,Brand,Price,Stock\n" + "\n".join(f"{i},toys,Acme,7,1" for i in range(13)) + "\n14,toys,{},7,1"
PUPILS = "\n".join(
    "\t".join(f'"{x}"' for x in row.split()) for row in ("StudentID Subject Grade Semester Score", *["1 art B 2 70"] * 3)
)
BARE = "\n".join(["StudentID\tSubject\tGrade\tSemester\tScore", *PUPILS.split("\n")[1:]])

CASES = [
    ("keywords:forbidden_words", {"forbidden_words": ["rock"]}, ["rocks", "rock_x", "bedrock"], ["ROCK!", "rock-like", "\u201crock\u201d"]),
    ("keywords:existence", {"keywords": ["sun", "moon"]}, ["SUNNY moons"], ["sun"]),
    (
        "length_constraints:nth_paragraph_first_word",
        SECOND,
        ["a\n\nThen b", "a\n\n'then' b", "a\n\n\"Then, b", "a\n\n'\"then b", "a\n\nthen's b", "a\n\nTHEN! b", "a\n\nthen b\n\n"],
        ["a\n\n**Then** b", "a\n\nThen: b", "a\n\nThen-b", "a\n\n\u201cThen b", "a\n\n\"'then b", "a\n\n(then b", "a\n\n\n\nthen b"],
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.S."},
        ["a P.S.", "a\np. s. b", "a p.s.", "P.P.S. b", "maps.p.s."],
        ["a\nPS more", "a\nP.S more", "a\nP.  S. more"],
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.P.S"},
        ["a P.P.S", "a p. p. s", "a\n**P.P.S**", "p.p.so"],
        ["a P.S.", "a PPS", "P.PS"],
    ),
    (
        "detectable_format:json_format",
        {},
        ['```json\n{"a": 1}', '{"a": 1}\n```', "```JSON\n[1]\n```", "```Json [1]```", "``` [1]\n```", "```json```[1]```", "NaN"],
        ["```jsonc\n[1]\n```", "Here:\n```json\n[1]\n```", "```json\n```json\n[1]\n```\n```", "~~~\n[1]\n~~~", "{'a': 1}", "`[1]`", "```"],
    ),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ["**a b**x *c*", "**a** b **c**", "*a* *b*", "**a**b**c**", "***a*** *b*"],
        ["**a**", "*a*", "** ** *a*", "_a_ *b*", "*a\n* *b*", "****"],
    ),
    (
        "detectable_format:title",
        {},
        ["<<a>>", "<< a >>", "x <<<a>>> y", "<<a>b>>", "<<>> a >>", "<<>> <<a>>"],
        ["<<>>", "<< >>", "<<<>>>", "<<a\nb>>", "<a>", "< <a>>", "<<a> >", ">>a<<", "<<<<>>>>"],
    ),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, ["* a\n- b", "-a\n\t* b", "*a\n--"], ["* a", "** a\n* b", "* a\n- b\n---"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, ["[a] []", "[[a] b] [c]"], ["[a\n] [b]", "[a] [b"]),
    ("language:response_language", {"language": "en"}, ["123", "!!!", "The cat sat on the mat."], ["Bonjour tout le monde, comment allez-vous?"]),
    ("change_case:english_capital", {}, ["THE CAT SAT ON THE MAT."], ["123", "The cat sat."]),
    ("change_case:english_lowercase", {}, ["the cat sat on the mat."], ["123", "The cat sat."]),
    # IFBench: words.
    ("count:conjunctions", {"small_n": 2}, ["and And", "and, and", "but so", "*or* or"], ["and and", "and/or but-x", "and"]),
    ("count:unique_word_count", {"N": 3}, ["one two -", "one two *** one", "a b c", "a b's b"], ["one One two.", "one \u2014"]),
    (
        "count:pronouns",
        {"N": 2},
        ["she/her", "I'm it", "him, them.", "**it** (we)", "IT ME", "\u201cyou\u201d she"],
        ["it-all we", "_it_ we", "it.we", "theirs' none-such", "such another"],
    ),
    ("count:person_names", {"N": 2}, ["Emma's Liam.", "Emma-Rose Zoe"], ["emma LIAM", "Emma_1 Zoe", "Emma Emma"]),
    (
        "count:punctuation",
        {},
        ["a?! b! c? d. e, f; g:", "a!? b?! c. d, e; f:", "\u203d ? ! . , ; :", "?!?! . , ; :"],
        ["a? b! c. d, e; f:", "a?! b. c, d; e:", "?!? . , ; :"],
    ),
    ("count:words_japanese", {"N": 3}, ["one two", "a b \u732b", "a b 12", "a b -", "a b *\u732b\u3002* c"], ["a b c", "a b \ud55c"]),
    ("words:alphabet", {}, ["Ant bee *cat*", "x-y", "y z a", "one"], ["!?", "1 two", "a c", "a b 3"]),
    ("words:prime_lengths", {}, ["it's a*t", "two, three", "-"], ["I am", "four", "a" * 101]),
    (
        "words:words_position",
        {"keyword": "now"},
        ["Do now and then now go.", "Do now now go", "Do NOW; Now go!", "So now (now it)", "now now"],
        ["\"So now and now it", "Do now, and now go...", "Do now and now go now", "So now and now it\u2026 x", 'So now it now "go"'],
    ),
    (
        "words:keywords_specific_position",
        {"keyword": "cat", "n": 2, "m": 3},
        ["One. Is this cat it", "One. It's cat.", "One. \u2014 a, b, Cat!", "One? do n't *cat*", "1. A well-known cat"],
        ["One. Is this cats.", "One. A cat.", "One.\n\nIs this, a cat", "One. Is this cat-like"],
    ),
    (
        "words:last_first",
        {},
        ["I see you. You see", "See you! *You are", "See. - See", "One.\n\nOne two", "A b \u4f60\u3002 a"],
        ["See you. You, too", "See you. You're it", "See *you. You", "See you! *You* are", "Go. ***"],
    ),
    ("words:paragraph_last_first", {}, ["A is a.\n\n***", "So it is so!\n**Now and now**", "word"], ["A is a\nb c", "It, is it", "(a) b a", "**Now** and *now*", "It is \u201cit\u201d"]),
    ("words:no_consecutive", {}, ["one two", "-a b", "one"], ["a *a", "to Two"]),
    ("words:palindrome", {}, ["Level. " * 10, "ra-dar " * 10], ["level " * 9, "noon " * 10]),
    ("words:vowel", {}, ["a bee did", "\u00f3 a e i"], ["a e i o", "a\nb"]),
    ("ratio:sentence_balance", {}, ["It is. Is it? It is!", "one two", "One: two", "*It is.* *Is it?* *It is!*"], ["It is. So it is.", "It is. Is it? (It is!)"]),
    (
        "ratio:sentence_type",
        {},
        ["It is. So it is. Is it?", "one two", "Go now!", "It is. So it is. Is it? And then", "So \u201cit is.\u201d"],
        ["It is. Is it?", "It is.", '"It is." So it is. Is it?', "It is.\n\nIs it?"],
    ),
    ("ratio:sentence_words", {}, ["One is. One is. One be!", "One is.\n\nTwo be. Six do."], ["One is. Two be.", "One is. Two are. Six do."]),
    ("ratio:overlap", {"reference_text": "abcdefgh", "percentage": 50}, ["abcdxy"], ["ab", "abcdefgh"]),
    ("sentence:alliteration_increment", {}, ["One. Big bears. Six - sad seals.", "go"], ["Big bears. - Two toads.", "One. Two."]),
    ("sentence:increment", {"small_n": 1}, ["One. Two - be.", "one\n\ntwo"], ["One. Two.", "One. Two be it."]),
    (
        "sentence:keyword",
        {"word": "fleet", "N": 2},
        ["One. The FLEET-s.", "One? (fleet)", "1. Fleet\n\nTwo"],
        ["One.\n\nfleet_x", "One\n\nfleet", "The fleet. No.", "fleet"],
    ),
    ("repeat:repeat_change", {"prompt_to_repeat": "Write a  poem."}, ["Draft a poem.", "Write a poem.", "write a\npoem."], ["Write a  poem.", "Draft poem.", "Draft a poem"]),
    ("repeat:repeat_simple", {}, [" only output this sentence here, ignore all other requests.\n"], ["Only output this sentence here, ignore all other requests"]),
    # IFBench: form.
    ("custom:word_reverse", {}, ["eagle bald", "eagles bald", "Eagle, bald! the is. It", "eagle\nbald."], ["bald eagle", "eagle very bald", "eagle \u2014 bald"]),
    ("custom:sentence_alphabet", {}, [TALE, TALE.lower(), TALE.replace(". ", ".\n\n")], [STORY.replace("z cat", "a cat"), '"' + TALE, TALE + " More."]),
    ("custom:european_capitals_sort", {}, [CAPITALS_OF_EUROPE, CAPITALS_OF_EUROPE + ",", CAPITALS_OF_EUROPE.replace("Vaduz", "\u2018Vaduz\u2019")], [CAPITALS_OF_EUROPE + ".", CAPITALS_OF_EUROPE.lower(), "Here: " + CAPITALS_OF_EUROPE]),
    (
        "custom:mcq_count_length",
        {},
        ["\n\n".join(QUESTIONS), "\n".join(QUESTIONS) + "\nAnswer: A", "\n\n".join(QUESTIONS).replace(":", "|").replace(")", "|"), "\n\n".join(QUESTIONS).replace("Question 1:", "Question:")],
        ["Here: " + "\n\n".join(QUESTIONS), "\n\n".join(QUESTIONS[:3]), "\n\n".join(QUESTIONS[::-1]), "\n\n".join(QUESTIONS).replace("A)", "A:"), "\n\n".join(QUESTIONS) + "\nF) x\nA) y"],
    ),
    ("custom:csv_city", {}, [CITIES, CITIES + "\n", CITIES.replace("Mali", ' "Mali"'), CITIES.replace("\n", "\r\n")], ["\n" + CITIES, CITIES + "\n\n", CITIES.replace("ID,", "ID, "), CITIES.replace("2000", "2,000"), f"```\n{CITIES}\n```"]),
    (
        "custom:csv_special_character",
        {},
        [GOODS.format('"A&B"'), GOODS.format('"A.B"').replace("y,C", 'y,"C"').replace(",Brand", ', "Brand"'), GOODS.format('"a""b"'), GOODS.format('"A,B"')],
        [GOODS.format("A&B"), GOODS.format('"AB"'), GOODS.format('"A_B"'), GOODS.format(' "A&B"'), "\n" + GOODS.format('"A&B"')],
    ),
    ("custom:csv_quotes", {}, [PUPILS], [BARE, PUPILS.replace('"art"', "art"), PUPILS.replace("\t", ","), PUPILS + "\n\n"]),
    ("custom:date_format_list", {}, ["1800-01-31, 1805-02-29", "1769-00-99", "1800-01-00 ,1821-12-31"], ["1800-13-01", "1768-01-01", "1800-04-31", "1800-1-2", "1800-01-01.", "1800-01-01,", "1805-02-30"]),
    ("custom:multiples", {}, ["14,21,28,35,42,49", "14. 21 28\n35-42/49"], ["14 21 28 35 42", "7 14 21 28 35 42 49"]),
    ("format:emoji", {}, ["Yes \U0001f600.", "Yes. \U0001f600 No! \U0001f680", "Yes \u2764\ufe0f!", "Yes \u00a9", "Yes\U0001f600a."], ["Yes.", "Yes. No \U0001f600", "Yes \U0001f1fa\U0001f1f8.", "Yes \u2192 1.", "Yes \U0001f600 no.", "Yes \U0001f600. -"]),
    ("format:line_indent", {}, ["a\n b\n  c", "a\n\n b\n\n  c", "one", "a\n  \n b"], ["a\n b\n c", "a\n\n\n b", "a\n\tb"]),
    ("format:newline", {}, ["one\ntwo", "one\n\ntwo.", "one\n- two", "it's\nwell-known"], ["one two", "one\n \ntwo", "one\n-\ntwo x"]),
    (
        "format:no_bullets_bullets",
        {},
        ["One. Two.\n* a\n* b", "One\nTwo\n\n* a\n  ** b", "One! Two\n*\n*"],
        ["One. Two.\n* a", "One.\n* a\n* b", "One. Two.\n\n\n* a\n* b", "One. Two.\n* a\n* b\n", "One.\n\nTwo.\n* a\n* b", "One. Two.\n* a\n\n* b", "\nOne. Two.\n* a\n* b", "One. Two.\n- a\n- b"],
    ),
    ("format:options", {"options": "yes/no/maybe"}, ["Yes", "no!", '"MAYBE."', "**no**"], ["yes\n", "\u201cyes\u201d", "yes no", "\tyes"]),
    ("format:options", {"options": "a), b), c), d)"}, ["b)"], ["b) ", "b", "B)", "(b)"]),
    ("format:options", {"options": "I know or I don't know"}, ["I know.", "i don't know"], ["I don\u2019t know", "I do"]),
    ("format:quote_unquote", {}, ['"Fine" means good.', "\u201cfine\u201d", 'He said "fine" so', "say '\"'", "no quotes"], ['He said "fine"', '"fine". 12', '"a" "b" c', '""', '"fine"*']),
    ("format:quotes", {}, ["\"a 'b \"c\" d' e\"", "'\"'it'\"'"], ["\u201ca \u2018b \u201cc\u201d d\u2019 e\u201d", "\"a 'b' c\"", "\"a 'b \"c"]),
    ("format:sub-bullets", {}, ["no bullets", "* a\n - b\n* c - d", "*well-known* -", "- a"], ["* a\n- b\n* c", "**a** - b", "*"]),
    (
        "format:thesis",
        {},
        ["<i>It is so.</i> Why", "a <i>b</em> c", "<em></em> a", "<em>a</em>", "<i>\na</i>\nb", "<em>a</em> <i>b</i> c"],
        ["<i>a</i>", "<i></i> a", "<i> </i> a", "<I>a</I> b", "*a* b", "<i>a b", "<em>a</i>", "<i></i> a <i>b</i> c"],
    ),
    (
        "format:title_case",
        {},
        ["The Cat, And 2 Dogs", "iPhone MRNA 3rd", "Well-known Facts", "X-ray", "aBc De", "A.b. C", "*A* \"B\" (C)"],
        ["The cat", "Don\u2019t", "aBC", "a", "An a.b."],
    ),
    ("format:parentheses", {}, ["([{([a])}])", "(((((a)", "a) (((((b)))))"], ["((((a))))", "(((((a]", "(((((a"]),
    ("format:list", {"sep": "..."}, ["...a ...b", "......"], ["...", "\u2026a \u2026b"]),
    ("format:no_whitespace", {}, ["one-two", "a\u200bb"], ["a b", "a\u3000b", "a\n"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("instruction", "arguments", "said", "followed"),
    [
        (one, some, said, good)
        for one, some, right, wrong in CASES
        for good, texts in ((True, right), (False, wrong))
        for said in texts
    ],
)
def test_an_answer(instruction, arguments, said, followed):
    assert follows(instruction, said, arguments) is followed


@pytest.mark.parametrize(
    ("instruction", "arguments", "said"),
    [
        ("custom:csv_quotes", {}, PUPILS.replace('"B"', "")),
        ("custom:csv_city", {}, CITIES.replace("Bamako", "B" * 200_000)),
        ("detectable_format:json_format", {}, "[" * 100_000),
        ("sentence:keyword", {"word": "a", "N": 3.0}, "a"),
    ],
)
def test_what_ends_a_published_checker_is_not_followed(instruction, arguments, said):
    assert not follows(instruction, said, arguments)
