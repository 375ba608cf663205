"""Values on the command line: what each form means, and what is refused without being repeated."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.cli import values
from lorchestra.errors import EnvelopeError

_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


def read(*given_values: str) -> dict[str, Any]:
    return values.read_object("--payload", list(given_values))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name": "Ada"}', {"name": "Ada"}),
        ('  {"a": {"b": [1, null]}}', {"a": {"b": [1, None]}}),
        ("{}", {}),
        ("name=Ada", {"name": "Ada"}),
        ("name=", {"name": ""}),
        ("count=3", {"count": 3}),
        ("count=-3", {"count": -3}),
        ("ratio=-0.5", {"ratio": -0.5}),
        ("flag=true", {"flag": True}),
        ("nothing=null", {"nothing": None}),
        ("ids=[1, 2]", {"ids": [1, 2]}),
        ('text="3"', {"text": "3"}),
        ("day=2026-11-20", {"day": "2026-11-20"}),
        ("sum=1+1=2", {"sum": "1+1=2"}),
        ("not-a-number=NaN", {"not-a-number": "NaN"}),
        ("far=-Infinity", {"far": "-Infinity"}),
        ("zip=01234", {"zip": "01234"}),
        ("too-large=1e999", {"too-large": "1e999"}),
        ("clinic.room.floor=2", {"clinic": {"room": {"floor": 2}}}),
        ("deep=" + "[" * 100_000, {"deep": "[" * 100_000}),
    ],
)
def test_one_value_is_read_as_its_form_says(text: str, expected: dict[str, Any]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("a=1", "b=2"), {"a": 1, "b": 2}),
        (("a=1", "a=2"), {"a": 2}),
        (('{"a": 1, "b": 2}', "b=3"), {"a": 1, "b": 3}),
        (('{"a": {"x": 1, "y": 2}}', "a.y=3"), {"a": {"x": 1, "y": 3}}),
        (("a.x=1", "a.y=2"), {"a": {"x": 1, "y": 2}}),
        (("a.x=1", '{"a": {"y": 2}}'), {"a": {"y": 2}}),
        (("a.x=1", "a=2"), {"a": 2}),
        ((), {}),
    ],
)
def test_a_later_value_adds_to_the_earlier_ones(texts: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert read(*texts) == expected


@given(value=_JSON)
def test_whatever_is_json_is_read_back_as_it_was(value: Any) -> None:
    assert read(json.dumps({"a": value})) == {"a": value}
    assert read(f"a={json.dumps(value)}") == {"a": value}


@given(text=st.text(max_size=60).filter(lambda text: text != "-" and not text.startswith("@")))
def test_any_text_is_an_object_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(EnvelopeError):
        assert isinstance(read(text), dict)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("canary", "a value that is neither JSON, @file nor key=value"),
        ('["canary"]', "a value that is neither JSON, @file nor key=value"),
        ("", "a value that is neither JSON, @file nor key=value"),
        ("=canary", "a key that is not made of names with dots between them"),
        ("a..b=canary", "a key that is not made of names with dots between them"),
        (".a=canary", "a key that is not made of names with dots between them"),
        ("a b=canary", "a key that is not made of names with dots between them"),
        ('{"canary"', "the value is not JSON at line 1, column 10"),
        ('{"a": canary}', "the value is not JSON at line 1, column 7"),
        ('{"a": "canary"} trailing', "the value is not JSON at line 1, column 17"),
        ('{"a": NaN}', "the value is not JSON: it holds NaN"),
        ('{"a": 1e999}', "the value is not JSON: it holds a number that is too large"),
        ('{"a": -Infinity}', "the value is not JSON: it holds -Infinity"),
        ('{"a": "canary", "a": 2}', "the value is not JSON: it holds a key twice"),
        ('{"a": ' * 100_000, "the value is nested too deeply"),
    ],
)
def test_a_malformed_value_is_refused_without_being_repeated(text: str, found: str) -> None:
    with pytest.raises(EnvelopeError) as caught:
        read(text)
    assert str(caught.value).startswith(f"--payload: {found}; expected")
    assert "canary" not in str(caught.value)


def test_a_key_below_a_plain_value_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="a key below 'a', which was given a value of its own"):
        read("a=1", "a.b=2")


def test_a_file_holds_an_object(tmp_path: Path) -> None:
    path = tmp_path / "payload.json"
    path.write_bytes(b'\xef\xbb\xbf{"name": "Zo\xc3\xab"}\n')
    assert read(f"@{path}", "day=1") == {"name": "Zoë", "day": 1}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"[1]", "is not a JSON object"),
        (b"", "is not JSON at line 1, column 1"),
        (b'{\n  "a": canary\n}', "is not JSON at line 2, column 8"),
        (b'{"a": "\xff canary"}', "is not UTF-8 text"),
        (b"\x00\x01", "is not JSON at line 1, column 1"),
    ],
)
def test_a_file_that_is_no_object_is_named_and_not_quoted(tmp_path: Path, content: bytes | None, found: str) -> None:
    path = tmp_path / "payload.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EnvelopeError) as caught:
        read(f"@{path}")
    assert str(caught.value).startswith(f"--payload: the file {path} {found}; expected")
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, OSError)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(EnvelopeError, match="cannot be read: Is a directory"):
        read(f"@{tmp_path}")


def test_a_file_without_an_end_is_not_read_to_its_end() -> None:
    with pytest.raises(EnvelopeError, match="the file /dev/zero is larger than 16 MiB"):
        read("@/dev/zero")
