"""A binding: which questions of a form are the items of which measures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, PlainSerializer

from lorchestra.callable.finalform.measure import ItemId, Name, Revision, Text
from lorchestra.callable.finalform.params import MeasureName
from lorchestra.schemas.value import Value

QuestionId: TypeAlias = Text
Questions: TypeAlias = Annotated[Mapping[ItemId, QuestionId], AfterValidator(MappingProxyType), PlainSerializer(dict)]


class BoundMeasure(Value):
    measure: MeasureName = Field(description="`<measure_id>@<version>`.")
    items: Questions = Field(description="For each item of the measure, the id of the form's question.")


class Binding(Value):
    editor_schema: str | None = Field(default=None, alias="$schema", description="For editors.")
    binding_id: Name = Field(description="The name of the file's folder.")
    version: Revision = Field(description="`<model>-<revision>-<addition>`, the name of the file.")
    title: Text = Field(description="What it is called.")
    form_id: Text = Field(description="What the form is called in measurement events.")
    subject_question: QuestionId | None = Field(
        default=None,
        description="The question that asks who it is about (an e-mail address); without it, the respondent.",
    )
    measures: tuple[BoundMeasure, ...] = Field(min_length=1, description="The measures that the form holds.")

    @property
    def name(self) -> str:
        """The binding and its version, as definitions name it."""
        return f"{self.binding_id}@{self.version}"
