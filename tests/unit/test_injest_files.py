"""Records in files: each format, one record at a time, whatever is in it."""

from __future__ import annotations

import base64
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorchestra.callable import default_registry
from lorchestra.callable.direct import direct_context
from lorchestra.callable.injest.files import formats, json_stream
from lorchestra.callable.injest.files.json_stream import NotJSON
from lorchestra.connections.config import FileFormat, Files
from lorchestra.connections.known import Connections
from lorchestra.errors import ConfigurationError, PermanentError
from lorchestra.items import Record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


class InDrops(io.StringIO):
    """A file of which each read gives a few letters."""

    def read(self, size: int | None = -1) -> str:
        return super().read(3)


def read(path: Path, content: bytes | str, given: FileFormat | None = None) -> list[Any]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(formats.records(path, given))


@settings(max_examples=40)
@given(st.lists(JSON, max_size=5), st.sampled_from([None, 2]))
def test_the_members_of_an_array_are_read_one_at_a_time(members: list[Any], indent: int | None) -> None:
    assert list(json_stream.members(InDrops(json.dumps(members, indent=indent)))) == members


@settings(max_examples=40)
@given(JSON.filter(lambda value: not isinstance(value, list)))
def test_another_value_is_one_member(value: Any) -> None:
    assert list(json_stream.members(InDrops(f" {json.dumps(value)} \n"))) == [value]


@pytest.mark.parametrize("text", ["", "[", "[1", "[1,", "[1,]", "[1 2]", "[1] 2", "{} {}", "[nul]", "[1}", '["a'])
def test_what_is_no_json_is_told_by_its_place(text: str) -> None:
    with pytest.raises(NotJSON, match=r"at character \d+"):
        list(json_stream.members(InDrops(text)))


def test_a_long_array_is_not_held_in_memory() -> None:
    file = io.StringIO("[" + ",".join('{"text": "%s"}' % ("x" * 1000) for _ in range(5000)) + "]")
    tracemalloc.start()
    try:
        assert sum(1 for _ in json_stream.members(file)) == 5000
        assert tracemalloc.get_traced_memory()[1] < 1_500_000
    finally:
        tracemalloc.stop()


def test_lines_are_records_and_a_line_that_is_no_json_is_its_text(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"a": 1}\r\n\n  [2]\nnull\n{"cut": \n\xff\n"last"'
    assert read(tmp_path / "x.jsonl", content) == [{"a": 1}, [2], None, '{"cut":', "\ufffd", "last"]


def test_what_json_cannot_keep_is_kept_as_text(tmp_path: Path) -> None:
    huge = "9" * 30
    assert read(tmp_path / "x.json", f'["\\ud800", {huge}, "fine"]') == ["'\\ud800'", huge, "fine"]


def test_json_that_ends_half_way_gives_what_stands_before(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1}, {"a": CANARY')
    records = formats.records(path, None)
    assert next(records) == {"a": 1}
    with pytest.raises(PermanentError, match=r"no JSON at character \d+") as refused:
        next(records)
    assert "CANARY" not in str(refused.value)


def test_rows_of_csv_have_the_names_of_the_first_row(tmp_path: Path) -> None:
    content = '\ufeffname,note\r\nAda,"two\nlines"\r\nBob\r\nCyd,x,more,and more\r\n'
    assert read(tmp_path / "x.csv", content) == [
        {"name": "Ada", "note": "two\nlines"},
        {"name": "Bob", "note": None},
        {"name": "Cyd", "note": "x", "": ["more", "and more"]},
    ]


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    assert len(read(tmp_path / "x.csv", "a\n" + "x" * 200_000)[0]["a"]) == 200_000


def test_messages_of_an_mbox_are_kept_whole(tmp_path: Path) -> None:
    first, second = b"Subject: one\n\nas said\nFrom here on\n>From there\n\n", b"Subject: two\n\nbody\n"
    content = b"From a@b Thu Nov 19\n" + first + b"From c@d Fri Nov 20\n" + second
    raw = [base64.urlsafe_b64decode(one["raw"]) for one in read(tmp_path / "x.mbox", content)]
    assert raw == [first, second]


def test_a_file_without_messages_is_an_mbox_without_messages(tmp_path: Path) -> None:
    assert read(tmp_path / "x.mbox", "no mail here\n") == []


def test_the_format_is_the_one_given_or_what_the_name_says(tmp_path: Path) -> None:
    assert read(tmp_path / "x.txt", "1\n2\n", FileFormat.JSONL) == [1, 2]
    assert read(tmp_path / "X.JSONL", "1\n") == [1]
    with pytest.raises(ConfigurationError, match=r"set `format` to one of jsonl, json, csv, mbox"):
        read(tmp_path / "x.txt", "1\n")


def test_a_file_that_is_not_there_is_told_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.csv: the file cannot be read \(No such file"):
        list(formats.records(tmp_path / "none.csv", None))


def test_injest_can_be_called_without_a_job(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 7}\n{"id": ""}\n"text"\n')
    (tmp_path / "b.jsonl").write_text('{"id": 8}\n')
    files = Files(name="letters", path=tmp_path / "*.jsonl", id_field="id")
    context = direct_context(connections=Connections.of(files))

    result = default_registry().dispatch(
        "injest", {"connection": "letters", "stream": "file.records", "limit": 3}, context
    )

    rows = [record.data for record in result.items or () if isinstance(record, Record)]
    assert [row["payload"] for row in rows] == [{"id": 7}, {"id": ""}, "text"]
    assert rows[0]["external_id"] == "7"
    assert [len(str(row["external_id"])) for row in rows[1:]] == [64, 64]
    assert result.stats == {"files": 1}


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    context = direct_context(connections=Connections.of(Files(name="letters", path=tmp_path / "none/*.csv")))
    asked = {"connection": "letters", "stream": "records"}
    with pytest.raises(ConfigurationError, match=r"connection 'letters': there is no folder .*none"):
        list(default_registry().dispatch("injest", asked, context).items or ())
