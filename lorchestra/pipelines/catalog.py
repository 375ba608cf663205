"""Jobs and pipelines by the ids that steps and requests name."""

from __future__ import annotations

from pathlib import Path

from lorchestra.definitions.yaml_source import Source
from lorchestra.errors import JobNotFoundError
from lorchestra.pipelines import job
from lorchestra.pipelines.registry import PipelineRegistry
from lorchestra.pipelines.tree import Pipeline
from lorchestra.registry import JobRegistry
from lorchestra.schemas import JobDef
from lorchestra.schemas.pipeline import is_pipeline, name_of


class Catalog:
    """`pipeline.<name>` is the job that a pipeline runs as; it has one version.

    What was loaded once stays as it was until `look_anew`: a run and all that it runs see one state of the files.
    """

    def __init__(self, jobs: JobRegistry, pipelines: PipelineRegistry) -> None:
        self._jobs = jobs
        self._pipelines = pipelines
        self._loaded: dict[tuple[str, str | None], JobDef] = {}

    def look_anew(self) -> None:
        """Said when another request begins."""
        self._loaded = {}

    def load(self, job_id: str, version: str | None = None) -> JobDef:
        """Raises like `JobRegistry.load` and `PipelineRegistry.load`."""
        # Another thread may begin a request meanwhile.
        loaded = self._loaded
        if (job_id, version) not in loaded:
            if is_pipeline(job_id):
                _require_version(job_id, version)
                _keep(self._pipelines.load(job_id), loaded)
            else:
                loaded[job_id, version] = self._job(job_id, version)
        return loaded[job_id, version]

    def _job(self, job_id: str, version: str | None) -> JobDef:
        try:
            return self._jobs.load(job_id, version)
        except JobNotFoundError as error:
            if error.version is not None or not self._pipelines.has(job_id):
                raise
            known, where = self._jobs.own_job_ids(), str(self._jobs.definitions_dir)
            raise JobNotFoundError(job_id, known=known, where=where, is_pipeline=True) from error

    def require(self, job_id: str) -> None:
        """Raises JobNotFoundError, PipelineNotFound or JobValidationError when there is no such job."""
        if (job_id, None) not in self._loaded:
            self.path_of(job_id)

    def path_of(self, job_id: str, version: str | None = None) -> Path | None:
        """The file; None of a pipeline that is in no file."""
        if not is_pipeline(job_id):
            return self._jobs.path_of(job_id, version)
        return self._pipelines.path_of(job_id)

    def source_of(self, job_id: str, version: str | None = None) -> Source:
        return self._pipelines.source_of(job_id) if is_pipeline(job_id) else self._jobs.source_of(job_id, version)

    def versions(self, job_id: str) -> tuple[str, ...]:
        if not is_pipeline(job_id):
            return self._jobs.versions(job_id)
        self._pipelines.path_of(job_id)
        return (job.VERSION,)


def _keep(pipeline: Pipeline, loaded: dict[tuple[str, str | None], JobDef]) -> None:
    for version in (None, job.VERSION):
        loaded[pipeline.job_id, version] = job.job_of(pipeline)
    for entry in pipeline.entries:
        if entry.pipeline is not None:
            _keep(entry.pipeline, loaded)


def _require_version(job_id: str, version: str | None) -> None:
    if version not in (None, job.VERSION):
        raise JobNotFoundError(job_id, version=version, known=[job.VERSION], where=f"pipeline '{name_of(job_id)}'")
