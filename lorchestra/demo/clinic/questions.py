"""The forms of the clinic: which questions each has, and what may be answered to them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_OFTEN = ("Not at all", "Several days", "More than half the days", "Nearly every day")
_DIFFICULT = ("Not difficult at all", "Somewhat difficult", "Very difficult", "Extremely difficult")
_STRESS = ("Never", "Almost never", "Sometimes", "Fairly often", "Very often")
_MINDFUL = ("Never", "Rarely", "Sometimes", "Often", "Very often")
_LIKE_ME = ("Not at all like me", "A little bit like me", "Moderately like me", "Quite a bit like me",
            "Extremely like me")  # fmt: skip
_YES_NO = ("No", "Yes")
_ACCURATE = ("Very inaccurate", "Moderately inaccurate", "Neither accurate nor inaccurate", "Moderately accurate",
             "Very accurate")  # fmt: skip

_MEASURES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "phq9": (_OFTEN,) * 9 + (_DIFFICULT,),
    "gad7": (_OFTEN,) * 7 + (_DIFFICULT,),
    "pss_10": (_STRESS,) * 10,
    "fscrs": (_LIKE_ME,) * 22,
    "phlms_10": (_MINDFUL,) * 10,
    "msi": (_YES_NO,) * 10,
    "pc_ptsd_5": (_YES_NO,) * 6,
    "ipip_neo_120": (_ACCURATE,) * 120,
}

_FORMS: Mapping[str, tuple[str, ...]] = {
    "intake_01": ("phq9", "gad7", "pss_10"),
    "intake_02": ("fscrs", "phlms_10", "msi", "pc_ptsd_5"),
    "followup": ("phq9", "gad7"),
    "ipip120": ("ipip_neo_120",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    id: str
    measure: str
    number: int
    answers: tuple[str, ...]
    """From the least to the most."""


FORMS = tuple(_FORMS)


def questions_of(form: str) -> Sequence[Question]:
    return [
        Question(id=_question_id(form, measure, number), measure=measure, number=number, answers=answers)
        for measure in _FORMS[form]
        for number, answers in enumerate(_MEASURES[measure], start=1)
    ]


def _question_id(form: str, measure: str, number: int) -> str:
    """As Google makes them, eight hexadecimal digits; the bindings of the forms name the same."""
    return hashlib.sha256(f"{form}:{measure}:{number}".encode()).hexdigest()[:8]
