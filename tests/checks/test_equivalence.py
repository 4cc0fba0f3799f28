"""Which answers mean the same. Many rows are pairs that differ in a sign that a careless comparison would delete."""

import pytest

from steelyard.checks import equivalent
from steelyard.checks.answers import equivalent_all, undecided


@pytest.mark.parametrize(
    ("answer", "truth", "same"),
    [
        (".5", "0.5", True),
        (".5", "5", False),
        ("5", ".5", False),
        ("-.5", "-1/2", True),
        ("1 1/2", "3/2", True),
        ("1 1/2", "11/2", False),
        ("-1 1/2", "-3/2", True),
        ("-1 1/2", "-1/2", False),
        (r"1\frac{1}{2}", "1.5", True),
        (r"1 \frac12", "1.5", True),
        ("3,14", "314", False),
        ("3,14", "3.14", True),
        ("3,5", "35", False),
        ("3,5", "(3,5)", True),
        ("3,5", "3, 5", True),
        ("3, 5", "35", False),
        ("1,250", "1250", True),
        ("1,250.50", "1250.5", True),
        ("1,250", "1.25", False),
        ("12,50", "1250", False),
        ("1,2,3", "123", False),
        ("0,333", "333", False),
        ("0,333", "0.333", True),
        ("1.250,50", "1250.5", True),
        ("1 250", "1250", True),
        ("2 3", "5", False),
        ("2 3", "23", False),
        ("2 3", "6", False),
        ("4 7", "47", False),
        (r"1\,250", "1250", True),
        ("1{,}250", "1250", True),
        ("10 000", "10000", True),
        ("Paris", "pairs", False),
        ("Paris", "paris", True),
        ("no", "on", False),
        ("x^2+y^2+z^2", "z^2+y^2+x^2", True),
        ("5!", "120", True),
        ("2**3", "8", True),
        ("½", "0.5", True),
        ("1½", "3/2", True),
        ("2½", "5/2", True),
        ("√3", r"\sqrt{3}", True),
        ("√3", r"\sqrt 3", True),
        ("1e5", "100000", True),
        ("1e5", "15", False),
        (r"6.02 \times 10^{23}", "6.02e23", True),
        (r"2\times 10^3", "2000", True),
        ("42 dollars", "42", True),
        ("42 dollars", "42 cents", False),
        ("42 dollar", "42 dollars", True),
        ("$42", "42", True),
        (r"\$42", "42", True),
        ("42.", "42", True),
        ("2 pi", "2", False),
        ("5 million", "5", False),
        (r"42 \text{ dollars}", "42", True),
        ("50%", "0.5", True),
        (r"50\%", "50", True),
        ("x=5", "5", True),
        ("2x", "2", False),
        ("3 or 4", "3", False),
        ("\N{MINUS SIGN}5", "-5", True),
        ("+5", "5", True),
        ("- 5", "-5", True),
        ("--5", "-5", False),
        ("1/0", "1", False),
        ("3/4", "0.75", True),
        ("1/2/3", "1/6", True),
        ("3:4", "3/4", True),
        ("1.2.3", "1.23", False),
        ("1,25", "125", False),
        ("5 cm", "5", True),
        ("5cm", "5", True),
        ("5 m", "5", True),
        ("x y", "xy", True),
        ("ab", "ba", True),
        ("(1, 2)", "(1,2)", True),
        ("(1,2)", "12", False),
        ("(1,2)", "(2,1)", False),
        ("1,000,000", "1000000", True),
        ("1,00", "100", False),
        ("1.", "1", True),
        ("$.50", "1/2", True),
        ("0.50", "$.50", True),
        ("1 000.5", "1000.5", True),
        ("007", "7", True),
        ("A", "B", False),
        ("A", "a", True),
        (r"\text{A}", "A", True),
        ("(A)", "A", True),
        ("New York", "York New", False),
        ("True", "true", True),
        ("3.0", "3", True),
        ("1,5", "1.5", True),
        ("1,500", "1.5", False),
        ("10-5", "5", True),
        ("1 1", "2", False),
        ("1 1", "11", False),
        ("5 1/2 hours", "5.5", True),
        ("2 1/2", "21/2", False),
        ("$3,14$", "3.14", True),
        ("a,b", "ab", False),
        ("1 , 5", "15", False),
        ("-3,5", "-3.5", True),
        ("1,-2", "-12", False),
        ("1;2", "12", False),
        ("1e400", "x", False),
        (". 5", "5", False),
        ("0 5", "5", False),
        ("5,", "5", True),
        (",5", "5", False),
        ("1'000", "1000", True),
        ("", "5", False),
        ("3 1/4", r"3\frac{1}{4}", True),
        ("3-1/4", "2.75", True),
        ("1 1/2 x", r"\frac{3}{2}x", True),
        ("1,250x", "1250x", True),
        ("1,250x+1", "1250x+1", True),
        (".5x", "0.5x", True),
        (".5x", "5x", False),
        ("3,14x", "314x", False),
        ("1 2x", "12x", False),
        (r"\frac{1,250}{2}", "625", True),
        ("x=.5", "5", False),
        ("x = 1,250", "1250", True),
        ("x=1 1/2", "3/2", True),
    ],
)
def test_what_is_equal(answer, truth, same):
    assert equivalent(answer, truth) is same


def test_many_at_once_are_each_compared_with_their_own_truth():
    pairs = [(f"{n}x+{n % 7}", f"{n % 7}+{n}x" if n % 3 else f"{n}x") for n in range(1, 40)]
    expected = [n % 3 > 0 or n % 7 == 0 for n in range(1, 40)]
    assert equivalent_all(pairs) == [equivalent(*pair) for pair in pairs] == expected


@pytest.mark.parametrize(
    "endless", [r"2^{2^{40}}", "9^{9^{9}}", "10!!!!", r"\binom{10^6}{5\cdot10^5}", "2**999999999999", "((((" * 40]
)
def test_an_endless_expression_is_no_equal(endless):
    assert equivalent(endless, "7") is False


def test_every_answer_that_was_not_decided_is_counted():
    before = undecided()
    pairs = [("3^{3^{3^{3}}}", "7"), ("3^{3^{3^{3}}}", "7"), ("3^{3^{3^{3}}}", "8"), ("x", "x")]
    assert equivalent_all(pairs) == [False, False, False, True]
    assert undecided() - before == 3
