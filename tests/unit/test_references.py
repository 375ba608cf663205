from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.errors import CompileError, DefinitionError, Path, Problem
from lorchestra.json_value import freeze, thaw
from lorchestra.language import json_check, references
from lorchestra.language.references import CtxRef, ListNode, Literal, MapNode, MissingOutput, Node, PayloadRef, RunRef

SECRET = "canary-5e1f"

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["@", "@@", "@run.a.items", "@payload", "@ctx.x", "@paylod.x", "@@@run.a.b"]),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=12,
)
paths = st.lists(st.one_of(st.text(max_size=5), st.integers(0, 999_999_999)), max_size=4).map(tuple)
step_ids = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
refs: st.SearchStrategy[references.Reference] = st.one_of(
    paths.map(CtxRef),
    paths.map(PayloadRef),
    st.builds(lambda step, output, path: RunRef(step, (output, *path)), step_ids, st.text(max_size=5), paths),
)
nodes: st.SearchStrategy[Node] = st.recursive(
    st.one_of(scalars.map(Literal), refs),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: ListNode(tuple(items))),
        st.dictionaries(st.text(max_size=5), inner, max_size=3).map(lambda items: MapNode(tuple(items.items()))),
    ),
    max_leaves=8,
)


def problems_of(action: Callable[[], object]) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        action()
    return caught.value.problems


def no_run_ref(ref: RunRef) -> object:
    raise AssertionError(f"{ref} came out of data")


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("", Literal("")),
        ("plain", Literal("plain")),
        ("me@example.org", Literal("me@example.org")),
        (" @ctx.a", Literal(" @ctx.a")),
        ("@@", Literal("@")),
        ("@@ctx.a", Literal("@ctx.a")),
        ("@@@ctx.a", Literal("@@ctx.a")),
        ("@ctx", CtxRef()),
        ("@payload", PayloadRef()),
        ("@ctx.a.b", CtxRef(("a", "b"))),
        ("@payload.first-name", PayloadRef(("first-name",))),
        ("@payload.a.b[0]", PayloadRef(("a", "b", 0))),
        ("@payload[12][0].x", PayloadRef((12, 0, "x"))),
        ('@payload["odd key"].x', PayloadRef(("odd key", "x"))),
        ('@payload[""]', PayloadRef(("",))),
        (r'@payload["a\"b\\c"]', PayloadRef(('a"b\\c',))),
        ('@payload["line\nbreak"]', PayloadRef(("line\nbreak",))),
        ("@run.fetch.items", RunRef("fetch", ("items",))),
        ("@run.fetch.stats.rows[0]", RunRef("fetch", ("stats", "rows", 0))),
        ('@run.fetch["stats"]', RunRef("fetch", ("stats",))),
    ],
)
def test_a_whole_string_is_a_reference_or_it_is_not(text: str, node: Node) -> None:
    assert references.parse(text) == node


@pytest.mark.parametrize(
    ("text", "found", "hint"),
    [
        ("@", "'@' begins no reference", None),
        ("@paylod.x", "'@paylod' begins no reference", "did you mean '@payload'?"),
        ("@contxt.a", "'@contxt' begins no reference", "did you mean '@ctx'?"),
        ("@payloads.x", "'@payloads' begins no reference", "did you mean '@payload'?"),
        ("@zebra", "'@zebra' begins no reference", None),
        ("@ctx.", "'@ctx' goes on with '.'", None),
        ("@ctx.a b", "'@ctx.a' goes on with ' b'", None),
        ("@ctx.a\n", "'@ctx.a' goes on with '\n'", None),
        ("@ctx.0", "'@ctx' goes on with '.0'", None),
        ("@ctx[01]", "'@ctx' goes on with '[01]'", None),
        ("@ctx[-1]", "'@ctx' goes on with '[-1]'", None),
        ("@ctx[9999999999]", "'@ctx' goes on with '[9999999999]'", None),
        ("@ctx['a']", "'@ctx' goes on with '['a']'", None),
        ('@ctx["a]', "'@ctx' goes on with '[\"a]'", None),
        (r'@ctx["\n"]', "'@ctx' goes on with '[\"\\n\"]'", None),
        ("@payload.é", "'@payload' goes on with '.é'", None),
        ("@payload[٣]", "'@payload' goes on with '[٣]'", None),
        ("@run", "'@run' names no output of a step", None),
        ("@run.fetch", "'@run.fetch' names no output of a step", None),
        ("@run.fetch[0]", "'@run.fetch[0]' names no output of a step", None),
        ("@run.Fetch.items", "'@run.Fetch.items' names no output of a step", None),
        ("@run[0].items", "'@run[0].items' names no output of a step", None),
    ],
)
def test_a_malformed_reference_is_an_error(text: str, found: str, hint: str | None) -> None:
    (problem,) = problems_of(lambda: references.parse(text))
    assert problem.found == found
    assert problem.hint == hint
    assert problem.expected.startswith("expected")


