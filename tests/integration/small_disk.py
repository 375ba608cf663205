"""A plan sent to a data file on a small disk of memory, in a namespace of mounts that ends with the process.

The disk is full midway, since something else lies on it; then that is removed, and the plan is sent again. What was
seen is said as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from lorchestra.storacle import PlanRefused
from lorchestra.storacle.error_codes import ErrorCode
from tests.forked_python import unmeasured
from tests.integration.plan_process import contents, integrity, mixed_plan, plane, send, sending

_MOUNT = 'mount -t tmpfs -o size="$1" none "$0" && shift && exec "$@"'


def command(folder: Path, *, size: str, arguments: list[str]) -> list[str]:
    """Runs with a disk of its own on the folder, where the system lets one be mounted."""
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", _MOUNT, str(folder), size, *arguments]


def may_be_mounted(folder: Path) -> bool:
    try:
        tried = subprocess.run(
            command(folder, size="64k", arguments=["true"]), capture_output=True, check=False, timeout=60
        )
    except FileNotFoundError:
        return False
    return tried.returncode == 0


def run(folder: Path, seed: int, room: int) -> dict[str, Any]:
    """`room` is how many bytes are left for the plan at first."""
    arguments = [sys.executable, "-W", "error", "-m", __name__, str(folder), str(seed), str(room)]
    done = subprocess.run(
        command(folder, size="16m", arguments=arguments),
        env=unmeasured(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def _fill(ballast: Path, room: int) -> None:
    with ballast.open("wb", buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        file.truncate(file.tell() - room)


def main() -> None:
    folder, seed, room = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    data_path, ballast = folder / "data.db", folder / "ballast"
    plan = mixed_plan(seed)
    plane(data_path).close()
    _fill(ballast, room)
    answered, code = 0, ""
    try:
        for answered in sending(data_path, plan):  # noqa: B007  how far it came
            pass
    except PlanRefused as refused:
        code = ErrorCode(refused.code).name
    whole = integrity(data_path)
    ballast.unlink()
    with plane(data_path) as data:
        effects = data.effects
    send(data_path, plan)
    seen = {"answered": answered, "code": code, "integrity": whole, "effects": effects, "contents": contents(data_path)}
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()
