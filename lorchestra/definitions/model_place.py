"""What a model expects at a place: pydantic's error locations, followed through the annotations."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lorchestra.errors import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`path` leads to the value in the file: the location without the union members pydantic tried."""

    path: Path
    annotation: Any
    metadata: tuple[Any, ...] = ()

    @property
    def model(self) -> type[BaseModel] | None:
        model: type[BaseModel] | None = _as_class(self.annotation, BaseModel)
        return model

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of the enumeration expected here."""
        enum = _as_class(self.annotation, Enum)
        return tuple(str(member.value) for member in enum) if enum else ()

    @property
    def pattern(self) -> str | None:
        """The pattern that text must match here."""
        return next((str(one.pattern) for one in self.metadata if getattr(one, "pattern", None)), None)


def find(model: type[BaseModel], location: Sequence[str | int]) -> Place:
    place = _bare(Place(path=(), annotation=model))
    for part in location:
        place = _bare(_step(place, part))
    return place


def key_of(name: str, info: FieldInfo) -> str:
    """The key of a field as the file spells it."""
    return info.alias or name


def is_late(annotation: Any) -> bool:
    """Whether what is expected is known only to the first thing the annotation carries (`late_annotation()`): models
    that are made when they are needed.
    """
    return get_origin(annotation) is Annotated and hasattr(annotation.__metadata__[0], "late_annotation")


def _step(place: Place, part: str | int) -> Place:
    annotation, inner = place.annotation, (*place.path, part)
    if _is_union(annotation):
        members = [each for each in get_args(annotation) if _is_tagged(_bare_type(each), part)]
        return Place(path=place.path, annotation=members[0] if members else Any)
    if place.model is not None:
        for name, info in place.model.model_fields.items():
            if part in (key_of(name, info), name):
                return Place(path=inner, annotation=info.annotation, metadata=tuple(info.metadata))
        return Place(path=inner, annotation=Any)
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is tuple and arguments[1:] != (...,) and isinstance(part, int) and part < len(arguments):
        return Place(path=inner, annotation=arguments[part])
    if isinstance(origin, type) and issubclass(origin, (Sequence, Mapping, set, frozenset)) and arguments:
        return Place(path=inner, annotation=arguments[1 if issubclass(origin, Mapping) else 0])
    return Place(path=inner, annotation=Any)


def _bare(place: Place) -> Place:
    """The place without `Annotated` and `| None` around what it holds."""
    annotation, metadata = place.annotation, place.metadata
    while True:
        if is_late(annotation):
            annotation = annotation.__metadata__[0].late_annotation()
        elif get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            metadata = (*more, *metadata)
        elif _is_union(annotation) and len(members := _members(annotation)) == 1:
            annotation = members[0]
        elif _is_union(annotation) and len(members) < len(get_args(annotation)):
            annotation = Union[members]  # noqa: UP007  # the members are known only now
        else:
            return Place(path=place.path, annotation=annotation, metadata=metadata)


def _bare_type(annotation: Any) -> Any:
    return _bare(Place(path=(), annotation=annotation)).annotation


def _is_tagged(member: Any, tag: str | int) -> bool:
    """Whether pydantic means this member of a union: by its name, or by what its discriminator may be."""
    if getattr(member, "__name__", None) == tag:
        return True
    model = _as_class(member, BaseModel)
    return bool(model) and any(tag in get_args(info.annotation) for info in model.model_fields.values())


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _members(union: Any) -> tuple[Any, ...]:
    return tuple(each for each in get_args(union) if each is not type(None))


def _as_class(annotation: Any, base: type[Any]) -> Any:
    return annotation if isinstance(annotation, type) and issubclass(annotation, base) else None
