"""One try of a segment, as the work sees it: who is at work, and whether anybody still waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from lorchestra import code_names
from lorchestra.errors import LorchestraError

T = TypeVar("T")


class StepStopped(LorchestraError):
    """Raised inside work that nobody waits for any more."""

    def __init__(self) -> None:
        super().__init__("the step was stopped")


class StepRaised(LorchestraError):
    """Carries an error of one step through the streams of the others."""

    def __init__(self, step_id: str, error: BaseException) -> None:
        super().__init__(f"step '{step_id}' raised {code_names.type_name(type(error))}")
        self.step_id = step_id
        self.error = error


class Limits(NamedTuple):
    """`idle_s`: how long a step may go without progress. `total_s`: how long all its tries may take together."""

    idle_s: float
    total_s: float | None = None


class Scope:
    """One try of a segment: which step is at work, since when, how long it may, and whether anybody still waits for it.

    The work writes it and the supervisor reads it; each field is one reference, so neither needs a lock.
    """

    __slots__ = ("_broken", "_monotonic", "_steps", "began", "limits", "mark")

    def __init__(
        self,
        steps: Sequence[str],
        monotonic: Callable[[], float],
        limits: Mapping[str, Limits],
        *,
        began: float | None = None,
    ) -> None:
        """The first of `steps` is at work. `limits` are those of all steps that it may name, and of others; `began` is
        when the first try did, if this is not it.
        """
        now = monotonic()
        self._steps = steps
        self.limits = limits
        self._monotonic = monotonic
        self._broken: StepStopped | StepRaised | None = None
        self.began = now if began is None else began
        self.mark = (steps[0], now)

    def totals(self) -> Iterator[tuple[str, float]]:
        """The steps that have to be done in some time, and in what time, from when the first try began."""
        for step_id in self._steps:
            total_s = self.limits[step_id].total_s
            if total_s is not None:
                yield step_id, total_s

    def enter(self, step_id: str) -> None:
        """From here on, this step is the one at work."""
        if self._broken is not None:
            raise self._broken
        self.mark = (step_id, self._monotonic())

    def check(self) -> None:
        if self._broken is not None:
            raise self._broken

    def progress(self) -> None:
        self.enter(self.mark[0])

    def stop(self) -> None:
        self._broken = StepStopped()

    def fail(self, step_id: str, error: BaseException) -> StepRaised:
        """The try has failed, even if a step further down should swallow the error that is raised for it.

        The first failure stands: what is raised after it, while it passes the other steps, came of it.
        """
        if not isinstance(self._broken, StepRaised):
            failure = StepRaised(step_id, error)
            self._broken = self._broken or failure
            return failure
        return self._broken


def pull(scope: Scope, items: Iterator[T], *, producer: str, consumer: str) -> Iterator[T]:
    """What one step yields, on its way to the step that asks for it; an error is the producer's."""
    enter = scope.enter
    while True:
        enter(producer)
        try:
            item = next(items)
        except StopIteration:
            enter(consumer)
            return
        except (StepRaised, StepStopped):
            raise
        except BaseException as error:
            # SystemExit and its kin too: the consumer may swallow what it is given, and must not seem to succeed.
            raise scope.fail(producer, error) from error
        enter(consumer)
        yield item
