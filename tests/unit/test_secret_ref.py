from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from lorchestra.errors import ConfigurationError
from lorchestra.settings.secret_ref import MAX_BYTES, SecretRef

CANARY = "CANARY-5b1f"


class Holder(BaseModel):
    key: SecretRef


@pytest.mark.parametrize("text", ["env:LLM_KEY", "env:_x9", "file:/run/secrets/key", "file:key with space.txt"])
def test_a_reference_reads_and_prints_as_itself(text: str) -> None:
    reference = SecretRef.parse(text)

    assert str(reference) == text
    assert repr(reference) == f"SecretRef({text!r})"
    assert SecretRef.parse(str(reference)) == reference


@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        f"Env:{CANARY}",
        f"sk:{CANARY}",
        f"env:{CANARY} x",
        "env:",
        "file:",
        "file:\0",
        f"file: {CANARY}",
        7,
        None,
        [],
    ],
)
def test_what_is_no_reference_is_refused_and_not_quoted(value: object) -> None:
    with pytest.raises(ValueError, match="expected `env:NAME` or `file:/path`") as caught:
        SecretRef.parse(value)

    assert "CANARY" not in str(caught.value)


def test_a_plain_value_is_called_one() -> None:
    with pytest.raises(ValueError, match=r"^found a plain value; expected `env:NAME` or `file:/path`$"):
        SecretRef.parse(CANARY)


def test_a_model_holds_the_reference_and_shows_only_it() -> None:
    holder = Holder.model_validate_json('{"key": "env:LLM_KEY"}', strict=True)

    assert holder.key == SecretRef("env", "LLM_KEY")
    assert holder.model_dump_json() == '{"key":"env:LLM_KEY"}'
    assert repr(holder) == "Holder(key=SecretRef('env:LLM_KEY'))"
    with pytest.raises(ValidationError, match="found a plain value"):
        Holder.model_validate_json(f'{{"key": "{CANARY}"}}')


def test_the_secret_is_fetched_from_the_variable_when_asked() -> None:
    environ = {"LLM_KEY": "one"}
    reference = SecretRef.parse("env:LLM_KEY")

    assert reference.reveal(environ) == "one"
    environ["LLM_KEY"] = "two"
    assert reference.reveal(environ) == "two"


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"abc", "abc"), (b"abc\n", "abc"), (b"abc\r\n", "abc"), (b" a b \n", " a b "), ("größe\n".encode(), "größe")],
)
def test_the_secret_is_fetched_from_the_file_without_its_last_line_break(
    tmp_path: Path, content: bytes, secret: str
) -> None:
    (tmp_path / "key").write_bytes(content)

    assert SecretRef.parse("file:key").below(tmp_path).reveal({}) == secret


def test_an_absolute_path_and_a_variable_stay_where_they_are(tmp_path: Path) -> None:
    for text in ("file:/run/key", "env:KEY"):
        assert str(SecretRef.parse(text).below(tmp_path)) == text


@pytest.mark.parametrize(
    ("environ", "reason"),
    [({}, "is not set"), ({"KEY": ""}, "is empty")],
)
def test_a_variable_without_a_secret_is_the_operators_to_mend(environ: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"`env:KEY`.*{reason}"):
        SecretRef.parse("env:KEY").reveal(environ)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (CANARY.encode() + b"\xff", "not UTF-8"),
        (CANARY.encode() * MAX_BYTES, "larger than 64 KiB"),
    ],
)
def test_a_file_without_a_secret_is_named_and_its_content_is_not_shown(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=reason) as caught:
        SecretRef("file", str(path)).reveal({})

    assert str(path) in str(caught.value)
    assert caught.value.__context__ is None
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=os.strerror(21)):
        SecretRef("file", str(tmp_path)).reveal({})


@given(st.one_of(st.text(), st.text().map("env:".__add__), st.text().map("file:".__add__)))
def test_any_text_is_a_reference_or_is_refused(text: str) -> None:
    try:
        assert str(SecretRef.parse(text)) == text
    except ValueError as error:
        assert str(error).endswith("expected `env:NAME` or `file:/path`")  # noqa: PT017  (a law: both may be)