def test_all_malformed_references_are_reported_with_their_places() -> None:
    template: Any = {"a": ["@x.y", "fine", {"b": "@ctx["}], "c": "@run.only"}
    found = {problem.path for problem in problems_of(lambda: references.parse(template))}
    assert found == {("a", 0), ("a", 2, "b"), ("c",)}


def test_long_texts_are_quoted_in_part() -> None:
    (problem,) = problems_of(lambda: references.parse("@" + "z" * 500))
    assert len(problem.found) < 100


def test_keys_are_never_references() -> None:
    template = {"@payload.x": 1, "@nonsense": 2}
    assert references.resolve_static(references.parse(template), ctx={}, payload={}) == template


@pytest.mark.parametrize(
    ("value", "path", "found"),
    [
        ({"a": date(2024, 1, 1)}, ("a",), "a value of type date is not JSON"),
        ([1, math.nan], (1,), "a number that is not finite is not JSON"),
        ([math.inf], (0,), "a number that is not finite is not JSON"),
        (2**64, (), "an integer of more than 64 bits is not JSON"),
        ({"a": {1: 2}}, ("a",), "a key of type int is not JSON"),
        ({"a": {"\ud800": 2}}, ("a",), "a key with half a surrogate pair is not JSON"),
        (["\ud800"], (0,), "a text with half a surrogate pair is not JSON"),
        ({"a": {1, 2}}, ("a",), "a value of type set is not JSON"),
    ],
)
def test_what_is_not_json_is_named_by_place_and_type(value: Any, path: Path, found: str) -> None:
    expected = [(path, found)]
    assert [(p.path, p.found) for p in problems_of(lambda: references.parse(value))] == expected
    assert [(p.path, p.found) for p in json_check.problems_of(value)] == expected


def test_depth_is_bounded_everywhere() -> None:
    deepest, too_deep = nested(json_check.MAX_DEPTH), nested(json_check.MAX_DEPTH + 1)
    assert json_check.problems_of(deepest) == ()
    assert "deeper than" in json_check.problems_of(too_deep)[0].found
    assert references.unparse(references.parse(deepest)) == deepest
    assert "deeper than" in problems_of(lambda: references.parse(too_deep))[0].found
    inserted = references.parse(["@payload.x"])
    (problem,) = problems_of(lambda: references.resolve_static(inserted, ctx={}, payload={"x": deepest}))
    assert (problem.path, "deeper than" in problem.found) == ((0,), True)


def test_a_value_that_holds_itself_is_too_deep() -> None:
    loop: list[Any] = []
    loop.extend([loop, loop])
    assert "deeper than" in json_check.problems_of(loop)[0].found
    assert "deeper than" in problems_of(lambda: references.parse(loop))[0].found


def test_types_are_kept() -> None:
    payload: dict[str, Any] = {"n": 1, "f": 1.0, "b": True, "z": None, "l": [1, "2"], "o": {"k": []}}
    template = {key: f"@payload.{key}" for key in payload}
    value = references.resolve_static(references.parse(template), ctx={}, payload=payload)
    assert repr(value) == repr(payload)


def test_a_frozen_payload_resolves_like_a_plain_one() -> None:
    payload: dict[str, Any] = {"rows": [{"a": 1}, {"a": 2}]}
    for value in (payload, freeze(payload)):
        assert references.resolve_static(references.parse("@payload.rows[1].a"), ctx={}, payload=value) == 2
        assert references.resolve_static(references.parse("@payload"), ctx={}, payload=value) == payload


def test_the_result_is_a_copy() -> None:
    payload: dict[str, Any] = {"rows": [1]}
    value = references.resolve_static(references.parse("@payload.rows"), ctx={}, payload=payload)
    payload["rows"].append(2)
    assert value == [1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@payload.b", "'@payload' is an object of 6 keys without 'b'"),
        ("@payload.a.x.y", "'@payload.a' is an object of 1 key without 'x'"),
        ("@payload.list[3]", "'@payload.list' is a list of 3 items"),
        ("@payload.list.size", "'@payload.list' is a list of 3 items"),
        ("@payload.a[0]", "'@payload.a' is an object of 1 key"),
        ("@payload.text[0]", "'@payload.text' is a text"),
        ("@payload.none.x", "'@payload.none' is null"),
        ("@payload.number.x", "'@payload.number' is a number"),
        ("@payload.flag.x", "'@payload.flag' is a boolean"),
        ("@ctx.a", "'@ctx' is an object of 0 keys without 'a'"),
    ],
)
def test_a_missing_path_tells_where_it_ends_and_no_key_or_value_found(text: str, expected: str) -> None:
    payload: dict[str, Any] = {
        "a": {SECRET: SECRET},
        "list": [SECRET] * 3,
        "text": SECRET,
        "none": None,
        "number": 424242,
        "flag": True,
    }
    (problem,) = problems_of(lambda: references.resolve_static(references.parse(text), ctx={}, payload=payload))
    assert (problem.found, problem.expected) == (f"'{text}' does not exist", expected)
    assert SECRET not in str(problem)
    assert "424242" not in str(problem)


