"""`file.write`, `sqlite.sync` and `sheets.write_table` as ops of plans, over a real backend."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from lorchestra.errors import Path as Place
from lorchestra.errors import TransientError
from lorchestra.storacle import OpStatus, PlanRefused, RpcMeta
from lorchestra.storacle.backends.base import Counts, NamespaceObject, ReadyOp
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.base import OutwardMethod, Reach
from lorchestra.storacle.outward.roots import Roots, Target
from lorchestra.storacle.params import Meta
from lorchestra.storacle.service import RpcError
from tests.integration.outward_world import METHODS, PEOPLE, SMOKE, World, op, people, plan, wanted, worlds
from tests.standins.sheets import Fault

WITHIN_S = 60.0

every_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from worlds(tmp_path)


def refusal(world: World, method: str, meta: RpcMeta, **changes: Any) -> PlanRefused:
    with pytest.raises(PlanRefused) as refused:
        world.submit(method, meta, **changes)
    return refused.value


class _Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


class DiesBeforeTheLedger(SqliteBackend):
    def record(self, op: ReadyOp, counts: Counts, meta: Meta) -> None:
        raise _Killed


@every_method
@pytest.mark.parametrize("number", [0, 1, 10_000])
def test_what_is_made_is_what_the_rows_say(world: World, method: str, number: int) -> None:
    rows = people(number)
    # So that there is a table.
    world.store(people(1))
    world.store(rows)
    result = world.submit(method, world.meta())
    assert world.made(method) == wanted(method, rows)
    if method != "file.write":
        assert result.counts["written"] == number


@every_method
def test_the_same_op_again_in_the_same_run_has_no_effect(world: World, method: str) -> None:
    world.store(people(3))
    meta = world.meta()
    first = world.submit(method, meta, key="once")
    world.store(people(1))
    resent = world.submit(method, meta, key="once")
    assert (resent.status, resent.counts) == (OpStatus.ALREADY, first.counts)
    assert world.made(method) == wanted(method, people(3))


@every_method
def test_a_later_run_makes_it_what_the_rows_say_then(world: World, method: str) -> None:
    world.store(people(3))
    world.submit(method, world.meta("run-1"))
    world.store(people(2))
    world.submit(method, world.meta("run-2"))
    assert world.made(method) == wanted(method, people(2))


@pytest.mark.parametrize(("method", "number"), [("file.write", 1), ("sqlite.sync", 3)])
def test_what_has_not_changed_is_left_alone(world: World, method: str, number: int) -> None:
    world.store(people(3))
    first = world.submit(method, world.meta("run-1"))
    before = [path.stat().st_mtime_ns for path in world.vault.rglob("*")]
    again = world.submit(method, world.meta("run-2"))
    assert dict(first.counts) == {"written": number, "unchanged": 0}
    assert dict(again.counts) == {"written": 0, "unchanged": number}
    assert [path.stat().st_mtime_ns for path in world.vault.rglob("*")] == before


@every_method
def test_a_crash_between_the_effect_and_the_ledger_does_no_harm(tmp_path: Path, method: str) -> None:
    for world in worlds(tmp_path):
        world.store(people(3))
        dying = World(tmp_path, world.sheets, backend=DiesBeforeTheLedger)
        with suppress(_Killed):
            dying.submit(method, world.meta(), key="once")
        dying.close()
        assert world.made(method) == wanted(method, people(3))

        result = world.submit(method, world.meta(), key="once")
        assert result.status is OpStatus.APPLIED
        assert world.made(method) == wanted(method, people(3))
        assert world.submit(method, world.meta(), key="once").status is OpStatus.ALREADY


@every_method
def test_a_worker_that_was_replaced_writes_nothing(world: World, method: str) -> None:
    world.store(people(3))
    stale = world.meta()
    world.meta()
    assert refusal(world, method, stale).code == ErrorCode.FENCED
    assert world.made(method) is None


class HeldUp:
    """A method that comes to where it is about to write, and goes on when it may."""

    def __init__(self, inner: OutwardMethod, reached: Event, may_go: Event) -> None:
        self._inner = inner
        self._reached = reached
        self._may_go = may_go

    def carry_out(self, params: Any, reach: Reach, at: Place) -> Counts:
        self._reached.set()
        assert self._may_go.wait(WITHIN_S)
        return self._inner.carry_out(params, reach, at)

    def makes(self, params: Any, namespace: str, at: Place) -> NamespaceObject:
        return self._inner.makes(params, namespace, at)

    def alone(self, params: Any, at: Place) -> AbstractContextManager[object]:
        return self._inner.alone(params, at)

    def remove(self, made: NamespaceObject, namespace: str) -> None:
        self._inner.remove(made, namespace)


@pytest.mark.parametrize("is_replaced", [False, True])
@pytest.mark.parametrize(
    ("method", "first", "second"),
    [
        ("file.write", {"content": "Old."}, {}),
        ("sqlite.sync", {"source": {**PEOPLE, "limit": 1}}, {}),
    ],
)
def test_a_client_that_is_slow_does_not_write_over_what_a_later_op_made(
    world: World, tmp_path: Path, method: str, first: dict[str, Any], second: dict[str, Any], is_replaced: bool
) -> None:
    world.store(people(3))
    reached, may_go = Event(), Event()
    slow = World(tmp_path, None, held=lambda inner: HeldUp(inner, reached, may_go))
    both = plan(op(method, "first", **first), op(method, "second", **second))
    meta = world.meta()
    with ThreadPoolExecutor() as threads:
        of_the_slow = threads.submit(slow.client.execute_plan, both, meta)
        assert reached.wait(WITHIN_S)
        quick = threads.submit(world.client.execute_plan, both, world.meta() if is_replaced else meta)
        # It waits for the slow one, or else has done all by now.
        wait([quick], timeout=0.05)
        may_go.set()
        assert len(quick.result()) == 2
        if is_replaced:
            with pytest.raises(PlanRefused, match="fenced"):
                of_the_slow.result()
        else:
            assert len(of_the_slow.result()) == 2
    slow.close()
    assert world.made(method) == wanted(method, people(3))


def test_who_waits_too_long_for_the_root_is_told_to_come_again(tmp_path: Path) -> None:
    target = Target(path="a.md")
    roots = Roots({"files": tmp_path}, patience_s=0.0)
    with roots.alone(target), pytest.raises(RpcError, match="busy"), roots.alone(target):
        pass
    with roots.alone(target):
        pass


@every_method
def test_a_group_cannot_reach_out(world: World, method: str) -> None:
    world.store(people(1))
    group = [op(method, key, group="both") for key in "ab"]
    with pytest.raises(PlanRefused) as refused:
        world.client.execute_plan(plan(*group), world.meta())
    assert refused.value.code == ErrorCode.UNSUPPORTED
    assert str(refused.value).endswith("/plan/ops/0/group)")
    assert world.made(method) is None


def test_without_access_to_sheets_there_is_no_such_method(tmp_path: Path) -> None:
    world = World(tmp_path, None)
    assert refusal(world, "sheets.write_table", world.meta()).code == ErrorCode.METHOD_NOT_FOUND
    world.close()


def test_a_copy_has_the_columns_of_its_source_and_the_time_it_was_made(world: World) -> None:
    meta = world.meta()
    params = {"dataset": "raw", "table": "raw_objects", "key_columns": ["idem_key"]}
    sent = replace(op("sqlite.sync", "a"), method="table.upsert", params={**params, "rows": [{"idem_key": "k"}]})
    world.client.execute_plan(plan(sent), meta)
    source = {"dataset": "raw", "table": "raw_objects", "columns": ["idem_key", "payload", "last_seen"]}
    world.submit("sqlite.sync", meta, columns=None, source=source, projected_at="2026-03-01T06:00:00Z", table="raw")
    definition = (
        b'CREATE TABLE "raw" ("idem_key" TEXT NOT NULL, "payload" TEXT, "last_seen" TEXT, "projected_at" TEXT, '
    )
    assert definition in (world.vault / "out/copy.db").read_bytes()


def test_an_unchanged_copy_keeps_the_time_it_was_made(world: World) -> None:
    world.store(people(2))
    world.submit("sqlite.sync", world.meta("run-1"), projected_at="2026-03-01T06:00:00Z")
    before = (world.vault / "out/copy.db").read_bytes()
    again = world.submit("sqlite.sync", world.meta("run-2"), projected_at="2026-03-02T06:00:00Z")
    assert dict(again.counts) == {"written": 0, "unchanged": 2}
    assert (world.vault / "out/copy.db").read_bytes() == before


@pytest.mark.parametrize("method", ["sqlite.sync", "sheets.write_table"])
def test_a_smoke_run_that_reads_production_still_writes_apart(world: World, method: str) -> None:
    world.store(people(3))
    world.submit(method, replace(world.meta("smoke", SMOKE), read_namespace="prod"))
    assert world.made(method, namespace=SMOKE) == wanted(method, people(3))
    assert world.made(method) is None


def test_a_source_is_narrowed_to_conditions_and_columns(world: World) -> None:
    world.store(people(9))
    source = {**PEOPLE, "where": {"age": {"gte": 3}}, "order_by": ["-age"], "limit": 2}
    world.submit("sheets.write_table", world.meta(), source=source)
    assert world.made("sheets.write_table") == [["idem_key", "age"], ["p00008", 8], ["p00007", 7]]


@pytest.mark.parametrize(
    ("method", "changes", "code", "place"),
    [
        ("file.write", {"path": "../out.md"}, ErrorCode.FORBIDDEN, "path"),
        ("file.write", {"path": "/out.md"}, ErrorCode.FORBIDDEN, "path"),
        ("file.write", {"root": "other"}, ErrorCode.FORBIDDEN, "root"),
        ("file.write", {"content": None}, ErrorCode.INVALID_PARAMS, None),
        ("sqlite.sync", {"path": "_smoke/trial/a.db"}, ErrorCode.FORBIDDEN, "path"),
        ("sqlite.sync", {"root": "other"}, ErrorCode.FORBIDDEN, "root"),
        ("sqlite.sync", {"columns": None}, ErrorCode.INVALID_PARAMS, "source/columns"),
        (
            "sqlite.sync",
            {"columns": None, "source": {**PEOPLE, "columns": ["a.b"]}},
            ErrorCode.INVALID_PARAMS,
            "columns",
        ),
        ("sqlite.sync", {"source": {**PEOPLE, "columns": ["other"]}}, ErrorCode.INVALID_PARAMS, "columns"),
        ("sqlite.sync", {"source": {**PEOPLE, "table": "none"}}, ErrorCode.INVALID_PARAMS, "source/table"),
        ("sqlite.sync", {"source": {**PEOPLE, "limit": -1}}, ErrorCode.INVALID_PARAMS, "source/limit"),
        (
            "sqlite.sync",
            {"source": {"dataset": "storacle", "table": "_runs"}},
            ErrorCode.INVALID_PARAMS,
            "source/columns/0",
        ),
        ("sheets.write_table", {"sheet": "smoke_x People"}, ErrorCode.FORBIDDEN, "sheet"),
        ("sheets.write_table", {"spreadsheet_id": "unknown"}, ErrorCode.INVALID_PARAMS, "spreadsheet_id"),
        (
            "sheets.write_table",
            {"source": {**PEOPLE, "columns": ["name"]}},
            ErrorCode.INVALID_PARAMS,
            "columns",
        ),
    ],
)
def test_what_leads_elsewhere_or_fits_nothing_is_refused_by_its_place(
    world: World, method: str, changes: dict[str, Any], code: ErrorCode, place: str | None
) -> None:
    world.store(people(1))
    refused = refusal(world, method, world.meta(), **changes)
    assert (refused.code, refused.reason.partition("(")[2]) == (
        code,
        f"{code.name.lower()}, at /plan/ops/0/params{f'/{place}' if place else ''})",
    )
    assert world.made(method) is None


def test_a_mistake_in_a_row_leaves_what_was_there(world: World) -> None:
    world.store(people(2))
    world.submit("sqlite.sync", world.meta())
    world.store([*people(2), {"idem_key": "p9", "age": "a secret"}])
    refused = refusal(world, "sqlite.sync", world.meta())
    assert str(refused).endswith("/plan/ops/0/params/rows/2/*)")
    assert world.made("sqlite.sync") == wanted("sqlite.sync", people(2))


def test_a_sheet_that_google_does_not_take_now_is_for_another_try(world: World) -> None:
    assert world.sheets is not None
    world.store(people(2))
    world.sheets.faults.extend([Fault(status=503)] * 6)
    with pytest.raises(TransientError):
        world.submit("sheets.write_table", world.meta(), key="once")
    result = world.submit("sheets.write_table", world.meta(), key="once")
    assert result.status is OpStatus.APPLIED
    assert world.made("sheets.write_table") == wanted("sheets.write_table", people(2))
