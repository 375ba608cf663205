"""Every error of lorchestra, by who must act.

    LorchestraError
      DefinitionError        the author of a definition or an envelope: file, line, found, expected
        CompileError         a definition that cannot be compiled with this ctx and payload
        EnvelopeError        a request to run that makes no sense
        JobNotFoundError     no definition has this id (or this version)
        PipelineNotFound     no pipeline has this name
        JobValidationError   a definition file with mistakes
        PlanError            items that cannot become a plan as the definition asks
        ChangedSince         what a run is to be resumed with is not what it was started with
        UnknownCallable      no callable has this name
        BrokenCallable       a callable that cannot be imported, or has not the shape of one
      ConfigurationError     the operator: settings, profiles, secrets, missing clients
      TransientError         raised by callables and clients: worth another try
        StepTimeout          no progress for timeout_s
      PermanentError         raised by callables and clients: not worth another try
        TotalTimeout         longer than total_timeout_s in all
      StepFailed             the executor: which step, how often it was tried, why
      RunCancelled           someone asked the run to stop
      StoreError             the run store
        RunNotFound          no run has this id
        JobBusy              another run of the job is active
        StaleAttempt         the attempt has ended, or the run was resumed elsewhere; it may write no more

Messages are shown, logged and recorded whole, so they never hold a value of a payload, an item or a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Location:
    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a definition: what was found, what is expected, and the nearest valid name."""

    found: str
    expected: str
    hint: str | None = None
    path: Path = ()
    location: Location | None = None

    def __str__(self) -> str:
        where = str(self.location) if self.location else pointer(self.path)
        text = f"{where}: {self.found}; {self.expected}" if where else f"{self.found}; {self.expected}"
        return f"{text}; {self.hint}" if self.hint else text

    def at(self, location: Location | None) -> Problem:
        return replace(self, location=location)


def pointer(path: Sequence[str | int]) -> str:
    """The JSON pointer (RFC 6901) of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest known name, when one is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else None


class LorchestraError(Exception):
    """The root: catch this to catch everything of ours."""


class DefinitionError(LorchestraError):
    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class CompileError(DefinitionError):
    pass


class EnvelopeError(DefinitionError):
    pass


class JobValidationError(DefinitionError):
    pass


class PlanError(DefinitionError):
    pass


class JobNotFoundError(DefinitionError):
    def __init__(
        self,
        job_id: str,
        *,
        version: str | None = None,
        known: Iterable[str] = (),
        near: Iterable[str] = (),
        where: str = "",
        is_pipeline: bool = False,
    ) -> None:
        """`near` are names that are not listed, and may be meant."""
        known = tuple(known)
        wanted = f"{job_id}@{version}" if version else job_id
        listing = ", ".join(sorted(known)[:10]) + (", ..." if len(known) > 10 else "")
        expected = f"known: {listing}" if known else "there are no definitions"
        super().__init__(
            Problem(
                found=f"no definition of '{wanted}'" + (f" in {where}" if where else ""),
                expected=expected,
                hint=f"there is a pipeline '{job_id}': `lorchestra exec pipeline {job_id}`"
                if is_pipeline
                else did_you_mean(version or job_id, (*known, *near)),
            )
        )
        self.job_id = job_id
        self.version = version


class PipelineNotFound(DefinitionError):
    def __init__(self, name: str, *, known: Iterable[str] = (), is_job: bool = False) -> None:
        known = sorted(known)
        hint = f"there is a job '{name}': `lorchestra exec job {name}`" if is_job else did_you_mean(name, known)
        super().__init__(
            Problem(
                found=f"no pipeline is named '{name}'",
                expected=f"known: {', '.join(known)}" if known else "there are no pipelines",
                hint=hint,
            )
        )
        self.name = name


class UnknownCallable(DefinitionError):
    def __init__(self, name: str, *, known: Iterable[str] = ()) -> None:
        known = sorted(known)
        super().__init__(
            Problem(
                found=f"no callable is named '{name}'",
                expected=f"known: {', '.join(known)}" if known else "no callables are known",
                hint=did_you_mean(name, known),
            )
        )
        self.name = name


class BrokenCallable(DefinitionError):
    def __init__(self, name: str, *, found: str, expected: str) -> None:
        super().__init__(Problem(found=f"callable '{name}' {found}", expected=expected))
        self.name = name


class ChangedSince(DefinitionError):
    def __init__(self, *, run_id: str, changed: str) -> None:
        super().__init__(
            Problem(
                found=f"{changed} has changed since run {run_id} was started",
                expected="a run is resumed with what it was started with",
                hint="start a new run, or resume with --accept-changes",
            )
        )


class ConfigurationError(LorchestraError):
    """Settings, profiles, secrets and missing clients: what the operator can mend."""


class TransientError(LorchestraError):
    """Worth another try; `retry_after` is the number of seconds the peer asked us to wait."""

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StepTimeout(TransientError):
    def __init__(self, *, step: str, seconds: float) -> None:
        super().__init__(f"step '{step}' made no progress for {seconds:g} s (timeout_s)")
        self.step = step
        self.seconds = seconds


class PermanentError(LorchestraError):
    """Not worth another try."""


class TotalTimeout(PermanentError):
    def __init__(self, *, step: str, seconds: float) -> None:
        super().__init__(f"step '{step}' took longer than {seconds:g} s in all (total_timeout_s)")
        self.step = step
        self.seconds = seconds


class StepFailed(LorchestraError):
    def __init__(self, *, step: str, tries: int, cause: str) -> None:
        super().__init__(f"step '{step}' failed after {tries} {'try' if tries == 1 else 'tries'}: {cause}")
        self.step = step
        self.tries = tries


class RunCancelled(LorchestraError):
    def __init__(self, reason: str = "cancelled") -> None:
        super().__init__(f"the run was cancelled ({reason})")
        self.reason = reason


class StoreError(LorchestraError):
    """The run store could not keep or find what it was asked to."""


class RunNotFound(StoreError):
    def __init__(self, run_id: str, *, is_ambiguous: bool = False) -> None:
        if is_ambiguous:
            found = f"the ids of several runs begin with '{run_id}'; give more of the one you mean"
        else:
            found = f"no run has the id '{run_id}'"
        super().__init__(f"{found}; `lorchestra runs list` shows the known ones")
        self.run_id = run_id


class JobBusy(StoreError):
    def __init__(self, *, job_id: str, namespace: str, run_id: str) -> None:
        super().__init__(
            f"job '{job_id}' is already running in namespace '{namespace}' as run {run_id}; "
            "wait for it, or set `concurrency: queue`, `skip` or `allow` in the definition"
        )
        self.job_id = job_id
        self.run_id = run_id


class StaleAttempt(StoreError):
    def __init__(self, *, run_id: str, attempt_n: int) -> None:
        super().__init__(f"attempt {attempt_n} of run {run_id} has ended or was replaced; it may write no more")
        self.run_id = run_id
        self.attempt_n = attempt_n
