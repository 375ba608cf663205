from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.definitions import yaml_scalar, yaml_source, yaml_syntax, yaml_tree
from lorchestra.definitions.yaml_source import MAX_BYTES, MAX_PROBLEMS
from lorchestra.errors import JobValidationError, Location


def problems_in(text: bytes | str) -> list[str]:
    with pytest.raises(JobValidationError) as caught:
        yaml_source.parse(text, file="f")
    return [str(problem) for problem in caught.value.problems]


def value_of(text: bytes | str) -> Any:
    return yaml_source.parse(text, file="f").value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("null", None),
        ("~", None),
        ("", None),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("12", 12),
        ("-7", -7),
        ("+1", 1),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("00000000000000000000000000000000001", 1),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2.10", 2.1),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.2.3", "1.2.3"),
        ("-x", "-x"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("! 5", "5"),
        ("!!int '5'", 5),
        ("!!float 5", 5.0),
        ("!!null null", None),
        ("!!bool true", True),
        ("!!seq [1]", [1]),
        ("!!map {a: 1}", {"a": 1}),
        (str(2**64 - 1), 2**64 - 1),
        (str(-(2**63)), -(2**63)),
    ],
)
def test_words_mean_what_the_core_schema_of_yaml_1_2_says(written: str, value: object) -> None:
    read = value_of(f"a: {written}\n")["a"]
    assert (read, type(read)) == (value, type(value))


