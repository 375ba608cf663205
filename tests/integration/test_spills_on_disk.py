"""Spills as files: cut off, damaged, left over, and larger than memory should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lorchestra.errors import StoreError
from lorchestra.run_store import SqliteRunStore

RUN = "01HWRUN"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "project" / ".lorchestra"


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteRunStore]:
    store = SqliteRunStore(
        folder,
    )
    yield store
    store.close()


def spill_path(store: SqliteRunStore, folder: Path, lines: list[bytes]) -> Path:
    store.private.spill(RUN, "items", lines)
    return folder / "private" / RUN / "items"


def test_a_spill_is_a_file_of_lines(store: SqliteRunStore, folder: Path) -> None:
    path = spill_path(store, folder, [b'{"a":1}', b'{"a":2}'])
    assert path.read_bytes().splitlines()[:2] == [b'{"a":1}', b'{"a":2}']


@pytest.mark.parametrize("left", [0, 1, 30, -1, -3, -40])
def test_a_spill_that_was_cut_off_is_noticed_before_its_first_line(
    store: SqliteRunStore, folder: Path, left: int
) -> None:
    path = spill_path(store, folder, [b"12345"] * 20)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(StoreError, match="damaged or cut off"):
        store.private.read_spill(RUN, "items")


@pytest.mark.parametrize("damage", ["changed", "removed", "joined", "unended"])
def test_a_damaged_spill_is_noticed_at_the_latest_at_its_end(store: SqliteRunStore, folder: Path, damage: str) -> None:
    path = spill_path(store, folder, [b"12345"] * 20)
    data = path.read_bytes()
    changed = {
        "changed": data.replace(b"12345", b"12340", 1),
        "removed": data[6:],
        "joined": data.replace(b"\n", b" ", 1),
        "unended": data.replace(b"5\n#spill", b"5 #spill"),
    }[damage]
    path.write_bytes(changed)
    with pytest.raises(StoreError, match="damaged or cut off"):
        list(store.private.read_spill(RUN, "items"))


def test_a_large_spill_is_streamed(store: SqliteRunStore, folder: Path) -> None:
    lines = (b"%07d" % number * 20 for number in range(20_000))
    path = folder / "private" / RUN / "items"
    seen: list[int] = []

    def watched() -> Iterator[bytes]:
        for number, line in enumerate(lines):
            if number == 10_000:
                (draft,) = path.parent.glob("items~*")
                seen.append(draft.stat().st_size)
                assert not path.exists()
            yield line

    assert store.private.spill(RUN, "items", watched()) == 20_000
    assert seen[0] > 1_000_000
    assert not list(path.parent.glob("items~*"))
    read = store.private.read_spill(RUN, "items")
    assert all(line == b"%07d" % number * 20 for number, line in enumerate(read))


def test_what_a_killed_process_left_of_a_spill_goes_with_the_next(store: SqliteRunStore, folder: Path) -> None:
    path = spill_path(store, folder, [b"1"])
    left_over = path.with_name("items~dead")
    left_over.write_bytes(b"half")
    store.private.spill(RUN, "items", [b"2"])
    assert not left_over.exists()


def test_remove_takes_the_folder(store: SqliteRunStore, folder: Path) -> None:
    path = spill_path(store, folder, [b"1"])
    path.with_name("items~dead").write_bytes(b"half")
    store.private.remove(RUN)
    assert list((folder / "private").iterdir()) == []
