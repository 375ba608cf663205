"""Peak memory of a long stream: a million small items through call, plan.build and submit."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.figure import Figure

ITEMS = 1_000_000
BOUND_MIB = 120

CHILD = f"""
import time
from benchmarks.jobs import callables, three_steps
from benchmarks.memory import peak_mib
from lorchestra.executor import Executor
from lorchestra.storacle import RpcClient
from lorchestra.storacle.counting import CountingService
from lorchestra.storacle.transports import InProcessTransport
service = CountingService()
begin = time.perf_counter()
result = Executor(client=RpcClient(InProcessTransport(service)), callables=callables()).execute(three_steps({ITEMS}))
assert result.success and service.rows == {ITEMS}, result.to_dict()
print(peak_mib(), time.perf_counter() - begin)
"""


def measure() -> list[Figure]:
    done = subprocess.run([sys.executable, "-c", CHILD], check=True, capture_output=True, text=True)
    peak, seconds = map(float, done.stdout.split())
    print(f"{ITEMS:,} items in {seconds:.1f} s, {ITEMS / seconds:,.0f} items/s", file=sys.stderr)
    return [Figure(name=f"peak memory, {ITEMS:,} items", measured=peak, baseline=BOUND_MIB, unit="MiB", bound=1)]
