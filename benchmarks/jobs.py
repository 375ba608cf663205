"""The jobs that are measured, and the callables they call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorchestra.callable import CallableRegistry
from lorchestra.compiler import compile_job
from lorchestra.schemas import JobDef, JobInstance


def nothing(params: Mapping[str, Any]) -> dict[str, Any]:
    return {"items": []}


def numbers(params: Mapping[str, Any]) -> dict[str, Any]:
    return {"items": _records(params["count"])}


def _records(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {"idem_key": f"bench:{number}", "number": number}


def callables() -> CallableRegistry:
    registry = CallableRegistry()
    registry.register("nothing", nothing)
    registry.register("numbers", numbers)
    return registry


def many_steps(count: int) -> JobInstance:
    steps = [{"step_id": f"s{n}", "op": "call", "params": {"callable": "nothing"}} for n in range(count)]
    return compile_job(JobDef.model_validate({"job_id": "many_steps", "version": "2.0", "steps": steps}))


def three_steps(records: int, job_id: str = "three_steps") -> JobInstance:
    return compile_job(
        JobDef.model_validate(
            {
                "job_id": job_id,
                "version": "2.0",
                "concurrency": "allow",
                "steps": [
                    {"step_id": "fetch", "op": "call", "params": {"callable": "numbers", "count": records}},
                    {
                        "step_id": "persist",
                        "op": "plan.build",
                        "params": {
                            "items": "@run.fetch.items",
                            "method": "table.upsert",
                            "dataset": "raw",
                            "table": "numbers",
                            "key_columns": ["idem_key"],
                        },
                    },
                    {"step_id": "write", "op": "storacle.submit", "params": {"plan": "@run.persist.plan"}},
                ],
            }
        )
    )
