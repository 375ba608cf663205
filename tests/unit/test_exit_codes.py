"""The one table of exit codes is complete, and says what the README promises."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import lorchestra
from lorchestra import errors
from lorchestra.cli import exit_codes
from lorchestra.errors import LorchestraError, Problem
from lorchestra.schemas import RunStatus

_PROMISED = {0, 1, 2, 64, 65, 78, 130, 143}


def _import_everything() -> None:
    for module in pkgutil.walk_packages(lorchestra.__path__, "lorchestra."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _all_below(kind: type[LorchestraError]) -> Iterator[type[LorchestraError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all_below(below)


def _error_classes() -> tuple[type[LorchestraError], ...]:
    _import_everything()
    return tuple(kind for kind in _all_below(LorchestraError) if kind.__module__.startswith("lorchestra."))


def _made(kind: type[LorchestraError]) -> LorchestraError:
    # The code depends on the class alone, so no constructor has to be satisfied.
    return kind.__new__(kind)


def test_every_error_of_ours_has_an_exit_code_that_is_promised() -> None:
    kinds = _error_classes()
    assert len(kinds) > 20
    assert {exit_codes.of_error(_made(kind)) for kind in kinds} <= _PROMISED - {0, 1, 64}


def test_the_code_of_an_error_follows_from_who_must_act() -> None:
    for kind in _error_classes():
        code = exit_codes.of_error(_made(kind))
        if issubclass(kind, (errors.DefinitionError, errors.RunNotFound)):
            assert code == 65, kind
        elif issubclass(kind, errors.ConfigurationError):
            assert code == 78, kind
        elif not issubclass(kind, errors.RunCancelled):
            assert code == 2, kind


def test_a_cancelled_command_ends_like_an_interrupted_one() -> None:
    assert exit_codes.of_error(errors.RunCancelled()) == 130


def test_a_class_that_is_added_later_takes_the_code_of_its_branch() -> None:
    class TooManySteps(errors.DefinitionError):
        pass

    assert exit_codes.of_error(TooManySteps(Problem(found="a", expected="b"))) == 65


@pytest.mark.parametrize("status", [*RunStatus, "dry_run", "skipped"])
def test_every_way_for_a_run_to_end_has_an_exit_code(status: str) -> None:
    assert exit_codes.BY_STATUS[status] in _PROMISED


def test_no_status_stands_in_the_table_that_no_run_can_have() -> None:
    assert set(exit_codes.BY_STATUS) == {*RunStatus, "dry_run", "skipped"}


def test_the_codes_of_statuses_are_those_that_scripts_rely_on() -> None:
    assert {status: exit_codes.BY_STATUS[status] for status in ("completed", "partial", "failed", "cancelled")} == {
        "completed": 0,
        "partial": 1,
        "failed": 2,
        "cancelled": 130,
    }