def test_all_missing_paths_are_reported_with_their_places() -> None:
    template = references.parse({"a": ["@ctx.x", "@ctx.here"], "b": "@payload.y", "c": "@run.s.items"})
    with pytest.raises(CompileError) as caught:
        references.resolve_static(template, ctx={"here": 1}, payload={})
    assert [problem.path for problem in caught.value.problems] == [("a", 0), ("b",)]


def test_references_are_found_with_their_places() -> None:
    node = references.parse({"a": ["@run.s.items", "@ctx.x"], "b": {"c": "@payload"}, "d": "@@run.s.items"})
    assert list(references.run_refs(node)) == [(("a", 0), RunRef("s", ("items",)))]
    assert list(references.static_refs(node)) == [(("a", 1), CtxRef(("x",))), (("b", "c"), PayloadRef())]


def test_run_references_are_left_for_the_run() -> None:
    template = references.parse({"n": "@run.s.stats.n", "who": "@payload.who", "at": "@@home"})
    compiled = references.resolve_static(template, ctx={}, payload={"who": "@run.s.stats.n"})
    assert compiled == {"n": "@run.s.stats.n", "who": "@@run.s.stats.n", "at": "@@home"}
    value = references.resolve(references.parse(compiled), lambda ref: ("value of", str(ref)))
    assert value == {"n": ("value of", "@run.s.stats.n"), "who": "@run.s.stats.n", "at": "@home"}


def test_a_static_reference_cannot_be_resolved_at_run_time() -> None:
    (problem,) = problems_of(lambda: references.resolve(references.parse(["@payload.x"]), no_run_ref))
    assert problem.found == "'@payload.x' is not resolved"


def test_walk_finds_a_part_of_an_output_or_says_where_it_ends() -> None:
    outputs = {"stats": {"rows": [1, 2], SECRET: 0}}
    assert references.walk(outputs, RunRef("s", ("stats", "rows", 1))) == 2
    with pytest.raises(MissingOutput) as caught:
        references.walk(outputs, RunRef("s", ("stats", "row", "x")))
    assert str(caught.value) == (
        "'@run.s.stats.row.x' does not exist: '@run.s.stats' is an object of 2 keys without 'row'"
    )


@given(nodes)
def test_parse_undoes_unparse(node: Node) -> None:
    assert repr(references.parse(references.unparse(node))) == repr(node)


@given(json_values)
def test_unparse_undoes_parse(value: Any) -> None:
    try:
        node = references.parse(value)
    except DefinitionError:
        return
    assert repr(references.unparse(node)) == repr(value)


@given(json_values)
def test_any_payload_passes_through_whole_and_as_data(payload_value: Any) -> None:
    payload = {"x": payload_value}
    compiled = references.resolve_static(references.parse({"p": "@payload.x"}), ctx={}, payload=payload)
    assert references.resolve(references.parse(compiled), no_run_ref) == {"p": payload_value}
    assert list(references.static_refs(references.parse(compiled))) == []


@given(json_values)
def test_static_resolution_is_idempotent(value: Any) -> None:
    payload = {"x": value}
    once = references.resolve_static(references.parse(["@payload.x", "@@x", "@run.s.v"]), ctx={}, payload=payload)
    assert references.resolve_static(references.parse(once), ctx={}, payload={}) == once


@given(json_values.filter(lambda value: "@" not in repr(value)))
def test_a_template_without_references_resolves_to_itself(value: Any) -> None:
    assert references.resolve_static(references.parse(value), ctx={}, payload={}) == value
    assert references.resolve(references.parse(freeze(value)), no_run_ref) == thaw(value)


@given(st.one_of(st.text(), st.text(alphabet='@ctxpayloadrun.[]"\\0 1a').map(lambda text: "@" + text)))
def test_any_text_parses_or_is_refused_as_a_mistake_of_the_author(text: str) -> None:
    with suppress(DefinitionError):
        assert references.unparse(references.parse(text)) is not None
