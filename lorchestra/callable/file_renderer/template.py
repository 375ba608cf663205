"""Templates of pages: Jinja in a sandbox, where a record is data and every expression is escaped for Markdown.

Jinja's own escaping is off: it is for HTML, and text that it has escaped once it lets pass. Here each value is escaped
where it is put into the page, and there is no way around that: no filter says that a value is safe, and there are no
statements whose output would be a value again (macros, blocks, includes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lorchestra.callable.file_renderer.markdown import escaped
from lorchestra.callable.file_renderer.unfit import Unfit
from lorchestra.errors import DefinitionError, Location, Problem

_STATEMENTS = (nodes.Output, nodes.For, nodes.If, nodes.Assign, nodes.With)
# Those that give the same for the same record, and text and not HTML.
_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "first", "float", "int", "items", "join", "last", "length", "list",
    "lower", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr", "sort", "sum",
    "title", "trim", "truncate", "unique", "upper", "wordcount",
)  # fmt: skip
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?=$|[T ])", re.ASCII)
# What a template may make of a record it was not written for.
_MISFITS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


class PageTemplate:
    """Raises DefinitionError, with the line, for a text that is no template."""

    def __init__(self, content: bytes, file: str) -> None:
        self._file = file
        environment = _environment()
        try:
            source = content.decode()
        except UnicodeDecodeError:
            raise self._broken(1, "a file that is not UTF-8") from None
        try:
            tree = environment.parse(source, file, file)
            self._check(tree)
            self._names = frozenset(meta.find_undeclared_variables(tree))
            code = environment.compile(source, file, file)
        except TemplateSyntaxError as error:
            raise self._broken(error.lineno, (error.message or "no template").rstrip(".")) from None
        self._template = Template.from_code(environment, code, {}, None)

    def render(self, record: Mapping[str, Any]) -> str:
        """Raises Unfit for a record that lacks what the template asks for."""
        try:
            text = self._template.render({**record, "record": record})
        except _MISFITS as error:
            unfit = self._unfit(error, record)
        else:
            return text.strip("\n") + "\n"
        # Outside the `except`: what the error says may quote a value.
        raise unfit

    def _unfit(self, error: BaseException, record: Mapping[str, Any]) -> Unfit:
        line, trace = None, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self._file:
                line = trace.tb_lineno
            trace = trace.tb_next
        if not isinstance(error, UndefinedError):
            return Unfit("template", line=line)
        missing = self._names.difference(record, ("record",))
        # A name that stands in the template, when it can be told which.
        return Unfit("undefined", min(missing) if len(missing) == 1 else None, line)

    def _check(self, tree: nodes.Template) -> None:
        for node in tree.find_all(nodes.Stmt):
            if not isinstance(node, _STATEMENTS):
                kind = type(node).__name__
                # Some of Jinja's own have no line, but what is in them has.
                line = next((one.lineno for one in (node, *node.find_all(nodes.Node)) if one.lineno), 1)
                raise self._broken(line, f"a statement of another kind ({kind})", "if, for, set and with")

    def _broken(self, line: int, found: str, expected: str = "a template of Jinja") -> DefinitionError:
        return DefinitionError(
            Problem(found=found, expected=f"expected {expected}", location=Location(self._file, line, 1))
        )


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # Nothing by which two renderings of a record could differ.
    environment.globals.clear()
    environment.filters = {**{name: environment.filters[name] for name in _FILTERS}, "date": _date}
    return environment


def _shown(value: Any) -> str:
    """A value as the page shows it. Nothing is shown of null."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case str():
            return escaped(value)
        case StrictUndefined():
            return str(value)
        case _:
            raise TypeError("a list or an object where text is expected")


def _date(value: Any) -> str | None:
    """The day of a time."""
    if value is None:
        return None
    found = _DATE.match(value)
    if found is None:
        raise ValueError("no time")
    return found[0]
