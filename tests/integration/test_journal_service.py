"""The journal file: effects outlive killed processes, processes share it, and a full disk loses nothing."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from lorchestra.errors import ConfigurationError, TransientError
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import OpStatus, PlanRefused, RpcClient, RpcMeta
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.journal import JournalService
from lorchestra.storacle.transports import InProcessTransport

META = RpcMeta(job_id="j", run_id="01RUN", step_id="write", correlation_id="01RUN", ts="2024-01-01T00:00:00Z")
OPS = 40

WORKER = """
import sys
from pathlib import Path
from lorchestra.storacle import RpcClient
from lorchestra.storacle.journal import JournalService
from lorchestra.storacle.transports import InProcessTransport
from tests.integration.test_journal_service import META, OPS, plan_of

client = RpcClient(InProcessTransport(JournalService(Path(sys.argv[1]))))
print("ready", flush=True)
sys.stdin.readline()
for op in plan_of(OPS).ops:
    client.execute_plan(plan_of(OPS, op), META)
    print(op.op_id, flush=True)
"""


def op_of(number: int) -> StoracleOp:
    rows = tuple({"k": f"{number}-{row}", "v": number} for row in range(5))
    return StoracleOp(
        op_id=f"op{number}",
        method="wal.append",
        params={"dataset": "raw", "table": "objects", "key_columns": ("k",), "rows": rows},
        idempotency_key=f"key{number}",
        # Half of the ops come in groups of two, which a kill must not tear apart.
        group=None,
    )


def plan_of(count: int, *ops: StoracleOp) -> StoraclePlan:
    return StoraclePlan(correlation_id="01RUN", ops=ops or tuple(op_of(number) for number in range(count)))
