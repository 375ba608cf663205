from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.errors import CompileError, DefinitionError, Problem
from lorchestra.language import conditions
from lorchestra.language.conditions import And, Compare, Comparison, Condition, Not, Or
from lorchestra.language.references import CtxRef, Literal, PayloadRef

SECRET = "canary-77ab"
CTX: dict[str, Any] = {"env": "prod", "n": 3}
PAYLOAD: dict[str, Any] = {
    "yes": True,
    "no": False,
    "none": None,
    "one": 1,
    "half": 0.5,
    "word": "abc",
    "list": [1, {"a": True}],
    "same": [1.0, {"a": True}],
    "near": [1, {"a": 1}],
    "short": [1],
    "object": {"k": 1},
    "odd key": "x",
}


def holds(source: str | bool) -> bool:
    return conditions.evaluate(conditions.parse(source), ctx=CTX, payload=PAYLOAD)


def problem_of(source: str | bool) -> Problem:
    with pytest.raises(DefinitionError) as caught:
        holds(source)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("  false\n", False),
        ("@payload.yes", True),
        ("not @payload.yes", False),
        ("not not @payload.yes", True),
        ("@ctx.env == 'prod'", True),
        ('@ctx.env=="prod"', True),
        ('@ctx.env != "smoke"', True),
        ('@payload["odd key"] == "x"', True),
        ("@payload.list[0] == 1", True),
        ("@ctx.n > 2", True),
        ("@ctx.n >= 3.0", True),
        ("@ctx.n < 3", False),
        ("@ctx.n <= -1.5e0", False),
        ("@payload.half == 0.5", True),
        ("@payload.word < 'abd'", True),
        ("'2024-01-02' > '2024-01-01'", True),
        # No conversions, and no error for comparing what differs in type.
        ("@payload.yes == 1", False),
        ("@payload.yes != 1", True),
        ("@payload.one == '1'", False),
        ("@payload.none == false", False),
        ("@payload.none == null", True),
        ("@payload.one == 1.0", True),
        ("@payload.list == @payload.same", True),
        ("@payload.list == @payload.near", False),
        ("@payload.list == @payload.short", False),
        ("@payload.list == @payload.object", False),
        ("@payload.object == @payload", False),
        ("@ctx == @ctx", True),
        # `not` binds more than `and`, `and` more than `or`, comparisons most.
        ("true or true and false", True),
        ("(true or true) and false", False),
        ("not false and false", False),
        ("not (false and false)", True),
        ("not @ctx.n == 4", True),
        ("(@ctx.n == 3) == true", True),
        ("(1 < 2) == (2 < 3)", True),
        # What is decided is not looked at further.
        ("false and @payload.missing", False),
        ("true or @payload.missing", True),
        ("@payload.none != null and @payload.none.x > 1", False),
        (r"'it\'s \"so\" \\' == " + r'"it' + r"'s \"so\" \\" + '"', True),
    ],
)
def test_conditions(source: str | bool, value: bool) -> None:
    assert holds(source) is value


@pytest.mark.parametrize(
    ("source", "found", "hint"),
    [
        ("", "column 1: the condition ends", None),
        ("   ", "column 4: the condition ends", None),
        ("@ctx.n =  3", "column 8: '='", "did you mean '=='?"),
        ("@ctx.n === 3", "column 8: '==='", "did you mean '=='?"),
        ("@ctx.n <> 3", "column 8: '<>'", "did you mean '!='?"),
        ("true && false", "column 6: '&&'", "did you mean 'and'?"),
        ("true || false", "column 6: '||'", "did you mean 'or'?"),
        ("!@payload.yes", "column 1: '!'", "did you mean 'not'?"),
        ("@payload.x == None", "column 15: 'None'", "did you mean 'null'?"),
        ("True", "column 1: 'True'", "did you mean 'true'?"),
        ("@payload.yes AND true", "column 14: 'AND'", "did you mean 'and'?"),
        ("payload.yes", "column 1: 'payload'", "did you mean '@payload'?"),
        ("@paylod.yes", "column 1: '@paylod' begins no reference", "did you mean '@payload'?"),
        ("true and @ctx..n", "column 14: '..'", None),
        ("@@ctx", "column 1: '@' begins no reference", None),
        ("1 < 2 < 3", "column 7: '<'", None),
        ("1 == ", "column 6: the condition ends", None),
        ("== 1", "column 1: '=='", None),
        ("(true", "column 6: the condition ends", None),
        ("true)", "column 5: ')'", None),
        ("()", "column 2: ')'", None),
        ("true false", "column 6: 'false'", None),
        ("not", "column 4: the condition ends", None),
        ("1 == not true", "column 6: 'not'", None),
        ("'abc", "column 1: the text that begins here does not end", None),
        ("'a' == 'b\\n'", "column 8: the text that begins here does not end", None),
        ("01 == 1", "column 1: '01'", None),
        ("1.2.3 == 1", "column 1: '1.2.3'", None),
        ("12abc == 1", "column 1: '12abc'", None),
        ("1e999 > 0", "column 1: '1e999' is too large", None),
        ("[1] == 1", "column 1: '['", None),
        # What can never be a boolean is refused before any payload is seen.
        ("5", "column 1: a number", None),
        ("'true'", "column 1: a text", None),
        ("null", "column 1: null", None),
        ("not 0", "column 5: a number", None),
        ("true and 1", "column 10: a number", None),
        ("(1) or true", "column 1: a number", None),
        ("true or true and ''", "column 18: a text", None),
        ("@run.fetch.stats == 1", "column 1: '@run.fetch.stats' is known only once the job runs", None),
        ("true or @run.a.b", "column 9: '@run.a.b' is known only once the job runs", None),
    ],
)
def test_mistakes_name_the_column(source: str, found: str, hint: str | None) -> None:
    with pytest.raises(DefinitionError) as caught:
        conditions.parse(source)
    (problem,) = caught.value.problems
    assert problem.found == found
    assert hint is None or problem.hint == hint
    assert problem.expected