MISTAKES = [
    ("a: !!python/object:os.system {}", "f:1:4: found the tag '!!python/object:os.system'; expected plain data"),
    ("a: !secret x", "f:1:4: found the tag '!secret'"),
    ("a: !!timestamp 2026-01-01", "f:1:4: found the tag '!!timestamp'"),
    ("a: !!binary aGk=", "f:1:4: found the tag '!!binary'"),
    ("a: !!str [1]", "f:1:4: found the tag '!!str'"),
    ("a: !!seq {b: 1}", "f:1:4: found the tag '!!seq'"),
    ("a: !!int abc", "f:1:4: found 'abc' with the tag !!int"),
    ("a: .nan", "f:1:4: found .nan; expected a finite number"),
    ("a: -.INF", "f:1:4: found -.INF; expected a finite number"),
    ("a: 1e999", "f:1:4: found a number that is too large"),
    (f"a: {2**64}", "f:1:4: found a whole number beyond 64 bits"),
    ("a: " + "9" * 100_000, "f:1:4: found a whole number beyond 64 bits"),
    ("a: 1\nb: 2\na: 3", "f:3:1: the key 'a' is used twice (first at line 1, column 1)"),
    ("{a: 1, 'a': 2}", "f:1:8: the key 'a' is used twice (first at line 1, column 2)"),
    ("1: x", "f:1:1: found the key 1; expected a key that is text; write '1'"),
    ("true: x", "f:1:1: found the key true; expected a key that is text; write 'true'"),
    ("?\n: x", "found an empty key; expected a key that is text"),
    ("? [a]\n: x", "f:1:3: found a list or a mapping; expected a key that is text"),
    ("b: &b {x: 1}\na:\n  <<: *b", "f:3:3: found the merge key '<<'"),
    ("name: &fetch 1\nb: *fetsh", "f:2:4: found the alias '*fetsh', and no anchor '&fetsh' before it"),
    ("name: &fetch 1\nb: *fetsh", "did you mean 'fetch'?"),
    ("a: &a [*a]", "f:1:8: found the alias '*a' inside what it stands for"),
    ("--- 1\n--- 2", "f:2:1: found a second document"),
    ("", "f:1:1: the file is empty"),
    ("# only a comment\n", "f:1:1: the file is empty"),
    ("---\n", "f:1:1: the file is empty"),
    ("a: \x07", "f:1:4: found the character U+0007, which YAML cannot hold"),
    (
        "a: 1\r\nb: \x00",
        "f:2:4: found the character U+0000, which YAML cannot hold; expected text; save the file as UTF-8",
    ),
    ("a: \ud800", "f:1:4: found the character U+D800, which YAML cannot hold"),
    (b"ab: \xff", "f:1:5: found the byte 0xff, which is not UTF-8"),
    (b"\xef\xbb\xbfab: \xff", "f:1:5: found the byte 0xff, which is not UTF-8"),
    ("a: é\n".encode("utf-16")[:-1], "found broken UTF-16"),
    ("a: @ctx.x", "f:1:4: found text that begins with '@'; expected quotes around such text; write '@ctx.x'"),
    ("a: [@run.b.c, 1]", "write '@run.b.c'"),
    ("a: @it's", "put the whole text in quotes"),
    ("a: `x`", "f:1:4: found text that begins with '`'"),
    ("a: %x", "f:1:4: found text that begins with '%'"),
    ("a:\n\t- b", "f:2:1: found a tab where indentation is expected; expected spaces"),
    ("a: |\n\tx", "f:2:1: found a tab where indentation is expected; expected spaces"),
    ("a: b: c", "f:1:5: found a second ': ' in one entry; expected text that holds ': ' in quotes"),
    ("a:\n  b: 1\n   c: 2", "f:3:5: found a key where no key can stand; expected the keys of a mapping in one column"),
    ("a:\n  - b\n c: 1", "f:3:2: found a line that does not fit the mapping around it"),
    ("- a\nb: 1", "f:2:1: found a line that does not fit the list around it"),
    ("a: 1\nsteps\nb: 2", "f:2:1: found a line without ': '; expected `key: value`"),
    ("a: 'x\nb: 1\n", "f:1:4: found a quote that is never closed"),
    ("a: [1,\nb: 2", "f:3:1: found no end of the list in [ ] that begins at line 1, column 4; expected ',' or ']'"),
    ("a: [1 [", "f:1:7: found more text in the list in [ ] that begins at line 1, column 4"),
    ("a: {b: 1", "found no end of the mapping in { } that begins at line 1, column 4; expected ',' or '}'"),
    ("a: - b", "f:1:4: found '- ' where no list can begin"),
    ("a: [}]", "f:1:5: found '}' where a value should stand"),
    ("{a: 1} x", "f:1:8: found 'x' after the end of the value"),
    ('a: "\\q"', "f:1:5: found the escape '\\q' in double quotes"),
    ('a: "\\ud83d"', "found an escape of half a character"),
    ('a: "\\xZZ"', "found an escape that names no character"),
    ("a: &x &y 1", "f:1:7: found a second anchor or tag on one value"),
    ("a: & b", "found '&' or '*' without a name"),
    ("a: !x!y b", "found '!' without a tag that can be read"),
    ("%FOO\n---\na", "found a '%' line that YAML does not know"),
    ("%YAML 2.0\n---\na", "f:1:1: found a YAML version we do not read"),
    ("a: |x\n b", "found more text after '|' or '>'"),
    ("a: 'x\n---\n", "found '---' or '...' inside quoted text"),
    ("[" * 5000, f"f:1:{yaml_tree.MAX_DEPTH + 1}: found more than 64 levels of nesting"),
    ("- " * 5000, "found more than 64 levels of nesting"),
]


@pytest.mark.parametrize(("text", "problem"), MISTAKES, ids=[str(number) for number in range(len(MISTAKES))])
def test_a_mistake_is_reported_at_its_place_in_words(text: bytes | str, problem: str) -> None:
    assert any(problem in found for found in problems_in(text)), problems_in(text)


def test_an_error_of_libyaml_without_a_place_is_reported_all_the_same() -> None:
    assert str(yaml_syntax.explain(yaml.YAMLError(), "", "f")) == "f:1:1: found what YAML cannot hold; expected YAML"


def test_an_error_of_libyaml_we_have_no_words_for_is_passed_on() -> None:
    mark = yaml.Mark("f", 2, 0, 1, "a: b", 2)
    error = yaml.MarkedYAMLError(problem="did not expect this", problem_mark=mark)
    assert str(yaml_syntax.explain(error, "a\n b", "f")) == "f:1:2: not YAML: did not expect this; expected YAML"


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file() -> None:
    found = problems_in("a: !x 1\n2: b\na: .nan\nc: *d\ne: 'never closed\n")
    assert [each.split(": ")[0] for each in found] == ["f:1:4", "f:2:1", "f:3:1", "f:3:4", "f:4:4", "f:5:4"]


