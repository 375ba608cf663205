"""The journal file: effects outlive killed processes, processes share it, and a full disk loses nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import IO, Any, TypeAlias

import orjson
import pytest

from lorchestra.errors import ConfigurationError, PermanentError, TransientError
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import OpResult, OpStatus, PlanRefused, RpcClient, RpcMeta
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.journal import JournalService
from lorchestra.storacle.journal.file import HEADER
from lorchestra.storacle.transports import InProcessTransport

META = RpcMeta(job_id="j", run_id="01RUN", step_id="write", correlation_id="01RUN", ts="2024-01-01T00:00:00Z")
ROOT = Path(__file__).parents[2]
UNITS = 30
OPS = 2 * UNITS

TraceFunction: TypeAlias = Callable[[FrameType, str, Any], Any]

WORKER = """
import sys
import threading
from pathlib import Path
from lorchestra.storacle.journal import JournalService
from tests.integration.test_journal_service import UNITS, submit, unit

service = JournalService(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
start = int(sys.argv[2])
for number in range(start, start + UNITS):
    submit(service, *unit(number % UNITS))
    print(number, flush=True)
"""


def unit(number: int) -> tuple[StoracleOp, ...]:
    """Rows and the cursor that speaks of them, in one group, which nothing may tear apart."""
    rows = tuple({"k": f"{number:03d}-{row}", "v": "x" * 50} for row in range(20))
    return (
        StoracleOp(
            op_id=f"rows{number}",
            method="wal.append",
            params={"dataset": "raw", "table": "objects", "key_columns": ("k",), "rows": rows},
            idempotency_key=f"rows{number}",
            group=f"g{number}",
        ),
        StoracleOp(
            op_id=f"cursor{number}",
            method="state.put",
            params={"key": f"cursor{number}", "value": number, "expected": None},
            idempotency_key=f"cursor{number}",
            group=f"g{number}",
        ),
    )


def submit(service: JournalService, *ops: StoracleOp, meta: RpcMeta = META) -> tuple[OpResult, ...]:
    client = RpcClient(InProcessTransport(service))
    return client.execute_plan(StoraclePlan(correlation_id="01RUN", ops=ops), meta)


def _submit_all(service: JournalService) -> list[OpStatus]:
    return [one.status for one in submit(service, *(op for number in range(UNITS) for op in unit(number)))]


def _assert_whole(path: Path) -> None:
    """Every effect is there, and each was written once."""
    service = JournalService(path)
    assert service.effects == OPS
    rows = service.rows("prod", "raw", "objects")
    assert [row["k"] for row in rows] == [
        f"{number:03d}-{row}" for number in range(UNITS) for row in sorted(map(str, range(20)))
    ]
    assert len(service.rows("prod", "storacle", "_state")) == UNITS
    entries = [orjson.loads(line) for line in path.read_bytes().splitlines()[1:]]
    keys = [key for entry in entries for key, _, _ in entry["ledger"]]
    assert sorted(keys) == sorted({f"{name}{number}" for number in range(UNITS) for name in ("rows", "cursor")})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@contextmanager
def _worker(path: Path, *, start: int = 0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WORKER, str(path), str(start)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert _pipe(process.stdout).readline() == "ready\n"
            yield process
        finally:
            process.kill()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _go(process: subprocess.Popen[str]) -> None:
    _pipe(process.stdin).write("\n")
    _pipe(process.stdin).flush()


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Crashes


def test_plan_sent_again_after_kills_has_every_effect_once(path: Path) -> None:
    for done in (1, 7, 16):
        with _worker(path) as process:
            _go(process)
            for _ in range(done):
                assert _pipe(process.stdout).readline()
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        # Whatever was answered is there.
        assert JournalService(path).effects >= 2 * done
    statuses = _submit_all(JournalService(path))
    assert OpStatus.ALREADY in statuses
    _assert_whole(path)
    assert set(_submit_all(JournalService(path))) == {OpStatus.ALREADY}
    _assert_whole(path)


def test_line_cut_at_any_byte_is_void_and_can_be_sent_again(path: Path) -> None:
    service = JournalService(path)
    submit(service, *unit(0))
    before = path.read_bytes()
    submit(service, *unit(1))
    whole = path.read_bytes()
    for end in range(len(before), len(whole), 7):
        path.write_bytes(whole[:end])
        service = JournalService(path)
        assert path.read_bytes() == before
        assert service.effects == 2
        assert [row["value"] for row in service.rows("prod", "storacle", "_state")] == [0]
        assert {one.status for one in submit(service, *unit(1))} == {OpStatus.APPLIED}
        assert path.read_bytes() == whole


def test_line_whose_middle_never_reached_the_disk_is_void(path: Path) -> None:
    submit(JournalService(path), *unit(0))
    before = path.read_bytes()
    path.write_bytes(before + b'{"namespace":' + bytes(100) + b"}\n")
    assert JournalService(path).effects == 2
    assert path.read_bytes() == before


@pytest.mark.parametrize("length", range(len(HEADER)))
def test_journal_whose_first_write_was_cut_is_begun_anew(path: Path, length: int) -> None:
    path.write_bytes(HEADER[:length])
    assert JournalService(path).effects == 0
    assert path.read_bytes() == HEADER


@pytest.mark.parametrize("moment", range(20))
def test_interrupt_while_an_entry_is_written_leaves_one_effect_or_none(path: Path, moment: int) -> None:
    service = JournalService(path)
    submit(service, *unit(0))
    steps = iter(range(1_000))

    def interrupt(frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        if frame.f_code.co_name not in ("_append", "_write"):
            return None
        if next(steps) == moment:
            raise KeyboardInterrupt
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        with suppress(KeyboardInterrupt):
            submit(service, *unit(1))
    finally:
        sys.settrace(before)
    landed = JournalService(path).effects == 4
    assert service.effects == (4 if landed else 2)
    assert service.rows("prod", "raw", "objects") == JournalService(path).rows("prod", "raw", "objects")
    expected = OpStatus.ALREADY if landed else OpStatus.APPLIED
    assert {one.status for one in submit(service, *unit(1))} == {expected}
    assert len(service.rows("prod", "raw", "objects")) == 40


def test_deletes_updates_and_tokens_are_read_back(path: Path) -> None:
    def change(method: str, *rows: dict[str, object]) -> StoracleOp:
        params = {"dataset": "raw", "table": "objects", "key_columns": ["k"], "rows": rows}
        return StoracleOp(
            op_id=f"{method}{len(rows)}", method=method, params=params, idempotency_key=f"{method}{len(rows)}"
        )

    service = JournalService(path)
    token = RpcClient(InProcessTransport(service)).open_run(META)
    meta = replace(META, token=token)
    submit(
        service,
        change("table.upsert", {"k": 1, "v": "a"}, {"k": 2, "v": "b"}, {"k": "2", "v": "c"}),
        change("table.upsert", {"k": 1, "v": None}, {"k": 2, "w": 1.5}),
        change("table.delete", {"k": "2"}),
        meta=meta,
    )
    again = JournalService(path)
    assert again.rows("prod", "raw", "objects") == [{"k": 1, "v": None}, {"k": 2, "v": "b", "w": 1.5}]
    assert again.rows("prod", "raw", "objects") == service.rows("prod", "raw", "objects")
    assert RpcClient(InProcessTransport(again)).open_run(META) == token + 1
    with pytest.raises(PlanRefused, match="fenced"):
        submit(service, change("table.delete", {"k": 1}), meta=meta)


# Several processes


def test_processes_sending_the_same_plan_at_once_have_each_effect_once(path: Path) -> None:
    with ExitStack() as stack:
        # In turns that differ: at the same place, each would write the same bytes.
        workers = [stack.enter_context(_worker(path, start=start)) for start in (0, 7, 15, 22)]
        for process in workers:
            _go(process)
        for process in workers:
            assert len(_pipe(process.stdout).readlines()) == UNITS
            assert process.wait() == 0
    _assert_whole(path)


def test_service_waits_for_a_process_that_holds_the_journal(path: Path) -> None:
    service = JournalService(path)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = threading.Thread(target=submit, args=(service, *unit(0)))
        waiting.start()
        waiting.join(0.02)
        assert waiting.is_alive()
        assert path.read_bytes() == HEADER
    waiting.join()
    assert service.effects == 2


def test_service_sees_what_another_wrote_before_it_answers(path: Path) -> None:
    first, second = JournalService(path), JournalService(path)
    submit(first, *unit(0))
    assert {one.status for one in submit(second, *unit(0), *unit(1))} == {OpStatus.ALREADY, OpStatus.APPLIED}
    assert first.effects == second.effects == 4
    assert first.rows("prod", "raw", "objects") == second.rows("prod", "raw", "objects")


def test_run_opened_by_another_process_fences_this_one(path: Path) -> None:
    first, second = JournalService(path), JournalService(path)
    meta = replace(META, token=RpcClient(InProcessTransport(first)).open_run(META))
    RpcClient(InProcessTransport(second)).open_run(META)
    with pytest.raises(PlanRefused, match="fenced"):
        submit(first, *unit(0), meta=meta)


def test_run_opened_for_a_later_attempt_is_refused_to_an_earlier_one(path: Path) -> None:
    first, second, third = (replace(META, attempt_n=number) for number in (1, 2, 3))
    service = RpcClient(InProcessTransport(JournalService(path)))
    token = service.open_run(second)
    for client in (service, RpcClient(InProcessTransport(JournalService(path)))):
        with pytest.raises(PermanentError, match="fenced"):
            client.open_run(first)
    assert submit(JournalService(path), *unit(0), meta=replace(second, token=token))
    assert service.open_run(third) > token


def test_journal_that_was_removed_or_replaced_is_read_anew(path: Path) -> None:
    service = JournalService(path)
    submit(service, *unit(0))
    kept = path.read_bytes()
    path.unlink()
    assert service.effects == 0
    submit(service, *unit(0), *unit(1))
    path.write_bytes(kept)
    assert service.effects == 2
    assert {one.status for one in submit(service, *unit(1))} == {OpStatus.APPLIED}


# Disks


def test_full_disk_refuses_the_op_and_leaves_everything_as_it_was(path: Path) -> None:
    service = JournalService(path)
    submit(service, *unit(0))
    before = path.read_bytes()
    for room in (0, 1, 40, 500):
        with _file_size_limit(len(before) + room), pytest.raises(PlanRefused) as caught:
            submit(service, *unit(1))
        assert caught.value.code == ErrorCode.STORAGE_FULL
        assert path.read_bytes() == before
        assert service.effects == 2
        assert len(service.rows("prod", "raw", "objects")) == 20
    assert {one.status for one in submit(service, *unit(1))} == {OpStatus.APPLIED}
    assert JournalService(path).effects == 4


def test_journal_that_cannot_be_begun_anew_takes_nothing_before_it_can(path: Path) -> None:
    service = JournalService(path)
    path.unlink()
    for _ in range(2):
        with _file_size_limit(5), pytest.raises(PlanRefused) as caught:
            submit(service, *unit(0))
        assert caught.value.code == ErrorCode.STORAGE_FULL
    submit(service, *unit(0))
    assert JournalService(path).effects == 2


def test_run_that_could_not_be_opened_on_a_full_disk_is_not_open(path: Path) -> None:
    service = JournalService(path)
    client = RpcClient(InProcessTransport(service))
    with _file_size_limit(len(HEADER) + 5), pytest.raises(Exception, match="storage_full"):
        client.open_run(META)
    assert {one.status for one in submit(service, *unit(0))} == {OpStatus.APPLIED}
    assert client.open_run(META) == 1


def test_entry_that_cannot_be_synced_is_not_answered_as_applied(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = JournalService(path)

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(TransientError, match="unavailable"):
            submit(service, *unit(0))
        # Not even the truncation works.
        patch.setattr(os, "ftruncate", lambda fd, size: fail(fd))
        with pytest.raises(TransientError, match="unavailable"):
            submit(service, *unit(0))
    # The line stayed whole in the file, so it stands; the plan sent again says so.
    assert {one.status for one in submit(service, *unit(0))} == {OpStatus.ALREADY}
    assert service.effects == 2


def test_journal_that_cannot_be_reached_any_more_is_a_transient_error(path: Path) -> None:
    service = JournalService(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(TransientError, match="unavailable"):
        submit(service, *unit(0))


def test_journal_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal"
    JournalService(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"a note\n", b"{}", b'{"other":1}\n' * 5, b'{"storacle_journal":2}\n'])
def test_file_that_is_no_journal_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="is not a journal"):
            JournalService(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("line", [b"rubbish", b"5", b"{}", b'{"namespace":"prod","tables":[],"ledger":[5]}'])
def test_damaged_journal_is_refused_and_left_alone(path: Path, line: bytes) -> None:
    submit(JournalService(path), *unit(0))
    good = path.read_bytes()
    path.write_bytes(HEADER + line + b"\n" + good.removeprefix(HEADER))
    damaged = path.read_bytes()
    with pytest.raises(ConfigurationError, match=f"damaged at byte {len(HEADER)}"):
        JournalService(path)
    assert path.read_bytes() == damaged


def test_journal_damaged_meanwhile_is_an_internal_error_until_it_is_mended(path: Path) -> None:
    service = JournalService(path)
    submit(service, *unit(0))
    good = path.read_bytes()
    path.write_bytes(good + b"rubbish\n{}\n")
    with pytest.raises(Exception, match=r"internal"):
        submit(service, *unit(1))
    path.write_bytes(good)
    assert {one.status for one in submit(service, *unit(1))} == {OpStatus.APPLIED}


def test_path_that_cannot_hold_a_journal_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "file" / "journal"):
        with pytest.raises(ConfigurationError, match="cannot be opened"):
            JournalService(path)
