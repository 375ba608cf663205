"""Values made without checks are the same as those made with them."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from lorchestra.json_value import freeze
from lorchestra.schemas import StepOutcome, StepStatus

FIELDS = {
    "step_id": "a",
    "status": StepStatus.COMPLETED,
    "started_at": datetime(2026, 1, 1, tzinfo=UTC),
    "completed_at": None,
    "manifest_ref": None,
    "output_ref": None,
    "error": None,
    "errors": (),
    "tries": 1,
    "counts": freeze({"record": 2}),
    "digest": "d",
    "detail": freeze({}),
}


def test_a_trusted_value_equals_a_checked_one_and_is_as_frozen() -> None:
    made, checked = StepOutcome.trusted(dict(FIELDS)), StepOutcome.model_validate(FIELDS)
    assert made == checked
    assert made.model_dump_json() == checked.model_dump_json()
    assert StepOutcome.model_validate_json(made.model_dump_json()) == checked
    assert set(FIELDS) == set(StepOutcome.model_fields)
    assert made.model_copy(update={"tries": 2}).tries == 2
    with pytest.raises(ValidationError):
        made.tries = 2
