"""The mistakes pydantic finds, in words an author can act on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel

from lorchestra import errors
from lorchestra.definitions import model_place
from lorchestra.definitions.model_place import Place
from lorchestra.definitions.yaml_scalar import quoted
from lorchestra.schemas import Op, StepDef

PATTERNS: Mapping[str, str] = {
    r"^[a-z][a-z0-9_]*$": "small letters, digits and '_', beginning with a letter",
    r"^(pipeline\.)?[a-z][a-z0-9_]*$": "the name of a job, or that of a pipeline after 'pipeline.'",
    r"^pipeline\.[a-z][a-z0-9_]*$": "the name of a pipeline after 'pipeline.'",
    r"^[a-z][a-z0-9_-]*$": "small letters, digits, '_' and '-', beginning with a letter",
    r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$": "'<major>.<minor>' in quotes, such as '2.0'",
    r"^[a-z0-9]{1,20}$": "1 to 20 small letters and digits",
    r"^[1-9][0-9]*-[0-9]+-[0-9]+$": "'<model>-<revision>-<addition>', such as 1-0-0",
    r"^[A-Za-z][A-Za-z0-9_-]*@[1-9][0-9]*-[0-9]+-[0-9]+$": "'<id>@<version>', such as phq9@1-0-0",
}
"""The patterns of our models in words."""

# fmt: off
_CODE = frozenset({
    "bash", "cmd", "code", "command", "eval", "exec", "expression", "function", "import", "inline", "javascript", "js",
    "lambda", "module", "py", "python", "script", "sh", "shell", "source",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Found:
    """A value of a file, and, for an unquoted scalar, its text as the author wrote it."""

    value: Any
    written: str | None = None

    def words(self, *, show_values: bool) -> str:
        match self.value:
            case None:
                return "found null" if self.written else "found nothing"
            case bool():
                return f"found {str(self.value).lower()}" if show_values else "found true or false"
            case int() | float():
                return f"found the number {self.text}" if show_values else "found a number"
            case str():
                return f"found the text {quoted(self.value)}" if show_values else "found text"
            case Mapping():
                return "found a mapping"
            case _:
                return "found a list" if self.value else "found an empty list"

    @property
    def text(self) -> str:
        """The scalar as text."""
        return self.written if self.written is not None else str(self.value)

    @property
    def is_scalar(self) -> bool:
        return self.value is not None and not isinstance(self.value, (Mapping, list, tuple))


_Words: TypeAlias = tuple[str, str | None]
"""What is expected, and a hint."""


def unknown_key(key: str, model: type[BaseModel] | None) -> tuple[str, str, str | None]:
    known = [model_place.key_of(name, info) for name, info in model.model_fields.items()] if model else []
    if key.lower() in _CODE:
        hint: str | None = "definitions hold no code: name a callable, with `op: call` and `params: {callable: <name>}`"
    else:
        hint = errors.did_you_mean(key, known)
        if hint is None and model is StepDef:
            hint = "what the op itself is told belongs under `params`"
    return (
        f"unknown key {quoted(key)}",
        f"expected one of {', '.join(known)}" if known else "expected no such key",
        hint,
    )


def missing_key(key: str, place: Place) -> tuple[str, str, str | None]:
    return f"the key '{key}' is missing", f"expected `{key}:` with {_what(place)}", None


def explain(kind: str, context: Mapping[str, Any], message: str, found: Found, place: Place) -> _Words:
    """What is expected where pydantic found an error of this kind, and a hint."""
    if kind in _TABLE:
        return _TABLE[kind](context, found, place)
    # The rest of pydantic's kinds, rare in our models, say well enough what they want.
    return "expected " + message.removeprefix("Input should be ").removeprefix("Value should be "), None


def _what(place: Place) -> str:
    """What a place holds, in words."""
    if place.choices:
        return "one of " + ", ".join(quoted(choice) for choice in place.choices)
    if place.pattern is not None:
        return PATTERNS.get(place.pattern, f"text that matches {place.pattern}")
    if place.model is not None:
        return "a mapping"
    name = getattr(place.annotation, "__name__", "")
    words = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}
    return words.get(name) or {"tuple": "a list", "list": "a list"}.get(name, "a mapping" if name else "a value")


def _choice(_context: Mapping[str, Any], found: Found, place: Place) -> _Words:
    text = found.value if isinstance(found.value, str) else found.text
    hint = errors.did_you_mean(text, place.choices)
    if place.annotation is Op and text.startswith("call."):
        hint = f"use `op: call` with `params: {{callable: {text.removeprefix('call.')}}}`"
    return f"expected {_what(place)}", hint


def _literal(context: Mapping[str, Any], found: Found, _place: Place) -> _Words:
    known = re.findall(r"'([^']*)'", context["expected"])
    return f"expected {context['expected']}", errors.did_you_mean(found.text, known)


def _pattern(context: Mapping[str, Any], found: Found, _place: Place) -> _Words:
    pattern = context["pattern"]
    near = _nearest(pattern, found.text)
    words = PATTERNS.get(pattern, f"text that matches {pattern}")
    return f"expected {words}", f"did you mean '{near}'?" if near else None


def _text(_context: Mapping[str, Any], found: Found, place: Place) -> _Words:
    if not found.is_scalar:
        return f"expected {_what(place)}", None
    near = _nearest(place.pattern or "^.*$", found.text)
    return "expected a quoted string", f"did you mean '{near}'?" if near else None


def _number(what: str) -> _Explain:
    def words(_context: Mapping[str, Any], found: Found, _place: Place) -> _Words:
        is_quoted = isinstance(found.value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", found.value)
        return f"expected {what}", "write it without quotes" if is_quoted else None

    return words


def _boolean(_context: Mapping[str, Any], found: Found, _place: Place) -> _Words:
    meant = _MEANT.get(found.text.lower())
    return "expected true or false", f"did you mean {meant}?" if meant else None


def _always(template: str) -> _Explain:
    return lambda context, _found, _place: (template.format(**context), None)


def _nearest(pattern: str, text: str) -> str | None:
    """The text, or what its author may have meant by it, if that matches the pattern."""
    slug = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()).strip("_")
    number = re.fullmatch(r"v?([0-9]+)(\.[0-9]+)?", text)
    version = f"{number[1]}{number[2] or '.0'}" if number else ""
    return next((one for one in (text, version, slug) if re.fullmatch(pattern, one) and len(one) <= 60), None)


_Explain: TypeAlias = Callable[[Mapping[str, Any], Found, Place], _Words]
_MEANT = {
    "yes": "true",
    "on": "true",
    "y": "true",
    "1": "true",
    "no": "false",
    "off": "false",
    "n": "false",
    "0": "false",
}
_MAPPING = _always("expected a mapping")
_LIST = _always("expected a list")

_TABLE: dict[str, _Explain] = {
    "enum": _choice,
    "literal_error": _literal,
    "string_pattern_mismatch": _pattern,
    "string_type": _text,
    "int_type": _number("a whole number"),
    "int_from_float": _number("a whole number"),
    "float_type": _number("a number"),
    "bool_type": _boolean,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "too_short": _always("expected {min_length} or more in it"),
    "too_long": _always("expected {max_length} at most in it"),
    "string_too_short": _always("expected at least {min_length} characters"),
    "string_too_long": _always("expected at most {max_length} characters"),
    "greater_than": _always("expected a number above {gt:g}"),
    "greater_than_equal": _always("expected at least {ge:g}"),
    "less_than": _always("expected a number below {lt:g}"),
    "less_than_equal": _always("expected at most {le:g}"),
    "union_tag_invalid": _always("expected {discriminator} in it to be one of {expected_tags}"),
    "union_tag_not_found": _always("expected {discriminator} in it"),
    "finite_number": _always("expected a finite number"),
}
