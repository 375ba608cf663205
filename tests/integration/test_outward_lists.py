"""`file.write` of several files, and `file.prune`: a folder holds what is wanted of it, and what others put there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lorchestra.clock import SystemClock
from lorchestra.storacle.backends.base import Selection
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.methods import files
from lorchestra.storacle.outward.base import Reach
from lorchestra.storacle.outward.methods.files import FileMethod
from lorchestra.storacle.outward.roots import DRAFT_PREFIX, Roots
from lorchestra.storacle.read_spec import Read
from lorchestra.storacle.service import RpcError

PAGES = {"folder": "pages", "list": "clients"}
LIST = ".lorchestra-clients.json"
STEPS = 19
"""One more than there are renames, removals and syncs."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "root" / "pages"


@pytest.fixture
def method(tmp_path: Path) -> FileMethod:
    return FileMethod(Roots({"files": tmp_path / "root"}), SystemClock())


def carry_out(method: FileMethod, params: Any, namespace: str) -> dict[str, int]:
    return method.carry_out(params, Reach(namespace=namespace, select=nothing_of), ())


@contextmanager
def nothing_of(read: Read) -> Iterator[Selection]:
    """There is one table."""
    assert read.limit == 0
    if read.table != "clients":
        raise RpcError(ErrorCode.INVALID_PARAMS, at=("read", "table"))
    yield Selection(columns={}, rows=iter(()))


def write(
    method: FileMethod, contents: Mapping[str, str], *, namespace: str = "prod", **changes: Any
) -> dict[str, int]:
    given = [{"path": path, "content": content} for path, content in contents.items()]
    return carry_out(method, files.read_write({**PAGES, "files": given, **changes}, ()), namespace)


def prune(method: FileMethod, *keep: str, namespace: str = "prod", **changes: Any) -> dict[str, int]:
    return carry_out(method, files.read_prune({**PAGES, "keep": list(keep), **changes}, ()), namespace)