def test_what_was_refused_is_not_reported_again_as_a_key() -> None:
    assert len(problems_in("*x : 1\n")) == 1


def test_a_file_with_very_many_mistakes_reports_the_first_and_counts_the_rest() -> None:
    found = problems_in("".join(f"{number}: x\n" for number in range(MAX_PROBLEMS + 50)))
    assert len(found) == MAX_PROBLEMS + 1
    assert "50 more problems" in found[-1]


def test_an_alias_stands_for_a_copy_of_its_anchor() -> None:
    value = value_of("a: &x {b: [1]}\nc: *x\n&k d: 1\ne: {*k : 2}\n")
    assert value == {"a": {"b": [1]}, "c": {"b": [1]}, "d": 1, "e": {"d": 2}}
    assert value["a"] is not value["c"]
    assert value["a"]["b"] is not value["c"]["b"]


def laughs() -> str:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    return "\n".join(lines)


def test_a_billion_laughs_are_refused_in_milliseconds() -> None:
    text = laughs()
    fastest = 1.0
    for _ in range(3):
        started = time.perf_counter()
        found = problems_in(text)
        fastest = min(fastest, time.perf_counter() - started)
    assert "found more than 100000 values, aliases counted in full" in found[-1]
    assert fastest < 0.05


def test_nesting_is_bounded_through_aliases_too() -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100))
    assert "found more than 64 levels of nesting, aliases included" in problems_in(chain)[0]


def test_what_is_as_deep_as_allowed_is_read() -> None:
    depth = yaml_tree.MAX_DEPTH
    assert value_of("[" * depth + "]" * depth) is not None


@pytest.mark.parametrize("text", ["x" * (MAX_BYTES + 1), b"x" * (MAX_BYTES + 1)])
def test_a_text_beyond_the_bound_is_refused(text: bytes | str) -> None:
    assert problems_in(text) == ["f:1:1: the file is too large; expected at most 1024 KiB of YAML"]


@pytest.mark.parametrize(
    "data",
    [
        "a: é\n".encode(),
        "a: é\n".encode("utf-8-sig"),
        "a: é\n".encode("utf-16"),
        b"\xff\xfe" + "a: é\n".encode("utf-16-le"),
        b"\xfe\xff" + "a: é\n".encode("utf-16-be"),
        b"a: \xc3\xa9\r\n",
    ],
)
def test_utf8_and_utf16_are_read_with_or_without_a_byte_order_mark(data: bytes) -> None:
    assert value_of(data) == {"a": "é"}


SOURCE = """\
job_id: x
steps:
- step_id: fetch   # a comment
  params: {n: 2.10, "q": 'text'}
"""


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [
        ((), False, (1, 1)),
        (("job_id",), False, (1, 9)),
        (("job_id",), True, (1, 1)),
        (("steps",), True, (2, 1)),
        (("steps",), False, (3, 1)),
        (("steps", 0), False, (3, 3)),
        (("steps", 0, "params", "n"), False, (4, 15)),
        (("steps", 0, "params", "n"), True, (4, 12)),
        (("steps", 0, "params", "missing"), False, (4, 11)),
        (("steps", 0, "params", "missing", "deeper"), True, (4, 11)),
        (("steps", 7), False, (3, 1)),
        (("steps", -1), False, (3, 1)),
        (("job_id", "no", "such"), False, (1, 9)),
        (("steps", "no"), False, (3, 1)),
        ((0,), False, (1, 1)),
    ],
)
def test_a_path_is_located_at_the_nearest_value(path: tuple[str | int, ...], key: bool, place: tuple[int, int]) -> None:
    assert yaml_source.parse(SOURCE, file="f").locate(path, key=key) == Location("f", *place)


