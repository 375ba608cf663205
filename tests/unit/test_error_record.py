from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.digest import Digester
from lorchestra.errors import (
    DefinitionError,
    JobNotFoundError,
    LorchestraError,
    PermanentError,
    RunNotFound,
    StepFailed,
    TransientError,
)
from lorchestra.items import as_item
from lorchestra.reporting import error_record
from lorchestra.run_store import InMemoryRunStore
from lorchestra.schemas import ErrorRecord

CANARY = "CANARY_5b1f"
DIGESTER = Digester(b"key")
HERE = Path(__file__)


class OwnKind(PermanentError):
    """A callable's own subclass of one of our errors."""


class Hostile(Exception):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)

    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]  # a hostile class may
        raise RuntimeError(CANARY)

    __traceback__ = __context__ = __suppress_context__ = __cause__  # type: ignore[assignment]  # as above


def caught(raiser: Callable[[], object]) -> BaseException:
    try:
        raiser()
    except BaseException as error:  # noqa: BLE001  (whatever it is, it is described)
        return error
    raise AssertionError("nothing was raised")


def raising(error: BaseException, cause: BaseException | None = None) -> Callable[[], object]:
    def fail() -> None:
        if cause is None:
            raise error
        raise error from cause

    return fail


def describe(error: BaseException, root: Path | None = None) -> ErrorRecord:
    return error_record.describe(error, DIGESTER, root=root)


# Whose message it is


def test_an_error_of_ours_raised_by_our_code_is_kept_whole() -> None:
    record = describe(caught(lambda: as_item(7)))

    assert record.type == "lorchestra.errors.PermanentError"
    assert record.message == (
        "a callable yielded a int; items are JSON objects, Record, Rejected, Checkpoint or Marker"
    )
    assert record.fingerprint is None
    assert re.fullmatch(r"lorchestra/items\.py:\d+:as_item", record.raised_at or "")
    assert not record.transient


def test_a_store_error_keeps_its_message() -> None:
    record = describe(caught(lambda: InMemoryRunStore().get("R1")))

    assert record.message == str(RunNotFound("R1"))


