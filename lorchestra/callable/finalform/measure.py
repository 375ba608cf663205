"""A measure: the items of a questionnaire, the answers each may have, and how they become scores and flags."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, PlainSerializer, StringConstraints

from lorchestra.schemas.value import Value

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
ItemId: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$", max_length=32)]
Revision: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*-[0-9]+-[0-9]+$", max_length=20)]
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1)]


class Citation(Value):
    citation: Text = Field(description="Where the facts are published.")
    doi: str | None = Field(default=None, description="Its digital object identifier.")
    about: Text = Field(description="Which facts of this file are taken from it.")


class Answer(Value):
    """One of the answers that an item may have. It is given as its number, or as one of its texts."""

    value: int = Field(description="What it counts.")
    texts: tuple[Text, ...] = Field(
        min_length=1, description="Every text that means it, whatever its case; the first is its label."
    )
    loinc: str | None = Field(default=None, description="The LOINC code of the answer.")


class Item(Value):
    id: ItemId = Field(description="Its number, or name, within the measure.")
    text: Text | None = Field(default=None, description="Its wording, where it is free to reproduce.")
    answers: Name = Field(description="Which of the sets under `answers` it is answered from.")
    optional: bool = Field(default=False, description="Whether a form may be without it.")
    loinc: str | None = Field(default=None, description="The LOINC code of the item.")


class Band(Value):
    """The scores from `min` to `max`, both among them, and what they are called."""

    min: int = Field(description="The lowest score in it.")
    max: int = Field(description="The highest score in it.")
    label: Text = Field(description="What it is called.")
    code: Name = Field(description="The severity code, for programs.")


class Gate(Value):
    """An item that decides whether the items of a scale are asked at all."""

    item: ItemId = Field(description="The item that is asked first.")
    at_least: int = Field(description="The lowest value of it with which the others are asked.")
    otherwise: int | None = Field(default=None, description="The score without them; null: there is none.")


class Scale(Value):
    """The sum of its items; where some are missing and that is allowed, in proportion."""

    id: Name = Field(description="The scale_id of its observations.")
    title: Text = Field(description="What it is called.")
    items: tuple[ItemId, ...] = Field(min_length=1, description="The items that are summed.")
    reversed: tuple[ItemId, ...] = Field(
        default=(), description="Those among them that score their lowest plus their highest value minus the answer."
    )
    missing_at_most: int = Field(
        default=0, ge=0, description="How many items may be missing; the score is then sum x items / answered."
    )
    multiplier: int = Field(default=1, ge=1, description="What the sum is multiplied with.")
    gate: Gate | None = Field(default=None, description="An item that decides whether the others are asked.")
    bands: tuple[Band, ...] = Field(
        default=(), description="In ascending order, every score that can be reached in one of them; or none."
    )
    loinc: str | None = Field(default=None, description="The LOINC code of the score.")


class Flag(Value):
    """Something that must be seen whatever the scores say: any of its items is answered with `at_least` or more."""

    id: Name = Field(description="The scale_id of its observations.")
    title: Text = Field(description="What it is called.")
    items: tuple[ItemId, ...] = Field(min_length=1, description="The items that can raise it.")
    at_least: int = Field(description="The lowest answer that raises it.")
    label: Text = Field(description="What is said where it is raised.")
    code: Name = Field(description="The severity code where it is raised.")


# A read-only mapping, as everything that a value holds.
AnswerSets: TypeAlias = Annotated[
    Mapping[Name, Annotated[tuple[Answer, ...], Field(min_length=2)]],
    AfterValidator(MappingProxyType),
    PlainSerializer(dict),
]


class Measure(Value):
    editor_schema: str | None = Field(default=None, alias="$schema", description="For editors.")
    measure_id: Name = Field(description="The name of the file's folder.")
    version: Revision = Field(description="`<model>-<revision>-<addition>`, the name of the file.")
    title: Text = Field(description="What it is called.")
    loinc: str | None = Field(default=None, description="The LOINC code of the panel.")
    sources: tuple[Citation, ...] = Field(min_length=1, description="Where its facts are published.")
    notes: tuple[Text, ...] = Field(default=(), description="What a reader of the scores has to know.")
    answers: AnswerSets = Field(description="Sets of answers by name.")
    items: tuple[Item, ...] = Field(min_length=1, description="In the order of the form.")
    scales: tuple[Scale, ...] = Field(default=(), description="How items become scores.")
    flags: tuple[Flag, ...] = Field(default=(), description="What is pointed out, scored or not.")

    @property
    def name(self) -> str:
        """The measure and its version, as definitions and bindings name it."""
        return f"{self.measure_id}@{self.version}"

    def item_scale_id(self, item: Item) -> str:
        """The scale_id of an item's own observations."""
        return f"{self.measure_id}_item_{item.id}"
