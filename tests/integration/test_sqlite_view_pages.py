"""Pages of a view in SQLite: it is carried out once for many of them, and every row comes once."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import RpcClient, RpcMeta
from lorchestra.storacle.backends.sqlite import SqliteBackend, reading
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.params import Meta
from lorchestra.storacle.read_spec import parse_read
from lorchestra.storacle.transports import InProcessTransport

META = RpcMeta(job_id="j", run_id="r", step_id="s", correlation_id="r", ts="2026-01-01T00:00:00+00:00")
AT = Meta(run_id="r", namespace="prod")
VIEW = {"dataset": "derived", "table": "seen"}
QUERY = "SELECT idem_key, external_id AS text FROM raw.raw_objects"


def submit(backend: SqliteBackend, method: str, key: str, **params: Any) -> None:
    client = RpcClient(InProcessTransport(DataService(backend)))
    meta = replace(META, token=client.open_run(META))
    op = StoracleOp(op_id="op", method=method, params=params, idempotency_key=key)
    client.execute_plan(StoraclePlan(correlation_id="r", ops=(op,)), meta)


def store(backend: SqliteBackend, numbers: range, text: str = "x") -> None:
    rows = [{"idem_key": f"k{number:03}", "external_id": text} for number in numbers]
    target = {"dataset": "raw", "table": "raw_objects", "key_columns": ["idem_key"]}
    submit(backend, "table.upsert", f"{numbers} {text[:9]}", **target, rows=rows)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data.db"
    with closing(SqliteBackend(path)) as backend:
        store(backend, range(20))
        submit(backend, "view.create", "view", **VIEW, sql=QUERY)
    return path


def page(backend: SqliteBackend, after: Any, limit: int = 3, **read: Any) -> tuple[list[str], Any]:
    found = backend.page(parse_read({**VIEW, **read}, ()), AT, after, limit)
    return [row["idem_key"] for row in found.rows], found.next


def all_pages(backend: SqliteBackend, after: Any = None, limit: int = 3, **read: Any) -> list[str]:
    keys, after = page(backend, after, limit, **read)
    return keys if after is None else keys + all_pages(backend, after, limit, **read)


def names(numbers: range) -> list[str]:
    return [f"k{number:03}" for number in numbers]


@pytest.mark.parametrize("limit", [1, 3, 10, 19, 20, 21])
def test_every_row_comes_once_in_its_order(path: Path, limit: int) -> None:
    with closing(SqliteBackend(path)) as backend:
        assert all_pages(backend, limit=limit) == names(range(20))
        assert all_pages(backend, limit=limit, order_by=["-idem_key"]) == names(range(20))[::-1]
        assert all_pages(backend, limit=limit, where={"idem_key": {"gte": "k015"}}) == names(range(15, 20))
        assert page(backend, None, 0)[0] == []


def test_what_follows_is_as_it_was_when_the_first_page_was_read(path: Path) -> None:
    with closing(SqliteBackend(path)) as backend:
        first, after = page(backend, None)
        store(backend, range(20, 25))

        assert first + all_pages(backend, after) == names(range(20))
        assert all_pages(backend) == names(range(25))


def test_a_page_that_is_not_kept_is_read_again(path: Path) -> None:
    with closing(SqliteBackend(path)) as backend, closing(SqliteBackend(path)) as other:
        first, after = page(backend, None)
        assert first + all_pages(other, after) == names(range(20))

        # Another read takes its place, and one page is asked for twice.
        page(backend, None, order_by=["-idem_key"])
        assert page(backend, after) == page(backend, after)
        assert first + all_pages(backend, after) == names(range(20))


def test_a_view_that_was_made_anew_meanwhile_is_read_anew(path: Path) -> None:
    with closing(SqliteBackend(path)) as backend:
        _, after = page(backend, None)
        submit(backend, "view.create", "other", **VIEW, sql=f"{QUERY.replace('text', 'words')} WHERE idem_key > 'k010'")

        found = backend.page(parse_read(VIEW, ()), AT, after, 3)
        assert [row.keys() for row in found.rows] == [{"idem_key", "words"}] * 3


def test_rows_that_take_much_memory_come_in_small_pages(path: Path) -> None:
    with closing(SqliteBackend(path)) as backend:
        store(backend, range(20), "y" * (reading.PAGE_BYTES // 4))
        assert len(page(backend, None, 20)[0]) == 4
        assert all_pages(backend, limit=20) == names(range(20))