@pytest.mark.parametrize(
    "error",
    [
        ValueError(CANARY),
        KeyError(CANARY),
        TransientError(CANARY),
        PermanentError(CANARY),
        OwnKind(CANARY),
        JobNotFoundError(CANARY),
        LorchestraError(CANARY),
        SyntaxError(CANARY, (CANARY, 1, 1, CANARY)),
        UnicodeDecodeError("utf-8", CANARY.encode(), 0, 1, CANARY),
        OSError(2, CANARY, CANARY),
        ImportError(CANARY, name=CANARY, path=CANARY),
        SystemExit(CANARY),
        KeyboardInterrupt(CANARY),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_message_raised_by_other_code_is_a_fingerprint(error: BaseException) -> None:
    error.add_note(CANARY)

    record = describe(caught(raising(error)), root=HERE.parent)

    assert CANARY not in record.model_dump_json()
    assert record.message is None
    assert record.fingerprint == DIGESTER.data(str(error).encode())
    assert re.fullmatch(r"test_error_record\.py:\d+:fail", record.raised_at or "")
    assert record.transient == isinstance(error, TransientError)


def test_a_fingerprint_is_equal_for_equal_messages_and_depends_on_the_key() -> None:
    one, same, other = (describe(caught(raising(ValueError(text)))) for text in ("a", "a", "b"))
    rekeyed = error_record.describe(caught(raising(ValueError("a"))), Digester(b"other"))

    assert one.fingerprint == same.fingerprint
    assert len({one.fingerprint, other.fingerprint, rekeyed.fingerprint}) == 3


def test_an_error_of_ours_that_was_never_raised_is_kept_whole_but_not_as_a_cause() -> None:
    failure = StepFailed(step="fetch", tries=2, cause="ValueError at fetch.py:3:fetch")
    failure.__cause__ = PermanentError(CANARY)

    record = describe(failure)

    assert record.message == str(failure)
    assert record.raised_at is None
    assert record.cause is not None
    assert record.cause.message is None


def test_the_class_of_another_package_is_not_ours_wherever_it_is_raised() -> None:
    assert describe(OwnKind(CANARY)).message is None


# Places


def test_the_trace_leads_from_the_outermost_place_to_the_innermost_and_is_bounded() -> None:
    def dive(depth: int) -> None:
        if depth == 0:
            raise ValueError(CANARY)
        dive(depth - 1)

    short, long = describe(caught(lambda: dive(1))), describe(caught(lambda: dive(100)))

    assert [place.rpartition(":")[2] for place in short.trace] == ["caught", "<lambda>", "dive", "dive"]
    assert short.raised_at == short.trace[-1]
    assert len(long.trace) == error_record.MAX_FRAMES
    assert long.trace[-1] == short.trace[-1]


def test_code_compiled_from_data_shows_neither_its_file_nor_its_functions() -> None:
    code = compile("raise ValueError(1)", f"<{CANARY}>", "exec").replace(co_name=f"{CANARY} x")

    record = describe(caught(lambda: exec(code)))

    assert record.raised_at == "<generated>:1:<generated>"
    assert CANARY not in record.model_dump_json()


def test_a_type_made_of_data_is_not_named() -> None:
    kind = type(CANARY, (KeyError,), {})

    record = describe(caught(raising(kind(CANARY))))

    assert record.type == "KeyError (a subclass)"
    assert CANARY not in record.model_dump_json()


# Causes


def test_causes_follow_each_other_and_hold_no_values() -> None:
    inner = caught(raising(KeyError(CANARY)))
    middle = caught(raising(ValueError(CANARY), inner))

    record = describe(caught(raising(PermanentError(CANARY), middle)))

    assert [record.type, record.cause and record.cause.type] == ["lorchestra.errors.PermanentError", "ValueError"]
    assert record.cause is not None
    assert record.cause.cause is not None
    assert record.cause.cause.type == "KeyError"
    assert CANARY not in record.model_dump_json()


def test_an_error_while_another_was_handled_has_that_as_its_cause_unless_it_was_set_aside() -> None:
    def handling(*, aside: bool) -> None:
        try:
            raise KeyError(CANARY)
        except KeyError:
            if aside:
                raise ValueError(CANARY) from None
            raise ValueError(CANARY)  # noqa: B904  (the point of the test)

    shown, hidden = describe(caught(lambda: handling(aside=False))), describe(caught(lambda: handling(aside=True)))

    assert shown.cause is not None
    assert shown.cause.type == "KeyError"
    assert hidden.cause is None


def test_causes_that_go_in_a_circle_end() -> None:
    one, other = ValueError(CANARY), KeyError(CANARY)
    one.__cause__, other.__cause__ = other, one

    record = describe(one)

    assert record.cause is not None
    assert record.cause.cause is None


def test_endless_causes_are_bounded() -> None:
    error = ValueError()
    for _ in range(1000):
        outer = ValueError()
        outer.__cause__ = error
        error = outer

    depth, record = 0, describe(error).cause
    while record is not None:
        depth, record = depth + 1, record.cause

    assert depth == error_record.MAX_CAUSES


def test_a_group_is_caused_by_its_first_member() -> None:
    group = ExceptionGroup(CANARY, [ValueError(CANARY), KeyError(CANARY)])

    record = describe(caught(raising(group)))

    assert record.type == "ExceptionGroup"
    assert record.cause is not None
    assert record.cause.type == "ValueError"
    assert CANARY not in record.model_dump_json()


# What errors may do


def test_an_error_whose_message_cannot_be_made_has_no_fingerprint() -> None:
    record = describe(caught(raising(Hostile())))

    assert record.type == f"{__name__}.Hostile"
    assert (record.message, record.fingerprint) == (None, None)
    assert record.raised_at is not None
    assert CANARY not in record.model_dump_json()


def test_half_characters_can_be_recorded() -> None:
    own = describe(DefinitionError())
    assert own.message == ""

    record = describe(StepFailed(step="\ud800", tries=1, cause="x"))
    assert record.message == "step '\\ud800' failed after 1 try: x"
    record.model_dump_json().encode()

    assert describe(ValueError("\ud800")).fingerprint is not None


@given(st.text(), st.text(), st.text())
def test_no_name_or_message_breaks_the_record_or_gets_into_it(name: str, module: str, message: str) -> None:
    try:
        kind = type(f"{CANARY}{name}", (PermanentError,), {"__module__": f"{CANARY}{module}"})
    except ValueError:
        return  # python makes no such type
    error = caught(raising(kind(f"{CANARY}{message}")))

    record = describe(error)

    assert CANARY not in record.model_dump_json() + "\n".join(error_record.render(record))
    assert CANARY in error_record.describe_plain(error)


# For the console


def test_a_record_is_rendered_with_type_place_fingerprint_and_causes() -> None:
    cause = ErrorRecord(type="KeyError", fingerprint="hmac:12", raised_at="fetch.py:3:fetch")
    record = ErrorRecord(type="StepFailed", message="first\nsecond", cause=cause)

    assert error_record.render(record) == [
        "StepFailed: first",
        "  second",
        "caused by KeyError (message hmac:12)",
        "  at fetch.py:3:fetch",
    ]
    assert error_record.render(ErrorRecord(type="ValueError")) == ["ValueError"]


@pytest.mark.parametrize(
    ("record", "phrase"),
    [
        (ErrorRecord(type="X", message="what to do"), "what to do"),
        (ErrorRecord(type="KeyError", fingerprint="hmac:1", raised_at="a.py:1:f"), "KeyError at a.py:1:f"),
        (ErrorRecord(type="KeyError"), "KeyError"),
    ],
)
def test_a_record_has_a_summary(record: ErrorRecord, phrase: str) -> None:
    assert error_record.summary(record) == phrase


def test_messages_and_notes_are_shown_when_asked_and_cannot_drive_the_terminal() -> None:
    error = caught(raising(ValueError(f"{CANARY}\x1b[2J\ud800"), KeyError(CANARY)))
    error.add_note("see here")

    assert error_record.describe_plain(error).splitlines() == [
        f"ValueError: {CANARY}\ufffd[2J\\ud800",
        "see here",
        f"caused by KeyError: '{CANARY}'",
    ]
    assert error_record.describe_plain(Hostile()) == f"{__name__}.Hostile: (its message cannot be shown)"
