"""The files that a project begins with: settings with a connection, a job that fetches from it, a few rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lorchestra.errors import ConfigurationError

JOB_ID = "ingest_inbox"

_SETTINGS = """\
# The settings of this project. `lorchestra schema settings` prints all that may stand here.
connections:
  # An account at a provider, or, here, a folder. A job says `connection: inbox`.
  inbox:
    connector: file
    path: inbox/*.jsonl
    source_system: desk
    object_type: visit
    id_field: visit_id
"""

_JOB = """\
job_id: ingest_inbox
version: '2.0'
description: What lies in the folder inbox becomes raw objects.
steps:
- step_id: fetch
  op: call
  params:
    callable: injest
    connection: inbox
    stream: records
- step_id: plan
  op: plan.build
  params:
    items: '@run.fetch.items'
    method: table.upsert
    dataset: raw
    table: raw_objects
    key_columns: [idem_key]
- step_id: write
  op: storacle.submit
  params: {plan: '@run.plan.plan'}
"""

_ROWS = """\
{"visit_id": "v-1", "day": "2026-11-20", "minutes": 50}
{"visit_id": "v-2", "day": "2026-11-20", "minutes": 25}
{"visit_id": "v-3", "day": "2026-11-21", "minutes": 50}
"""

_IGNORED = """\
# What runs leave here: the record of the runs, and the data.
.lorchestra/
# Keys and tokens belong into no repository.
secrets/
.env
__pycache__/
"""

FILES: Mapping[str, str] = {
    "lorchestra.yaml": _SETTINGS,
    f"jobs/definitions/{JOB_ID}.yaml": _JOB,
    "inbox/visits.jsonl": _ROWS,
    ".gitignore": _IGNORED,
}


def create(folder: Path) -> tuple[Path, ...]:
    """Write the files into a folder, which is made where it is missing.

    Raises ConfigurationError, and writes nothing, when one of them is there already.
    """
    paths = {folder / name: text for name, text in FILES.items()}
    if taken := [str(path) for path in paths if path.exists() or path.is_symlink()]:
        raise ConfigurationError(
            f"{', '.join(taken)}: there already; a new project overwrites nothing, so begin it in another folder"
        )
    for path, text in paths.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Exclusively: what came there in the meantime stays.
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror or type(error).__name__}") from error
    return tuple(paths)