def found(folder: Path) -> dict[str, str]:
    """The files of the folder but the list, and what a killed process left of a draft."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((LIST, DRAFT_PREFIX))]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def marks(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes when a file is written, of every file and of the list."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_files_are_written_and_stay_untouched_while_nothing_changes(method: FileMethod, folder: Path) -> None:
    contents = {"a.md": "A", "deep/er/b.md": "B"}
    assert write(method, contents) == {"written": 2, "unchanged": 0}
    before = marks(folder)

    assert write(method, contents) == {"written": 0, "unchanged": 2}
    assert prune(method, *contents) == {"removed": 0, "kept": 2}
    assert found(folder) == contents
    assert marks(folder) == before
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*"))


def test_what_was_deleted_or_changed_by_hand_is_made_again(method: FileMethod, folder: Path) -> None:
    contents = {"a.md": "A", "b.md": "B", "c.md": "C"}
    write(method, contents)
    (folder / "a.md").unlink()
    # As long as it was, and as old.
    status = (folder / "b.md").stat()
    (folder / "b.md").write_text("X")
    os.utime(folder / "b.md", ns=(status.st_atime_ns, status.st_mtime_ns))

    assert write(method, contents) == {"written": 2, "unchanged": 1}
    assert found(folder) == contents


def test_what_is_not_named_is_removed_and_what_others_put_there_stays(method: FileMethod, folder: Path) -> None:
    write(method, {"a.md": "A", "b.md": "B", "left/c.md": "C", "left/d.md": "D"})
    write(method, {"other.md": "O"}, list="others")
    (folder / "mine.md").write_text("my own")
    (folder / "b.md").unlink()
    (folder / "left/d.md").unlink()
    (folder / "left/d.md").mkdir()

    assert prune(method, "a.md", "never_written.md") == {"removed": 3, "kept": 1}
    assert found(folder).keys() - {".lorchestra-others.json"} == {"a.md", "mine.md", "other.md"}
    assert (folder / "left/d.md").is_dir()
    assert prune(method) == {"removed": 1, "kept": 0}
    assert not (folder / LIST).exists()


def test_nothing_is_removed_unless_the_source_is_there(method: FileMethod, folder: Path) -> None:
    write(method, {"a.md": "A"})

    with pytest.raises(RpcError) as refused:
        prune(method, source={"dataset": "derived", "table": "clents"})
    assert (refused.value.code, refused.value.at) == (ErrorCode.INVALID_PARAMS, ("source", "table"))
    assert found(folder) == {"a.md": "A"}
    assert prune(method, source={"dataset": "derived", "table": "clients"}) == {"removed": 1, "kept": 0}


def test_a_folder_that_was_emptied_goes_with_its_last_file(method: FileMethod, folder: Path) -> None:
    write(method, {"a.md": "A", "2026/01/b.md": "B"})
    prune(method, "a.md")
    assert sorted(path.name for path in folder.iterdir()) == [LIST, "a.md"]


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_killed_at_any_write_the_next_time_ends_as_if_it_had_never_been(
    method: FileMethod, folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    write(method, {"a.md": "A", "old.md": "old"})
    left = [step]

    def counted(name: str) -> Any:
        real = getattr(os, name)

        def change(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            # Nor does anything happen after it.
            if left[0] <= 0:
                raise KeyboardInterrupt
            return real(*args, **options)

        return change

    with monkeypatch.context() as patch:
        for name in ("rename", "unlink", "fsync"):
            patch.setattr(os, name, counted(name))
        try:
            write(method, {"a.md": "AA", "new.md": "new", "gone.md": "gone"})
            prune(method, "a.md", "new.md", "gone.md")
        except KeyboardInterrupt:
            assert left[0] <= 0
        else:
            assert step == STEPS

    # By then, of these there is no record any more.
    write(method, {"a.md": "AA", "new.md": "new"})
    prune(method, "a.md", "new.md")
    assert found(folder) == {"a.md": "AA", "new.md": "new"}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../out.md", ErrorCode.FORBIDDEN),
        ("/out.md", ErrorCode.INVALID_PARAMS),
        ("", ErrorCode.INVALID_PARAMS),
        (LIST, ErrorCode.FORBIDDEN),
        (".lorchestra~draft", ErrorCode.FORBIDDEN),
        ("line\nend.md", ErrorCode.INVALID_PARAMS),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused_before_anything_is_written(
    method: FileMethod, folder: Path, path: str, code: ErrorCode
) -> None:
    with pytest.raises(RpcError) as refused:
        write(method, {"fine.md": "fine", path: "out"})
    assert (refused.value.code, refused.value.at[:2]) == (code, ("files", 1))
    assert not folder.exists()


def test_a_link_is_neither_written_through_nor_removed_through(
    method: FileMethod, folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.md").write_text("theirs")
    write(method, {"in/a.md": "A"})
    (folder / "in/a.md").unlink()
    (folder / "in").rmdir()
    (folder / "in").symlink_to(outside)

    with pytest.raises(RpcError) as refused:
        write(method, {"in/a.md": "A"})
    assert refused.value.code is ErrorCode.FORBIDDEN
    prune(method)
    assert (outside / "a.md").read_text() == "theirs"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"../../etc/passwd": null}', '{"/a.md": null}'])
def test_a_list_that_was_not_written_here_is_refused(method: FileMethod, folder: Path, text: str) -> None:
    write(method, {"a.md": "A"})
    (folder / LIST).write_text(text)

    for act in (partial(write, method, {"a.md": "B"}), partial(prune, method)):
        with pytest.raises(RpcError) as refused:
            act()
        assert (refused.value.code, refused.value.at) == (ErrorCode.REFUSED, ("list",))
    assert found(folder) == {"a.md": "A"}


@pytest.mark.parametrize(
    "changes",
    [
        {"files": []},
        {"files": [{"path": "a.md", "content": "A"}, {"path": "a.md", "content": "B"}]},
        {"files": [{"path": "a.md"}]},
        {"files": "a.md"},
        {"list": "../list"},
        {"keep": []},
        {"path": "a.md"},
    ],
)
def test_params_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RpcError) as refused:
        files.read_write({**PAGES, "files": [{"path": "a.md", "content": "A"}], **changes}, ())
    assert refused.value.code is ErrorCode.INVALID_PARAMS


def test_a_smoke_namespace_has_files_of_its_own_and_all_of_them_go(method: FileMethod, folder: Path) -> None:
    smoke = "smoke_trial"
    write(method, {"a.md": "prod"})
    write(method, {"a.md": "smoke", "deep/b.md": "B"}, namespace=smoke)
    there = folder.parent / "_smoke/trial/pages"
    assert found(there) == {"a.md": "smoke", "deep/b.md": "B"}

    made = method.makes(files.read_prune({**PAGES, "keep": []}, ()), smoke, ())
    assert made.name == f"files/_smoke/trial/pages/{LIST}"
    method.remove(made, smoke)
    method.remove(made, smoke)

    assert not there.exists()
    assert found(folder) == {"a.md": "prod"}
    with pytest.raises(RpcError):
        method.remove(method.makes(files.read_prune({**PAGES, "keep": []}, ()), "prod", ()), "prod")
