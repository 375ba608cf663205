"""`file_renderer`: a page for each record, by a template of the project, as items for `file.write`.

Params: `source`, a read of the records; `template` (`templates/<template>.md`); `root` and `folder`, where the pages
lie; `file`, a pattern of their names such as `{email}.md`; `front_matter`, a list of fields, or of a name and the field
it means; `removed`, what becomes of pages without a record (`delete` or `keep`); `list`, by what name the pages are
noted (that of the template).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, StringConstraints

from lorchestra.callable import step_params
from lorchestra.callable.context import CallableContext
from lorchestra.callable.file_renderer.file_names import PathPattern, folded
from lorchestra.callable.file_renderer.front_matter import front_matter
from lorchestra.callable.file_renderer.template import PageTemplate
from lorchestra.callable.file_renderer.unfit import Unfit
from lorchestra.items import Item, Record, Rejected
from lorchestra.json_value import FrozenObject, JSONObject, sha256
from lorchestra.schemas.value import Value

BATCH_FILES = 200
BATCH_CHARACTERS = 1 << 20

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


def _pattern(text: str) -> str:
    PathPattern(text)
    return text


class _Params(Value):
    source: FrozenObject | None = None
    template: _Name
    root: str = "files"
    folder: str
    file: Annotated[str, AfterValidator(_pattern)]
    front_matter: tuple[str | dict[str, str], ...] = ()
    removed: Literal["delete", "keep"] = "delete"
    list: _Name | None = None

    @property
    def template_file(self) -> str:
        return f"templates/{self.template}.md"

    @property
    def place(self) -> dict[str, str]:
        return {"root": self.root, "folder": self.folder, "list": self.list or self.template}

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields of the front matter, by the names they have there. A list, since keys of a definition have no
        order.
        """
        named = ({one: one} if isinstance(one, str) else one for one in self.front_matter)
        return {name: field for one in named for name, field in one.items()}


def resources(params: Mapping[str, Any]) -> Mapping[str, str]:
    return {"template": step_params.parse(_Params, params).template_file}


def reads(params: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return step_params.parse(_Params, params).source


def execute(params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
    given = step_params.parse(_Params, params)
    if context.stage is not None:
        expected = "expected a read of all records: a page that is gone or was changed by hand is made again"
        raise step_params.refusal("read", "'unprocessed'", expected)
    # Here and not with the first record: a broken template is found before anything is written.
    template = PageTemplate(context.resources["template"].content, given.template_file)
    return {"items": _Renderer(given, template, context).items()}


class _Renderer:
    def __init__(self, params: _Params, template: PageTemplate, context: CallableContext) -> None:
        self._params = params
        self._pattern = PathPattern(params.file)
        self._template = template
        self._context = context
        self._batch: list[dict[str, str]] = []
        self._characters = 0
        self._paths: dict[str, str] = {}
        # Whether it is known of every record where its page lies.
        self._knows_all = True
        self._pages = 0
        self._rejected = 0
        self._is_empty = True

    def items(self) -> Iterator[Item]:
        for item in self._context.items:
            self._is_empty = False
            if not isinstance(item, Record):
                # What an earlier step set aside may have a page that has to stay.
                self._knows_all = self._knows_all and not isinstance(item, Rejected)
                yield from self._written()
                yield item
                continue
            rejected = self._take(item)
            if rejected is not None:
                self._rejected += 1
                yield rejected
            elif len(self._batch) >= BATCH_FILES or self._characters >= BATCH_CHARACTERS:
                yield from self._written()
        yield from self._written()
        if self._params.removed == "delete" and self._knows_all:
            yield from self._pruned()
        self._context.log.info("pages.rendered", pages=self._pages, rejected=self._rejected)

    def _take(self, record: Record) -> Rejected | None:
        """Put the record's page into the batch, or say why there is none."""
        path: str | None = None
        try:
            path = self._pattern.path_of(record.data)
            if folded(path) in self._paths:
                raise Unfit("path_taken")
            self._paths[folded(path)] = path
            content = front_matter(self._params.fields, record.data) + self._template.render(record.data)
        except Unfit as unfit:
            self._knows_all = self._knows_all and path is not None
            return self._refused(record, path, unfit)
        self._batch.append({"path": path, "content": content})
        self._pages += 1
        self._characters += len(content)
        return None

    def _refused(self, record: Record, path: str | None, unfit: Unfit) -> Rejected:
        file = self._params.template_file
        return Rejected(
            idem_key=record.idem_key or self._opaque(record.data if path is None else {"path": path}),
            schema=file if unfit.line is None else f"{file}:{unfit.line}",
            pointer=unfit.pointer,
            rule=unfit.rule,
        )

    def _opaque(self, what: JSONObject) -> str:
        """A key for a record of a view, which has none of its own: it is recorded, so it says nothing of the record."""
        return f"file_renderer:{self._params.template}:{sha256(what)[:16]}"

    def _pruned(self) -> Iterator[Record]:
        data: dict[str, Any] = {**self._params.place, "keep": sorted(self._paths.values())}
        if self._is_empty:
            # A view that is not there gives no records, either. What is not known to be there empties no folder.
            if self._params.source is None:
                return
            data["source"] = self._params.source
        yield Record(data, method="file.prune")

    def _written(self) -> Iterator[Record]:
        if self._batch:
            yield Record({**self._params.place, "files": self._batch})
            self._batch, self._characters = [], 0
