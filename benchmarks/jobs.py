"""The jobs that are measured, and the callables they call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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


def callables(commit: Callable[[], None] | None = None) -> CallableRegistry:
    """With `commit`, there is a callable that does just that."""

    def commit_once(params: Mapping[str, Any]) -> dict[str, Any]:
        commit()  # type: ignore[misc]  # registered only when there is one
        return {"items": []}

    registry = CallableRegistry()
    registry.register("nothing", nothing)
    if commit is not None:
        registry.register("commit", commit_once)
    registry.register("numbers", numbers)
    return registry


def many_steps(count: int, callable: str = "nothing") -> JobInstance:
    steps = [{"step_id": f"s{n}", "op": "call", "params": {"callable": callable}} for n in range(count)]
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
