"""What smoke runs make beyond the tables lies apart, is listed, and is taken away exactly."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lorchestra.clock import SystemClock
from lorchestra.errors import PermanentError, TransientError
from lorchestra.storacle import PlanRefused
from lorchestra.storacle.backends.base import NamespaceObject
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.base import OutwardMethod
from lorchestra.storacle.outward.methods import outward_methods
from lorchestra.storacle.outward.roots import DRAFT_PREFIX, Roots
from lorchestra.storacle.outward.sheets_http.exchange import SheetsAccess
from lorchestra.storacle.outward.smoke_folder import clearing
from lorchestra.storacle.outward.sqlite_sync.writer import SqliteWriter
from lorchestra.storacle.service import RpcError
from tests.integration.outward_process import DATABASE, rows, sync, sync_params
from tests.integration.outward_world import METHODS, SMOKE, World, people, wanted, worlds
from tests.standins.sheets import SPREADSHEET, TOKEN, Fault, Sheet

FILE, COPY, SHEET = METHODS
NAMES = {
    FILE: ("file", "files/_smoke/trial/notes/today.md"),
    COPY: ("sqlite", "files/_smoke/trial/out/copy.db#people"),
    SHEET: ("sheet", f"{SPREADSHEET}/smoke_trial People"),
}

every_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    for world in worlds(tmp_path):
        world.store(people(2))
        world.store(people(1), namespace=SMOKE)
        yield world


@pytest.fixture
def methods(tmp_path: Path) -> dict[str, OutwardMethod]:
    access = SheetsAccess(token=lambda: TOKEN, base_url="http://127.0.0.1:9")
    return dict(outward_methods(Roots({"files": tmp_path / "vault"}), SystemClock(), access))


def smoke(world: World, method: str, namespace: str = SMOKE, **changes: str) -> None:
    world.submit(method, world.meta("smoke", namespace), **changes)


def listed(world: World, namespace: str = SMOKE) -> list[tuple[str, str]]:
    return [(one.kind, one.name) for one in world.client.objects(namespace) if one.kind != "table"]


def files(world: World) -> list[str]:
    return sorted(str(path.relative_to(world.vault)) for path in world.vault.rglob("*"))


@every_method
def test_what_a_smoke_run_makes_lies_apart_is_listed_and_is_removed(world: World, method: str) -> None:
    world.submit(method, world.meta())
    smoke(world, method)
    assert world.made(method) == wanted(method, people(2))
    assert world.made(method, namespace=SMOKE) == wanted(method, people(1))
    assert listed(world) == [NAMES[method]]

    assert world.client.clean(SMOKE) == 2
    assert world.made(method, namespace=SMOKE) is None
    assert world.made(method) == wanted(method, people(2))
    assert world.client.objects(SMOKE) == ()
    assert world.client.clean(SMOKE) == 0


def test_nothing_is_left_of_a_namespace_and_others_stay(world: World) -> None:
    for method in METHODS:
        smoke(world, method)
    smoke(world, FILE, "smoke_trial2")
    world.client.clean(SMOKE)
    assert files(world) == ["_smoke", "_smoke/trial2", "_smoke/trial2/notes", "_smoke/trial2/notes/today.md"]
    assert listed(world, "smoke_trial2") == [("file", "files/_smoke/trial2/notes/today.md")]
    assert world.sheets is not None
    assert [sheet.title for sheet in world.sheets.sheets] == ["Sheet1"]


@every_method
def test_after_it_was_removed_the_next_smoke_run_makes_it_anew(world: World, method: str) -> None:
    smoke(world, method)
    world.client.clean(SMOKE)
    world.store(people(1), namespace=SMOKE)
    smoke(world, method)
    assert world.made(method, namespace=SMOKE) == wanted(method, people(1))


@every_method
def test_what_is_gone_already_is_no_trouble(world: World, method: str) -> None:
    assert world.sheets is not None
    smoke(world, method)
    for path in sorted((world.vault / "_smoke").rglob("*"), reverse=True) if world.vault.exists() else ():
        path.rmdir() if path.is_dir() else path.unlink()
    del world.sheets.sheets[1:]
    assert world.client.clean(SMOKE) == 2


@pytest.mark.parametrize("method", [FILE, COPY])
def test_a_folder_without_the_file_is_removed(world: World, method: str) -> None:
    smoke(world, method)
    next(path for path in world.vault.rglob("*") if path.is_file()).unlink()
    world.client.clean(SMOKE)
    assert files(world) == ["_smoke"]


def test_what_others_put_there_stays(world: World) -> None:
    smoke(world, FILE)
    note = world.vault / "_smoke/trial/notes/mine.md"
    note.write_text("mine")
    world.client.clean(SMOKE)
    assert files(world) == ["_smoke", "_smoke/trial", "_smoke/trial/notes", "_smoke/trial/notes/mine.md"]


def test_what_a_killed_writer_left_is_removed_too(world: World) -> None:
    smoke(world, FILE)
    (world.vault / f"_smoke/trial/notes/{DRAFT_PREFIX}1").write_text("half")
    world.client.clean(SMOKE)
    assert files(world) == ["_smoke"]


def test_an_op_that_was_refused_midway_leaves_nothing_behind(world: World) -> None:
    with pytest.raises(PlanRefused):
        smoke(world, COPY, table="people", source={"dataset": "lab", "table": "none"})  # type: ignore[arg-type]
    assert listed(world) == [NAMES[COPY]]
    world.client.clean(SMOKE)
    assert files(world) in ([], ["_smoke"])


def test_no_link_is_followed(world: World, tmp_path: Path) -> None:
    smoke(world, FILE)
    outside = tmp_path / "outside"
    (world.vault / "_smoke/trial/notes").rename(outside)
    (world.vault / "_smoke/trial/notes").symlink_to(outside)
    world.client.clean(SMOKE)
    assert (outside / "today.md").exists()


@pytest.mark.parametrize("method", [FILE, COPY])
def test_what_stands_in_place_of_a_file_stays(world: World, tmp_path: Path, method: str) -> None:
    smoke(world, method)
    outside = tmp_path / "outside"
    path = world.vault / NAMES[method][1].removeprefix("files/").partition("#")[0]
    path.rename(outside)
    path.symlink_to(outside)
    before = outside.read_bytes()
    world.client.clean(SMOKE)
    assert path.is_symlink()
    assert outside.read_bytes() == before


def test_a_file_with_a_second_name_elsewhere_is_not_written_to(world: World, tmp_path: Path) -> None:
    smoke(world, COPY)
    os.link(world.vault / "_smoke/trial/out/copy.db", tmp_path / "other.db")
    with pytest.raises(PermanentError, match="forbidden"):
        world.client.clean(SMOKE)
    assert listed(world) == [NAMES[COPY]]


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_a_file_of_copies_goes_with_the_last_of_them(
    world: World, methods: dict[str, OutwardMethod], journal_mode: str
) -> None:
    smoke(world, COPY)
    smoke(world, COPY, table="others")
    path = world.vault / "_smoke/trial/out/copy.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal_mode}")
        connection.execute("CREATE VIEW v AS SELECT * FROM people")
        connection.execute("SELECT * FROM people").fetchall()
    one, other = (NamespaceObject(kind=kind, name=name) for kind, name in listed(world))
    methods[COPY].remove(one, SMOKE)
    with closing(sqlite3.connect(path)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {"people", "_lorchestra_sync"}
    methods[COPY].remove(other, SMOKE)
    assert files(world) == ["_smoke"]


def test_a_file_that_holds_tables_of_others_stays_with_them(world: World) -> None:
    smoke(world, COPY)
    path = world.vault / "_smoke/trial/out/copy.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE mine (n)")
    world.client.clean(SMOKE)
    with closing(sqlite3.connect(path)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == {"mine", "_lorchestra_sync"}
    assert b"p00000" not in path.read_bytes()
    assert [one.name for one in path.parent.iterdir()] == ["copy.db"]


def test_what_is_no_database_stays(world: World) -> None:
    smoke(world, COPY)
    path = world.vault / "_smoke/trial/out/copy.db"
    path.write_text("something else, and long enough to be looked at" * 20)
    world.client.clean(SMOKE)
    assert path.exists()


@pytest.mark.parametrize(
    ("method", "kind", "name", "namespace"),
    [
        (FILE, "file", "files/notes/today.md", SMOKE),
        (FILE, "file", "files/_smoke/other/a.md", SMOKE),
        (FILE, "file", "files/_smoke/trial2/a.md", SMOKE),
        (FILE, "file", "files/_smoke/trial/../other/a.md", SMOKE),
        (FILE, "file", "other/_smoke/trial/a.md", SMOKE),
        (FILE, "file", "files/_smoke/prod/a.md", "prod"),
        (FILE, "file", "", SMOKE),
        (COPY, "sqlite", "files/out/copy.db#people", SMOKE),
        (COPY, "sqlite", "files/_smoke/other/copy.db#people", SMOKE),
        (SHEET, "sheet", f"{SPREADSHEET}/People", SMOKE),
        (SHEET, "sheet", f"{SPREADSHEET}/smoke_trial2 People", SMOKE),
        (SHEET, "sheet", f"{SPREADSHEET}/prod People", "prod"),
    ],
)
def test_what_is_not_of_the_namespace_is_not_removed(
    methods: dict[str, OutwardMethod], tmp_path: Path, method: str, kind: str, name: str, namespace: str
) -> None:
    for path in ("notes/today.md", "_smoke/other/a.md", "_smoke/trial2/a.md", "_smoke/prod/a.md"):
        (tmp_path / "vault" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "vault" / path).write_text("kept")
    with pytest.raises(RpcError) as refused:
        methods[method].remove(NamespaceObject(kind=kind, name=name), namespace)
    assert refused.value.code is ErrorCode.FORBIDDEN
    assert len([path for path in (tmp_path / "vault").rglob("*") if path.is_file()]) == 4


@pytest.mark.parametrize("ask", [lambda world: world.client.objects, lambda world: world.client.clean])
@pytest.mark.parametrize("namespace", ["prod", "trial", "smoke_", "smoke_A"])
def test_only_smoke_namespaces_are_listed_and_removed(
    world: World, ask: Callable[[World], Callable[[str], object]], namespace: str
) -> None:
    with pytest.raises(PermanentError, match="invalid_params, at /namespace"):
        ask(world)(namespace)


def test_the_last_sheet_that_people_see_is_emptied_and_stays(world: World) -> None:
    assert world.sheets is not None
    smoke(world, SHEET)
    world.sheets.sheets[0].is_hidden = True
    world.client.clean(SMOKE)
    assert world.sheets.sheet("smoke_trial People").table == []
    assert listed(world) == []


@pytest.mark.parametrize("request_n", [0, 1])
@pytest.mark.parametrize("fault", [Fault(), Fault(acts=True), Fault(status=503), Fault(status=500, acts=True)], ids=str)
def test_a_sheet_goes_whatever_request_is_lost(world: World, request_n: int, fault: Fault) -> None:
    assert world.sheets is not None
    smoke(world, SHEET)
    world.sheets.faults.extend([*[None] * request_n, fault])
    world.client.clean(SMOKE)
    assert [sheet.title for sheet in world.sheets.sheets] == ["Sheet1"]


def test_a_sheet_that_holds_no_cells_stays(world: World) -> None:
    assert world.sheets is not None
    smoke(world, SHEET)
    world.sheets.sheets[1] = Sheet(sheet_id=9, title="smoke_trial People", sheet_type="OBJECT")
    world.client.clean(SMOKE)
    assert len(world.sheets.sheets) == 2


def test_a_spreadsheet_that_is_not_there_holds_nothing(world: World) -> None:
    with pytest.raises(PlanRefused):
        smoke(world, SHEET, spreadsheet_id="unknown")
    assert listed(world) == [("sheet", "unknown/smoke_trial People")]
    world.client.clean(SMOKE)
    assert listed(world) == []


def test_what_cannot_be_removed_now_stays_listed_until_it_is(world: World) -> None:
    assert world.sheets is not None
    for method in METHODS:
        smoke(world, method)
    world.sheets.faults.extend([Fault(status=503)] * 6)
    with pytest.raises(TransientError):
        world.client.clean(SMOKE)
    assert sorted(listed(world)) == sorted(NAMES.values())
    world.client.clean(SMOKE)
    assert listed(world) == []
    assert files(world) == ["_smoke"]


def test_a_sheet_cannot_be_removed_without_access_to_sheets(tmp_path: Path) -> None:
    for world in worlds(tmp_path):
        world.store(people(1), namespace=SMOKE)
        smoke(world, SHEET)
        without = World(tmp_path, None)
        with pytest.raises(PermanentError, match="unsupported"):
            without.client.clean(SMOKE)
        without.close()
        assert listed(world) == [NAMES[SHEET]]


def test_a_copy_that_someone_writes_to_is_busy_and_stays(tmp_path: Path) -> None:
    roots = Roots({"files": tmp_path})
    writer = SqliteWriter(roots, patience_s=0.05)
    sync(writer, sync_params(), rows("a", 2), SMOKE)
    path = tmp_path / "_smoke/trial" / DATABASE

    def drop() -> None:
        with clearing(roots, f"files/_smoke/trial/{DATABASE}", namespace=SMOKE) as place:
            assert place is not None
            writer.drop(place, "t")

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(RpcError) as busy:
            drop()
    assert busy.value.code is ErrorCode.BUSY
    assert path.exists()
    drop()
    assert not path.exists()


def test_no_descriptor_is_left_open(world: World) -> None:
    smoke(world, FILE)
    smoke(world, COPY)
    world.client.clean("smoke_other")
    before = len(list(Path("/dev/fd").iterdir()))
    world.client.clean(SMOKE)
    assert len(list(Path("/dev/fd").iterdir())) == before