def test_why_run_references_decide_nothing_is_said() -> None:
    assert "when the job is compiled" in problem_of("@run.a.b").expected


def test_length_and_depth_are_bounded() -> None:
    assert conditions.parse("true" + " and true" * 200)
    assert "characters" in problem_of("true or " * 1000 + "true").found
    assert conditions.parse("(" * 32 + "true" + ")" * 32) == Literal(True)
    assert "level 33" in problem_of("(" * 33 + "true" + ")" * 33).found
    assert "level 33" in problem_of("not " * 33 + "true").found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("@payload.one", "'@payload.one' is a number"),
        ("@payload.none", "'@payload.none' is null"),
        ("@payload.word", "'@payload.word' is a text"),
        ("@payload.list", "'@payload.list' is a list of 2 items"),
        ("@payload", "'@payload' is an object of 12 keys"),
        ("true and @payload.one", "'@payload.one' is a number"),
        ("not @payload.word", "'@payload.word' is a text"),
        ("@payload.one < '2'", "'<' has a number on its left and a text on its right"),
        ("@payload.yes > false", "'>' has a boolean on its left and a boolean on its right"),
        ("@payload.none <= 1", "'<=' has null on its left and a number on its right"),
        ("@payload.list >= @payload.list", "'>=' has a list of 2 items on its left and a list of 2 items on its right"),
        ("@payload.missing", "'@payload.missing' does not exist"),
        ("@payload.missing == null", "'@payload.missing' does not exist"),
        ("true and @ctx.env.x", "'@ctx.env.x' does not exist"),
    ],
)
def test_what_cannot_be_decided_is_an_error(source: str, found: str) -> None:
    assert problem_of(source).found == found


def test_errors_tell_types_and_no_values() -> None:
    payload: dict[str, Any] = {"secret": SECRET, "deep": {SECRET: [SECRET]}}
    for source in ("@payload.secret", "@payload.secret < 1", "@payload.deep.x", "@payload.deep and true"):
        with pytest.raises(CompileError) as caught:
            conditions.evaluate(conditions.parse(source), ctx={}, payload=payload)
        assert SECRET not in str(caught.value)


names = st.sampled_from(["yes", "no", "none", "one", "half", "word", "list", "missing", "odd key", 'q"\\'])
operands: st.SearchStrategy[Condition] = st.one_of(
    st.booleans().map(Literal),
    st.integers().map(Literal),
    st.floats(allow_nan=False, allow_infinity=False).map(Literal),
    st.text(max_size=6).map(Literal),
    st.none().map(Literal),
    names.map(lambda name: PayloadRef((name,))),
    names.map(lambda name: CtxRef((name, 0))),
)
booleans: st.SearchStrategy[Condition] = st.recursive(
    st.one_of(
        st.booleans().map(Literal),
        names.map(lambda name: PayloadRef((name,))),
        st.builds(Compare, st.sampled_from(Comparison), operands, operands),
    ),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: And(tuple(items))),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: Or(tuple(items))),
        st.builds(Compare, st.sampled_from(Comparison), inner, operands),
    ),
    max_leaves=8,
)


def outcome(condition: Condition) -> bool | str:
    """The value, or what kept it from having one. The taker of a wrong type differs between equal forms."""
    try:
        return conditions.evaluate(condition, ctx=CTX, payload=PAYLOAD)
    except CompileError as error:
        return error.problems[0].found


@given(booleans)
def test_parse_undoes_unparse(condition: Condition) -> None:
    assert repr(conditions.parse(conditions.unparse(condition))) == repr(condition)


@given(booleans)
def test_two_nots_are_none(condition: Condition) -> None:
    assert outcome(Not(Not(condition))) == outcome(condition)


@given(st.lists(booleans, min_size=2, max_size=3))
def test_de_morgan(parts: list[Condition]) -> None:
    negated = tuple(Not(part) for part in parts)
    assert outcome(Not(And(tuple(parts)))) == outcome(Or(negated))
    assert outcome(Not(Or(tuple(parts)))) == outcome(And(negated))


@given(operands, operands)
def test_unequal_is_not_equal(left: Condition, right: Condition) -> None:
    assert outcome(Compare(Comparison.NE, left, right)) == outcome(Not(Compare(Comparison.EQ, left, right)))


fragments = st.sampled_from(
    ["@ctx.n", "@payload", "@run.a.b", "@", "and", "or", "not", "(", ")", "==", "<", "=", "1", "-1e9", "'x'", '"', "\\"]
)


@given(st.one_of(st.text(), st.lists(fragments).map(" ".join), st.lists(fragments).map("".join)))
def test_any_text_is_decided_or_refused_as_a_mistake_of_the_author(source: str) -> None:
    with suppress(DefinitionError):
        assert holds(source) in (True, False)