def test_inside_an_alias_a_path_is_located_where_the_text_stands() -> None:
    source = yaml_source.parse("a: &x\n  b: 1\nc: *x\n", file="f")
    assert source.locate(("c",)) == Location("f", 3, 4)
    assert source.locate(("c", "b")) == Location("f", 2, 6)


def test_an_unquoted_scalar_is_known_as_it_was_written() -> None:
    source = yaml_source.parse(SOURCE, file="f")
    assert source.written(("steps", 0, "params", "n")) == "2.10"
    assert source.written(("steps", 0, "params", "q")) is None
    assert source.written(("steps", 9)) is None


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"a: 1\n")
    source = yaml_source.read(path)
    assert (source.value, source.file) == ({"a": 1}, str(path))


def refusal_of(path: Path) -> str:
    with pytest.raises(JobValidationError) as caught:
        yaml_source.read(path)
    return str(caught.value)


def test_what_is_no_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    assert "there is no such file" in refusal_of(tmp_path / "none.yaml")
    assert "this is a folder" in refusal_of(tmp_path)
    assert "this is no regular file" in refusal_of(tmp_path / "pipe")
    assert "the file cannot be read (Too many levels of symbolic links)" in refusal_of(tmp_path / "loop")
    assert "this names no file" in refusal_of(Path("a\0b"))
    assert str(tmp_path / "none.yaml") in refusal_of(tmp_path / "none.yaml")


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("a: 1\n", encoding="utf-8")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user reads every file")
    assert "the file cannot be read (Permission denied)" in refusal_of(path)


def test_of_a_huge_file_no_more_than_the_bound_is_read(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    with path.open("wb") as sparse:
        sparse.truncate(1 << 40)
    assert "the file is too large" in refusal_of(path)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_at_all_raise_anything_else(data: bytes) -> None:
    try:
        yaml_source.parse(data, file="f")
    except JobValidationError as error:
        mistakes = error.problems
    else:
        return
    assert all(problem.location for problem in mistakes)


FRAGMENTS = (
    *("a", "b: ", "- ", "\n", "\n  ", " ", "[", "]", "{", "}", ",", ": ", "? ", "&x ", "*x", "!", "!!int ", "|", ">"),
    *("'", '"', "\\", "#", "%", "@", "`", "\t", "---\n", "...\n", "<<", "~", "1", ".inf", "0x", "-", "é", "\u2028"),
)
YAMLISH = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)


@given(YAMLISH | st.text(st.characters()))
def test_no_text_at_all_raises_anything_else(text: str) -> None:
    try:
        source = yaml_source.parse(text, file="f")
    except JobValidationError as error:
        mistakes = error.problems
    else:
        json.dumps(source.value, allow_nan=False)
        return
    assert all(problem.location and problem.found and problem.expected for problem in mistakes)


# Keys beyond 1,024 bytes and characters that YAML cannot hold unescaped are outside the promise.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff"), max_size=100)
HELD = TEXT.filter(lambda text: not any(ord(character) & 0xFFFE == 0xFFFE for character in text))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | HELD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(HELD, inner, max_size=4),
    max_leaves=20,
)


@given(JSON, st.sampled_from([None, 2]))
def test_json_is_yaml(value: Any, indent: int | None) -> None:
    read = value_of(json.dumps(value, ensure_ascii=False, indent=indent))
    assert json.dumps(read) == json.dumps(value)


@given(st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=50))
def test_json_escapes_are_yaml_escapes(text: str) -> None:
    assert value_of(json.dumps([text])) == [text]


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_or_refused_exactly(number: float) -> None:
    try:
        read = yaml_scalar.resolve(repr(number))
    except yaml_scalar.NotJSON:
        assert isinstance(number, int)
        assert not -(2**63) <= number < 2**64
    else:
        assert (read, type(read)) == (number, type(number))


@given(st.text())
def test_quoted_text_is_short_and_on_one_line(text: str) -> None:
    shown = yaml_scalar.quoted(text)
    assert "\n" not in shown
    assert shown.isprintable()
