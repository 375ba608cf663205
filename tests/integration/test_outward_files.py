"""file.write on a real disk: whole or not at all, and never outside its root."""

from __future__ import annotations

import base64
import os
import stat
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lorchestra.clock import FixedClock
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.file_write import FileWrite, FileWriter
from lorchestra.storacle.outward.roots import DRAFT_PREFIX, Roots
from lorchestra.storacle.params import parse
from lorchestra.storacle.service import RpcError
from tests.integration.outward_process import FILE, FILE_SIZE, start, write_file
from tests.integration.swapped_folder import swapped

WRITTEN, UNCHANGED = {"written": 1, "unchanged": 0}, {"written": 0, "unchanged": 1}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime.now(UTC))


@pytest.fixture
def writer(root: Path, clock: FixedClock) -> FileWriter:
    return FileWriter(Roots({"files": root}), clock)


def write(writer: FileWriter, path: str, content: str = "new", namespace: str = "prod") -> dict[str, int]:
    return writer.write(FileWrite(path=path, content=content), namespace=namespace)


def drafts(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(DRAFT_PREFIX)]


def test_a_file_is_written_and_is_private(writer: FileWriter, root: Path) -> None:
    assert write(writer, "notes/a.md", "Grüße") == WRITTEN
    assert (root / "notes/a.md").read_bytes() == "Grüße".encode()
    assert stat.S_IMODE((root / "notes/a.md").stat().st_mode) == 0o600
    assert os.listdir(root / "notes") == ["a.md"]  # noqa: PTH208  names are what is asked for


def test_bytes_are_written_as_they_are(writer: FileWriter, root: Path) -> None:
    data = bytes(range(256))
    params = FileWrite(path="a.bin", content_base64=base64.b64encode(data).decode())
    assert writer.write(params, namespace="prod") == WRITTEN
    assert (root / "a.bin").read_bytes() == data


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ({"path": "a"}, ()),
        ({"path": "a", "content": "x", "content_base64": "eA=="}, ()),
        ({"path": "a", "content": 1}, ("content",)),
        ({"content": "x"}, ("path",)),
        ({"path": "a", "content": "x", "mode": 0o777}, ("mode",)),
    ],
)
def test_other_params_are_refused(value: Any, at: Any) -> None:
    with pytest.raises(RpcError) as raised:
        parse(FileWrite, value)
    assert (raised.value.code, raised.value.at) == (ErrorCode.INVALID_PARAMS, at)


@pytest.mark.parametrize(("name", "content"), [("content_base64", "no base64!"), ("content", "no Unicode \ud800")])
def test_content_that_is_none_is_refused(writer: FileWriter, root: Path, name: str, content: str) -> None:
    with pytest.raises(RpcError) as raised:
        writer.write(parse(FileWrite, {"path": "a", name: content}), namespace="prod", at=("params",))
    assert (raised.value.code, raised.value.at) == (ErrorCode.INVALID_PARAMS, ("params", name))
    assert raised.value.__context__ is None
    assert not root.exists()


def test_unchanged_content_is_left_alone(writer: FileWriter, root: Path) -> None:
    write(writer, "a.md", "same")
    before = (root / "a.md").stat()
    assert write(writer, "a.md", "same") == UNCHANGED
    after = (root / "a.md").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert write(writer, "a.md", "diff") == WRITTEN
    assert write(writer, "a.md", "longer") == WRITTEN


def test_a_file_that_others_could_read_becomes_private(writer: FileWriter, root: Path) -> None:
    write(writer, "a.md", "same")
    (root / "a.md").chmod(0o644)
    assert write(writer, "a.md", "same") == UNCHANGED
    assert stat.S_IMODE((root / "a.md").stat().st_mode) == 0o600


def test_a_smoke_run_leaves_production_alone(writer: FileWriter, root: Path) -> None:
    write(writer, "a.md", "production")
    write(writer, "a.md", "smoke", namespace="smoke_x")
    assert (root / "a.md").read_text() == "production"
    assert (root / "_smoke/x/a.md").read_text() == "smoke"


