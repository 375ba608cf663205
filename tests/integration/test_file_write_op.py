"""`file.write` as an op of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lorchestra.clock import SystemClock
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import OpStatus, PlanRefused, RpcClient
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.methods import with_files
from lorchestra.storacle.outward.roots import Roots
from lorchestra.storacle.transports import InProcessTransport
from tests.integration.plan_process import META


@pytest.fixture
def client(tmp_path: Path) -> Iterator[RpcClient]:
    backend = SqliteBackend(tmp_path / "data.db")
    methods = with_files(Roots({"files": tmp_path / "vault"}), SystemClock())
    yield RpcClient(InProcessTransport(DataService(backend, methods)))
    backend.close()


def _plan(*files: tuple[str, dict[str, Any]], group: str | None = None) -> StoraclePlan:
    ops = [
        StoracleOp(op_id=f"op-{key}", method="file.write", params=params, idempotency_key=key, group=group)
        for key, params in files
    ]
    return StoraclePlan(correlation_id=META.run_id, ops=tuple(ops))


def test_a_file_is_written_once_and_left_alone_when_it_is_the_same(client: RpcClient, tmp_path: Path) -> None:
    meta = replace(META, token=client.open_run(META))
    note = {"path": "notes/today.md", "content": "Nothing to report."}
    (first,) = client.execute_plan(_plan(("a", note)), meta)
    (resent,) = client.execute_plan(_plan(("a", note)), meta)
    (again,) = client.execute_plan(_plan(("b", note)), meta)

    assert (tmp_path / "vault" / "notes" / "today.md").read_text() == "Nothing to report."
    assert dict(first.counts) == {"written": 1, "unchanged": 0}
    assert resent.status is OpStatus.ALREADY
    assert dict(again.counts) == {"written": 0, "unchanged": 1}


def test_a_smoke_run_writes_into_a_folder_of_its_own(client: RpcClient, tmp_path: Path) -> None:
    smoke = replace(META, namespace="smoke_trial")
    client.execute_plan(_plan(("a", {"path": "a.md", "content": "A"})), replace(smoke, token=client.open_run(smoke)))
    found = [path.relative_to(tmp_path / "vault") for path in (tmp_path / "vault").rglob("*") if path.is_file()]
    assert found == [Path("_smoke/trial/a.md")]


@pytest.mark.parametrize(
    ("params", "code", "place"),
    [
        ({"path": "../out.md", "content": "A"}, ErrorCode.FORBIDDEN, "params/path"),
        ({"path": "/out.md", "content": "A"}, ErrorCode.FORBIDDEN, "params/path"),
        ({"path": "a.md", "content": "A", "root": "other"}, ErrorCode.FORBIDDEN, "params/root"),
        ({"path": "a.md"}, ErrorCode.INVALID_PARAMS, "params"),
    ],
)
def test_what_leads_elsewhere_or_says_nothing_is_refused_and_nothing_is_written(
    client: RpcClient, tmp_path: Path, params: dict[str, Any], code: ErrorCode, place: str
) -> None:
    meta = replace(META, token=client.open_run(META))
    with pytest.raises(PlanRefused) as refused:
        client.execute_plan(_plan(("a", params)), meta)
    assert refused.value.code == code
    assert str(refused.value).endswith(f"/plan/ops/0/{place})")
    assert not list(tmp_path.rglob("*.md"))
