"""The formula language: what is written is what is read, and what cannot be read is pointed at."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.errors import FormulaError
from lossbench.expression import MAX_LENGTH, Formula, Term, Value, parse_call, parse_formula

WORDS = ("true", "True", "false", "False", "none", "None")
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,8}(-[a-z0-9]{1,4}){0,2}(/[A-Za-z_][A-Za-z0-9_]{0,8})?", fullmatch=True)
numbers = st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_characters="\"'\\\n"), max_size=8) | st.sampled_from(
    [*WORDS, "1", "it's", 'a "b"']
)
values = st.none() | st.booleans() | numbers | texts
terms = st.builds(
    Term,
    names,
    st.dictionaries(names, values, max_size=3),
    st.none() | st.floats(min_value=0, exclude_min=True, allow_infinity=False),
)
formulas = st.lists(terms, min_size=1, max_size=4).map(lambda terms: Formula(tuple(terms)))


def same(one: Value, other: Value) -> bool:
    return type(one) is type(other) and one == other


@given(formulas)
def test_what_is_written_is_read_back(formula: Formula) -> None:
    again = parse_formula(str(formula))
    assert again == formula
    for term, original in zip(again.terms, formula.terms, strict=True):
        assert all(same(term.arguments[name], value) for name, value in original.arguments.items())  # 1 is not 1.0


@given(formulas)
def test_spaces_between_tokens_mean_nothing(formula: Formula) -> None:
    assert parse_formula(f"\n\t{formula} ".replace(" + ", "\n+\t")) == formula


@given(st.text(max_size=40) | st.text("ab1.e-+*(),=\"' /", max_size=40))
def test_any_text_is_read_or_refused_with_a_caret_under_what_was_found(text: str) -> None:
    try:
        formula = parse_formula(text)
    except FormulaError as error:
        message, shown, caret, *_ = str(error).split("\n")
        position = int(message.rpartition("character ")[2].split()[0]) - 1
        if "found the end" not in message:
            assert repr(text[position])[1:-1] in message
            assert shown[caret.index("^")] == text[position].replace("\n", " ")
    else:
        assert parse_formula(str(formula)) == formula


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("softmax", [Term("softmax")]),
        ("a()", [Term("a")]),
        ("2*a", [Term("a", {}, 2.0)]),
        (".5*a+1.*b", [Term("a", {}, 0.5), Term("b", {}, 1.0)]),
        ("a +0.1*b", [Term("a"), Term("b", {}, 0.1)]),
        ("a+1e-3*b", [Term("a"), Term("b", {}, 0.001)]),
        ("1e-3*a", [Term("a", {}, 0.001)]),
        ("pml/CircleLoss(m=0.4)", [Term("pml/CircleLoss", {"m": 0.4})]),
        ("my-pkg/my-loss", [Term("my-pkg/my-loss")]),
        ("weighted-softmax(power=0.5, average=batch)", [Term("weighted-softmax", {"power": 0.5, "average": "batch"})]),
        ("a(x=-1, y=+2, z=-.5)", [Term("a", {"x": -1, "y": 2, "z": -0.5})]),
        ("a(x=true, y=False, z=none)", [Term("a", {"x": True, "y": False, "z": None})]),
        ("""a(x="true", y='say "hi"', z="")""", [Term("a", {"x": "true", "y": 'say "hi"', "z": ""})]),
        ("a(x=nan)", [Term("a", {"x": "nan"})]),  # a word: the loss refuses it
    ],
)
def test_examples(text: str, terms: list[Term]) -> None:
    assert parse_formula(text).terms == tuple(terms)


def test_whole_numbers_stay_whole_and_others_don_t() -> None:
    arguments = parse_formula("a(x=2, y=2.0, z=2e0)").terms[0].arguments
    assert [type(value) for value in arguments.values()] == [int, float, float]


@pytest.mark.parametrize(
    ("text", "problem", "column"),
    [
        ("", "expected the name of a loss, found the end", 1),
        ("   ", "expected the name of a loss, found the end", 1),
        ("softmax +", "expected the name of a loss, found the end", 10),
        ("+ softmax", "expected the name of a loss, found '+'", 1),
        ("softmax softmax", "expected '+' or the end, found 'softmax'", 9),
        ("softmax - center", "expected '+' or the end, found '-'", 9),
        ("softmax -0.1*center", "expected '+' or the end, found '-0.1'", 9),
        ("softmax 0.1*center", "expected '+' or the end, found '0.1'", 9),
        ("softmax * 2", "expected '+' or the end, found '*'", 9),
        ("softmax)", "expected '+' or the end, found ')'", 8),
        ("(softmax)", "expected the name of a loss, found '('", 1),
        ("0.5", "expected '*' after the coefficient, found the end", 4),
        ("0.5 softmax", "expected '*' after the coefficient, found 'softmax'", 5),
        ("0.5*0.5*softmax", "expected the name of a loss, found '0.5'", 5),
        ("0*softmax", "a coefficient must be finite and positive, found '0'", 1),
        ("softmax +0*center", "a coefficient must be finite and positive, found '0'", 10),
        ("-1*softmax", "a coefficient must be finite and positive, found '-1'", 1),
        ("1e999*softmax", "a coefficient must be finite and positive, found '1e999'", 1),
        ("1e-999*softmax", "a coefficient must be finite and positive, found '1e-999'", 1),
        ("center(", "expected the name of a hyper-parameter, found the end", 8),
        ("center(0.5)", "expected the name of a hyper-parameter, found '0.5'", 8),
        ("center(,)", "expected the name of a hyper-parameter, found ','", 8),
        ("center(alpha=1,)", "expected the name of a hyper-parameter, found ')'", 16),
        ("center(alpha)", "expected '=' and a value after 'alpha', found ')'", 13),
        ("center(alpha=)", "expected a value, found ')'", 14),
        ("center(alpha=softmax(", "expected ',' or ')', found '('", 21),
        ("center(alpha=1 beta=2)", "expected ',' or ')', found 'beta'", 16),
        ("center(alpha=1, alpha=2)", "'alpha' is given twice, found 'alpha'", 17),
        ("center(alpha=1e999)", "a value must be finite, found '1e999'", 14),
        ("center(alpha=0.5", "expected ',' or ')', found the end", 17),
        ("center(alpha='a)", 'unexpected character, found "\'"', 14),
        ("softmax & center", "unexpected character, found '&'", 9),
        ("softmax\u00a0+ center", "unexpected character, found '\\xa0'", 8),
        ("soft\u2212max", "unexpected character, found '\u2212'", 5),
        ("2softmax", "unexpected character, found '2'", 1),
        ("1.2.3*softmax", "unexpected character, found '1'", 1),
        ("__import__('os')", "expected the name of a hyper-parameter, found \"'os'\"", 12),
    ],
)
def test_what_can_t_be_read_is_pointed_at(text: str, problem: str, column: int) -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    message, shown, caret, example = str(caught.value).split("\n")
    assert message == f"{problem} at character {column} of the formula"
    assert shown == f"  {text}"
    assert caret == " " * (column + 1) + "^"
    assert parse_formula(example.partition(": ")[2])


def test_the_caret_stands_right_in_a_long_formula_too() -> None:
    text = " + ".join(["softmax"] * 40) + " & " + " + ".join(["softmax"] * 40)
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    _, shown, caret, _ = str(caught.value).split("\n")
    assert shown[caret.index("^")] == "&"
    assert len(shown) < 70


@pytest.mark.parametrize(
    "bomb",
    [
        "(" * MAX_LENGTH,
        "a(b=" * (MAX_LENGTH // 4),
        "1" * (MAX_LENGTH - 1) + "x",
        "1e" + "1" * (MAX_LENGTH - 3) + "x",
        "a-" * (MAX_LENGTH // 2),
        "'" * (MAX_LENGTH - 1),
        "a" + " " * (MAX_LENGTH - 2) + "&",
        "a" * (MAX_LENGTH + 1),
        "a" * 10_000_000,
    ],
    ids=lambda bomb: bomb[:6],
)
def test_a_bomb_is_refused_at_once(bomb: str) -> None:
    begin = time.perf_counter()
    with pytest.raises(FormulaError) as caught:
        parse_formula(bomb)
    assert time.perf_counter() - begin < 1  # a backtracking search takes seconds
    assert len(str(caught.value)) < 11_000


def test_the_longest_formula_is_read() -> None:
    assert len(parse_formula("+".join(["a"] * (MAX_LENGTH // 2))).terms) == MAX_LENGTH // 2
    with pytest.raises(FormulaError, match=f"at most {MAX_LENGTH} characters, got {MAX_LENGTH + 1}"):
        parse_formula("a" * (MAX_LENGTH + 1))


@pytest.mark.parametrize("digits", [18, 19, 25, 300])
def test_long_numbers_keep_their_value(digits: int) -> None:
    value = parse_call(f"a(x={'1' * digits})")[1]["x"]
    assert math.isclose(value, int("1" * digits))


@given(names, st.dictionaries(names, values, max_size=3))
def test_a_call_is_a_term_without_coefficient(name: str, arguments: dict[str, Value]) -> None:
    assert parse_call(str(Term(name, arguments))) == (name, arguments)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2*digits", "expected the name of a loss, found '2' at character 1"),
        ("digits + faces", "expected the end, found '+' at character 8"),
        ("", "expected the name of a loss, found the end"),
    ],
)
def test_a_call_is_one_call(text: str, problem: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse_call(text)
    assert problem in str(caught.value)