@pytest.mark.parametrize("path", ["link/a", "b/link/a", "link"])
def test_a_symbolic_link_is_never_followed(writer: FileWriter, root: Path, outside: Path, path: str) -> None:
    (root / "b").mkdir(parents=True)
    (outside / "a").write_text("old")
    target = outside / "a" if path == "link" else outside
    (root / "link").symlink_to(target)
    (root / "b/link").symlink_to(target)
    with pytest.raises(RpcError) as raised:
        write(writer, path)
    assert (raised.value.code, raised.value.at) == (ErrorCode.FORBIDDEN, ("path",))
    assert (outside / "a").read_text() == "old"


def test_a_link_in_place_of_the_smoke_folder_is_not_followed(writer: FileWriter, root: Path, outside: Path) -> None:
    root.mkdir()
    (root / "_smoke").symlink_to(outside)
    with pytest.raises(RpcError):
        write(writer, "a", namespace="smoke_x")
    assert list(outside.iterdir()) == []


def test_a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere(
    writer: FileWriter, root: Path, outside: Path
) -> None:
    (root / "a/b").mkdir(parents=True)
    codes = set()
    with swapped(root / "a", outside):
        for number in range(400):
            try:
                write(writer, "a/b/c", f"{number}")
            except RpcError as error:
                codes.add(error.code)
    assert codes <= {ErrorCode.FORBIDDEN, ErrorCode.UNAVAILABLE}
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_not_replaced(writer: FileWriter, root: Path, kind: str) -> None:
    root.mkdir()
    (root / "a").mkdir() if kind == "folder" else os.mkfifo(root / "a")
    with pytest.raises(RpcError) as raised:
        write(writer, "a")
    assert raised.value.code is ErrorCode.FORBIDDEN


def test_a_second_name_of_the_file_keeps_the_old_content(writer: FileWriter, root: Path, outside: Path) -> None:
    root.mkdir()
    (outside / "a").write_text("old")
    os.link(outside / "a", root / "a")
    assert write(writer, "a") == WRITTEN
    assert (outside / "a").read_text() == "old"


def test_what_a_killed_process_left_is_swept_when_it_is_old(writer: FileWriter, root: Path, clock: FixedClock) -> None:
    write(writer, "a/one.md")
    for name, age_s in (("young", 60), ("old", 3700)):
        draft = root / "a" / f"{DRAFT_PREFIX}{name}"
        draft.write_text("half")
        os.utime(draft, (time.time() - age_s, time.time() - age_s))
    clock.advance(3601)
    write(writer, "a/two.md")
    assert drafts(root / "a") == []
    (root / "a" / f"{DRAFT_PREFIX}fresh").write_text("at work")
    os.utime(root / "a" / f"{DRAFT_PREFIX}fresh", (clock.now().timestamp(), clock.now().timestamp()))
    clock.advance(3600)
    write(writer, "a/three.md")
    assert drafts(root / "a") == [f"{DRAFT_PREFIX}fresh"]


def test_a_full_disk_leaves_the_old_content_and_no_trace(root: Path) -> None:
    write_file(root, "o")
    with start("file", root, "n", times=1, limit=FILE_SIZE // 2) as process:
        assert process.read() == "STORAGE_FULL\n"
    assert (root / FILE).read_text() == "o" * FILE_SIZE
    assert drafts((root / FILE).parent) == []


@pytest.mark.parametrize("delay_ms", [0, 2, 5, 9, 14])
def test_a_process_that_is_killed_leaves_the_old_content_or_the_new(root: Path, delay_ms: int) -> None:
    with start("file", root, "ab") as process:
        process.stdout.readline()
        time.sleep(delay_ms / 1000)
        process.kill()
    content = (root / FILE).read_text()
    assert content in {"a" * FILE_SIZE, "b" * FILE_SIZE}
    write_file(root, "c")
    assert (root / FILE).read_text() == "c" * FILE_SIZE


def test_processes_that_write_at_once_leave_no_mixture(root: Path) -> None:
    with start("file", root, "ab", times=40) as one, start("file", root, "cd", times=40) as other:
        seen = set()
        while one.poll() is None or other.poll() is None:
            with suppress(FileNotFoundError):
                content = (root / FILE).read_text()
                assert content == content[0] * FILE_SIZE
                seen.add(content[0])
        assert one.stdout.read().split() == ["a", "b"] * 20
    assert seen
    assert drafts((root / FILE).parent) == []
