"""The file of the SQLite backend: what it is, and how several share it."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from lorchestra.errors import ConfigurationError, PermanentError
from lorchestra.schemas import StoraclePlan
from lorchestra.storacle import OpStatus, PlanRefused
from tests.data_plane import DataPlane
from tests.forked_python import TalkingPython
from tests.integration.data_units import client_of, expect_units, submit, unit
from tests.integration.plan_process import META, OPS, contents, mixed_plan, plane, send

# What it is


def test_it_is_one_file_that_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with DataPlane(folder / "data.db") as data:
        submit(data, *unit(0))
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
        names = {file.name.removesuffix("-wal").removesuffix("-shm") for file in folder.iterdir()}
    assert names == {"data.db"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_was_written_is_read_back_and_tokens_go_on(data_path: Path) -> None:
    plan = mixed_plan(5, ops=60)
    tables = (("lab", "samples"), ("raw", "raw_objects"), ("storacle", "_state"), ("derived", "seen"))
    with plane(data_path) as data:
        token = client_of(data).open_run(META)
        client_of(data).execute_plan(plan, replace(META, token=token))
        before = [data.rows(*table) for table in tables]
    with plane(data_path) as again:
        assert [again.rows(*table) for table in tables] == before
        assert client_of(again).open_run(META) > token
        with pytest.raises(PlanRefused, match="fenced"):
            submit(again, *unit(0), meta=replace(META, token=token))


def test_a_file_of_a_newer_version_is_refused(data_path: Path) -> None:
    DataPlane(data_path).close()
    with sqlite3.connect(data_path) as connection:
        connection.execute("INSERT INTO _schema_version VALUES (99, 'later')")
    connection.close()
    with pytest.raises(ConfigurationError, match=r"newer lorchestra \(version 99.*upgrade"):
        DataPlane(data_path)


def test_a_database_of_something_else_is_refused(data_path: Path) -> None:
    with sqlite3.connect(data_path) as connection:
        connection.execute("CREATE TABLE songs (name)")
    connection.close()
    with pytest.raises(ConfigurationError, match="something else"):
        DataPlane(data_path)
    with sqlite3.connect(data_path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]
    connection.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(data_path: Path) -> None:
    data_path.write_bytes(b"a note" * 100)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="no SQLite file"):
            DataPlane(data_path)
    assert data_path.read_bytes() == b"a note" * 100


def test_a_damaged_file_is_refused_and_left_alone(data_path: Path) -> None:
    with DataPlane(data_path) as data:
        submit(data, *unit(0))
    # The pages behind the first, which says what kind of file this is.
    damaged = data_path.read_bytes()[:16384] + b"\xff" * 65536
    data_path.write_bytes(damaged)
    with pytest.raises(ConfigurationError, match=r"damaged.*SQLITE_CORRUPT"):
        DataPlane(data_path)
    assert data_path.read_bytes() == damaged


def test_a_path_that_cannot_hold_a_file_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file" / "data.db"):
        with pytest.raises(ConfigurationError, match="cannot be opened"):
            DataPlane(path)


def test_a_forked_process_is_told_to_open_the_file_itself(data: DataPlane) -> None:
    child = os.fork()
    if child == 0:
        try:
            data.rows("raw", "objects")
        except PermanentError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# Several who share it


def test_one_sees_what_another_wrote_before_it_answers(data_path: Path, data: DataPlane) -> None:
    with DataPlane(data_path) as other:
        submit(data, *unit(0))
        assert submit(other, *unit(0)) == {OpStatus.ALREADY}
        assert submit(other, *unit(1)) == {OpStatus.APPLIED}
        for one in (data, other):
            expect_units(one, 2)


def test_one_waits_while_another_writes(data_path: Path, data: DataPlane) -> None:
    other = sqlite3.connect(data_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = threading.Thread(target=submit, args=(data, *unit(0)))
    waiting.start()
    waiting.join(0.02)
    assert waiting.is_alive()
    # Reading waits for nobody.
    expect_units(data, 0)
    other.execute("ROLLBACK")
    waiting.join()
    other.close()
    expect_units(data, 1)


def test_a_run_opened_by_another_fences_this_one(data_path: Path, data: DataPlane) -> None:
    meta = replace(META, token=client_of(data).open_run(META))
    with DataPlane(data_path) as other:
        client_of(other).open_run(META)
    with pytest.raises(PlanRefused, match="fenced"):
        submit(data, *unit(0), meta=meta)
    expect_units(data, 0)


def test_a_run_opened_for_a_later_attempt_is_refused_to_an_earlier_one(data_path: Path, data: DataPlane) -> None:
    first, second, third = (replace(META, attempt_n=number) for number in (1, 2, 3))
    token = client_of(data).open_run(second)
    with DataPlane(data_path) as other:
        for client in (client_of(data), client_of(other)):
            with pytest.raises(PermanentError, match="fenced"):
                client.open_run(first)
        assert submit(other, *unit(0), meta=replace(second, token=token)) == {OpStatus.APPLIED}
    assert client_of(data).open_run(third) > token


def run_all(*orders: tuple[object, ...]) -> None:
    """As many processes at once as there are orders."""
    module = "tests.integration.writing_process"
    with ExitStack() as stack:
        processes = [stack.enter_context(TalkingPython(module, *map(str, order))) for order in orders]
        assert [process.wait(120) for process in processes] == [0] * len(orders)


def test_eight_processes_write_at_once_without_an_error(data_path: Path) -> None:
    run_all(*(("write", data_path, f"w{number}", 25) for number in range(8)))
    with DataPlane(data_path) as data:
        assert data.effects == 200
        assert len(data.rows("raw", "raw_objects")) == 4000


def expect_one_effect(data_path: Path, tmp_path: Path, plan: StoraclePlan) -> None:
    send(tmp_path / "undisturbed.db", plan)
    assert contents(data_path) == contents(tmp_path / "undisturbed.db")
    with plane(data_path) as data:
        assert data.effects == len(plan.ops)


@pytest.mark.parametrize("number", [4, pytest.param(16, marks=pytest.mark.prove)])
def test_processes_that_send_the_same_plan_at_once_have_one_effect(
    data_path: Path, tmp_path: Path, number: int
) -> None:
    run_all(*[("send", data_path, 7)] * number)
    expect_one_effect(data_path, tmp_path, mixed_plan(7))


@pytest.mark.parametrize("ops", [40, pytest.param(OPS, marks=pytest.mark.prove)])
def test_sixteen_clients_that_send_the_same_plan_at_once_have_one_effect(
    data_path: Path, data: DataPlane, tmp_path: Path, ops: int
) -> None:
    meta = replace(META, token=client_of(data).open_run(META))
    plan = mixed_plan(7, ops)
    with ThreadPoolExecutor(16) as threads:
        sent = [threads.submit(client_of(data).execute_plan, plan, meta) for _ in range(16)]
    assert {len(one.result()) for one in sent} == {ops}
    expect_one_effect(data_path, tmp_path, plan)
