"""The search for canaries finds what it looks for, however it was written down; otherwise it would prove nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import yaml

from tests.e2e.canaries import canary
from tests.e2e.canaries.canary import SHAPES, Canary, Document
from tests.e2e.canaries.project import Project

WANTED = canary.channels("planted", "other")

WRITINGS: dict[str, Callable[[str], bytes]] = {
    "text": str.encode,
    "upper case": lambda text: text.upper().encode(),
    "JSON": lambda text: json.dumps({"a": text}).encode(),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text}, ensure_ascii=False)).encode(),
    "a key": lambda text: orjson.dumps({text: 1}),
    "YAML": lambda text: yaml.safe_dump({"a": {"b": text}}).encode(),
    "YAML with letters": lambda text: yaml.safe_dump([text], allow_unicode=True, width=40).encode(),
    "repr": lambda text: repr([text]).encode(),
    "ascii": lambda text: ascii(text).encode(),
    "repr of bytes": lambda text: repr(text.encode()).encode(),
    "a URL": lambda text: urllib.parse.quote(text, safe="").encode(),
    "a form": lambda text: urllib.parse.urlencode({"a": text}).encode(),
    "HTML": lambda text: html.escape(text).encode("ascii", "xmlcharrefreplace"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, the other way": lambda text: text.encode("utf-16-be"),
    "hex": lambda text: text.encode().hex().encode(),
    "HEX": lambda text: text.encode().hex().upper().encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64, moved by one": lambda text: base64.b64encode(b"x" + text.encode()),
    "base64, moved by two": lambda text: base64.b64encode(b"xy" + text.encode()),
    "base64 of JSON": lambda text: base64.urlsafe_b64encode(json.dumps({"a": text}, ensure_ascii=False).encode()),
    "cut off": lambda text: text[:2000].encode(),
    "sha256": lambda text: hashlib.sha256(text.encode()).hexdigest().encode(),
    "a short sha256": lambda text: hashlib.sha256(text.encode()).hexdigest()[:12].encode(),
    "sha256 of JSON": lambda text: hashlib.sha256(orjson.dumps(text)).hexdigest().encode(),
    "sha1": lambda text: hashlib.sha1(text.encode()).hexdigest().encode(),
    "md5": lambda text: hashlib.md5(text.encode()).hexdigest().upper().encode(),
    "blake2b": lambda text: hashlib.blake2b(text.encode(), digest_size=16).hexdigest().encode(),
    "sha256 in base64": lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()),
}


def found(content: bytes, where: str = "place") -> set[str]:
    return {one.what for one in canary.search({where: b"before " + content + b" behind"}, WANTED)}


@pytest.mark.parametrize("write", WRITINGS.values(), ids=WRITINGS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_canary_is_found_however_it_is_written(shape: str, write: Callable[[str], bytes]) -> None:
    value = Canary("planted", shape).value

    assert found(write(str(value))) == {f"planted/{shape}"}


@pytest.mark.parametrize("shape", canary.NUMBERS)
def test_a_number_is_found_as_a_number(shape: str) -> None:
    value = Canary("planted", shape).value
    assert isinstance(value, (int, float))

    assert found(json.dumps({"a": value}).encode()) == {f"planted/{shape}"}
    assert found(hashlib.sha256(orjson.dumps(value)).hexdigest().encode()) == {f"planted/{shape}"}
    if isinstance(value, int):
        assert found(f"{value:,}".encode()) == {f"planted/{shape}"}


def test_the_name_of_a_place_is_searched_too() -> None:
    assert found(b"", where=str(canary.of("planted")["file"])) == {"planted/file"}


def test_the_digest_of_a_whole_value_is_found() -> None:
    value = {"b": canary.nested("planted"), "a": 1}
    digest = hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()

    assert [one.what for one in canary.search({"place": digest.encode()}, (Document("whole", value),))] == ["whole"]


def test_nothing_is_found_where_nothing_is() -> None:
    content = b"".join(hashlib.sha512(bytes([number])).hexdigest().encode() for number in range(256))

    assert found(content) == set()


def test_no_needle_is_shorter_than_what_the_search_looks_up() -> None:
    wanted: list[Canary | Document] = [*WANTED, Document("whole", canary.nested("planted"))]

    assert min(len(needle) for one in wanted for needle in one.needles.values()) == 12


def test_canaries_of_two_channels_have_nothing_in_common() -> None:
    tokens = [one.token for one in WANTED]

    assert len(set(tokens)) == len(tokens)
    assert not any(one in other for one in tokens for other in tokens if one != other)


@pytest.mark.parametrize("place", [".lorchestra/runs.db", ".lorchestra/deep/er", "beside", "../tmp/left", "../home/.x"])
def test_whatever_a_run_leaves_is_looked_into(tmp_path: Path, place: str) -> None:
    project = Project(tmp_path)
    path = project.root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(canary.of("planted")["spaced"]))

    assert {one.what for one in canary.search(project.left(), WANTED)} == {"planted/spaced"}
