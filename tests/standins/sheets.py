"""Google Sheets on loopback: a spreadsheet kept as a grid, and an interface held to its discovery document.

A request that the document does not allow is a failure of the test that sent it, and so is an answer of our own.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import googleapiclient  # type: ignore[import-untyped]  # it has no stubs, and its folder is all that is asked for

TOKEN = "the token of the stand-in"
SPREADSHEET = "spreadsheet-1"

_METHODS = (
    ("spreadsheets", "get"),
    ("spreadsheets", "batchUpdate"),
    ("spreadsheets.values", "batchUpdate"),
    ("spreadsheets.values", "batchClear"),
)
_RANGE = re.compile(r"'((?:[^']|'')+)'!([A-Z]+)([0-9]+):([A-Z]+)([0-9]+)")
_SCALARS: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "number": (int, float),
}


@cache
def discovery() -> Any:
    folder = Path(next(iter(googleapiclient.__path__)))
    return json.loads((folder / "discovery_cache/documents/sheets.v4.json").read_bytes())


def method(resource: str, name: str) -> Any:
    found = discovery()
    for part in resource.split("."):
        found = found["resources"][part]
    return found["methods"][name]


def check(value: Any, schema: Mapping[str, Any], place: str = "$") -> None:
    """Raises AssertionError with the place where the value is not what the document says."""
    if "$ref" in schema:
        check(value, discovery()["schemas"][schema["$ref"]], f"{place}<{schema['$ref']}>")
        return
    kind = schema["type"]
    if kind == "object":
        assert isinstance(value, dict), place
        for name, one in value.items():
            assert name in schema["properties"], f"{place}.{name}"
            check(one, schema["properties"][name], f"{place}.{name}")
    elif kind == "array":
        assert isinstance(value, list), place
        if schema["items"].get("type") == "any":
            return
        for index, one in enumerate(value):
            check(one, schema["items"], f"{place}[{index}]")
    elif kind != "any":
        assert isinstance(value, _SCALARS[kind]), place
        assert isinstance(value, bool) == (kind == "boolean"), place
        assert value in schema.get("enum", (value,)), place


@dataclass(slots=True, kw_only=True)
class Sheet:
    sheet_id: int
    title: str
    rows: int = 1000
    columns: int = 26
    sheet_type: str = "GRID"
    is_hidden: bool = False
    cells: dict[tuple[int, int], Any] = field(default_factory=dict)

    @property
    def table(self) -> list[list[Any]]:
        """The rows as far down and as wide as anything stands in them."""
        height = max((row for row, _ in self.cells), default=0)
        width = max((column for _, column in self.cells), default=0)
        return [[self.cells.get((row, column)) for column in range(1, width + 1)] for row in range(1, height + 1)]

    def fill(self, rows: int, columns: int, value: Any = "old") -> None:
        self.cells.update({(r, c): value for r in range(1, rows + 1) for c in range(1, columns + 1)})

    def properties(self) -> dict[str, Any]:
        known: dict[str, Any] = {"title": self.title, "sheetType": self.sheet_type}
        if self.sheet_id:
            known["sheetId"] = self.sheet_id
        if self.is_hidden:
            known["hidden"] = True
        if self.sheet_type == "GRID":
            known["gridProperties"] = {"rowCount": self.rows, "columnCount": self.columns}
        return known


class BadRequest(Exception):
    """What the real service answers with status 400."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    method: str
    body: Any
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Instead of an answer: a status, or (None) a connection that is cut, once the request was carried out or not."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    acts: bool = False


Hook: TypeAlias = Callable[["StandInSheets"], None]


class StandInSheets:
    """Faults are met by the requests in order; None lets one pass. `problems` has to be empty in the end."""

    def __init__(self, *faults: Fault | None) -> None:
        self.sheets: list[Sheet] = [Sheet(sheet_id=0, title="Sheet1")]
        self.asked: list[Asked] = []
        self.problems: list[str] = []
        self.faults = deque(faults)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler_class())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def sheet(self, title: str) -> Sheet:
        return next(sheet for sheet in self.sheets if sheet.title == title)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        assert not self.problems

    def answer(self, verb: str, target: str, body: bytes) -> Any:
        path, query = (
            urlsplit(target).path,
            parse_qs(urlsplit(target).query, strict_parsing=bool(urlsplit(target).query)),
        )
        resource, name = next(
            (one for one in _METHODS if _matches(method(*one), verb, path)), ("spreadsheets", "no such method")
        )
        known = method(resource, name)
        assert set(query) <= {*known["parameters"], *discovery()["parameters"]}, query
        sent = json.loads(body) if body else None
        assert (sent is not None) == ("request" in known), name
        self.asked.append(Asked(method=f"{resource}.{name}", body=sent, size=len(body)))
        if sent is not None:
            check(sent, known["request"])
        act = {
            "spreadsheets.get": self._get,
            "spreadsheets.batchUpdate": self._update,
            "spreadsheets.values.batchUpdate": self._update_values,
            "spreadsheets.values.batchClear": self._clear_values,
        }[f"{resource}.{name}"]
        answer = act(sent)
        check(answer, known["response"])
        return answer

    def _get(self, _: Any) -> Any:
        return {"sheets": [{"properties": sheet.properties()} for sheet in self.sheets]}

    def _update(self, body: Any) -> Any:
        replies: list[Any] = []
        for request in body["requests"]:
            ((kind, params),) = request.items()
            if kind == "addSheet":
                replies.append({"addSheet": {"properties": self._add(params["properties"]).properties()}})
            elif kind == "updateSheetProperties":
                self._resize(params)
                replies.append({})
            elif kind == "deleteSheet":
                self._delete(params["sheetId"])
                replies.append({})
            else:
                raise AssertionError(kind)
        return {"spreadsheetId": SPREADSHEET, "replies": replies}

    def _add(self, properties: Any) -> Sheet:
        if any(sheet.title.casefold() == properties["title"].casefold() for sheet in self.sheets):
            raise BadRequest
        grid = properties["gridProperties"]
        sheet = Sheet(
            sheet_id=1000 + max(sheet.sheet_id for sheet in self.sheets),
            title=properties["title"],
            rows=grid["rowCount"],
            columns=grid["columnCount"],
        )
        self.sheets.append(sheet)
        return sheet

    def _delete(self, sheet_id: int) -> None:
        kept = [sheet for sheet in self.sheets if sheet.sheet_id != sheet_id]
        if len(kept) == len(self.sheets) or all(sheet.is_hidden for sheet in kept):
            raise BadRequest
        self.sheets[:] = kept

    def _resize(self, params: Any) -> None:
        properties = params["properties"]
        sheet = next(sheet for sheet in self.sheets if sheet.sheet_id == properties["sheetId"])
        for name in params["fields"].split(","):
            if name == "gridProperties.rowCount":
                sheet.rows = properties["gridProperties"]["rowCount"]
            elif name == "gridProperties.columnCount":
                sheet.columns = properties["gridProperties"]["columnCount"]
            else:
                raise AssertionError(name)
        sheet.cells = {(r, c): v for (r, c), v in sheet.cells.items() if r <= sheet.rows and c <= sheet.columns}

    def _update_values(self, body: Any) -> Any:
        assert body["valueInputOption"] == "RAW"
        responses = []
        for data in body["data"]:
            sheet, first, last = self._range(data["range"])
            values = data["values"]
            assert len(values) <= last[0] - first[0] + 1
            for r, row in enumerate(values, first[0]):
                assert len(row) <= last[1] - first[1] + 1
                for c, value in enumerate(row, first[1]):
                    self._set(sheet, r, c, value)
            responses.append({"spreadsheetId": SPREADSHEET, "updatedRange": data["range"], "updatedRows": len(values)})
        return {"spreadsheetId": SPREADSHEET, "responses": responses}

    def _set(self, sheet: Sheet, row: int, column: int, value: Any) -> None:
        # As the document says: null is skipped, and an empty text empties the cell.
        assert value is None or isinstance(value, (str, int, float)), type(value)
        if value == "":
            sheet.cells.pop((row, column), None)
        elif value is not None:
            if isinstance(value, str) and len(value.encode("utf-16-le")) > 100_000:
                raise BadRequest
            sheet.cells[row, column] = value

    def _clear_values(self, body: Any) -> Any:
        for name in body["ranges"]:
            sheet, first, last = self._range(name)
            for place in [*sheet.cells]:
                if first[0] <= place[0] <= last[0] and first[1] <= place[1] <= last[1]:
                    del sheet.cells[place]
        return {"spreadsheetId": SPREADSHEET, "clearedRanges": body["ranges"]}

    def _range(self, name: str) -> tuple[Sheet, tuple[int, int], tuple[int, int]]:
        match = _RANGE.fullmatch(name)
        assert match is not None, "no range in A1 notation"
        title, *corners = match.groups()
        sheet = self.sheet(title.replace("''", "'"))
        first, last = (int(corners[1]), _number(corners[0])), (int(corners[3]), _number(corners[2]))
        if last[0] > sheet.rows or last[1] > sheet.columns or first > last:
            raise BadRequest
        return sheet, first, last

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet; the second of two small ones would wait for the first to be acknowledged.
            wbufsize = 1 << 16

            def do_GET(self) -> None:
                self._handle()

            def do_POST(self) -> None:
                self._handle()

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fault = service.faults.popleft() if service.faults else None
                status, headers = 200, dict[str, str]()
                answer: Any = {}
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    status = 401
                elif fault is None or fault.acts:
                    status, answer = self._act(body)
                if fault is not None:
                    if fault.status is None:
                        self.close_connection = True
                        return
                    status, headers = fault.status, dict(fault.headers)
                if status != 200:
                    # Careless services quote what they were sent.
                    answer = {"error": {"code": status, "message": body.decode()}}
                self._send(status, json.dumps(answer).encode(), headers)

            def _act(self, body: bytes) -> tuple[int, Any]:
                try:
                    if f"/{SPREADSHEET}" not in unquote(self.path):
                        return 404, {}
                    return 200, service.answer(self.command, self.path, body)
                except BadRequest:
                    return 400, {}
                except (AssertionError, LookupError) as error:
                    service.problems.append(f"{self.command} {type(error).__name__}: {error}")
                    return 400, {}

            def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                sent = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
                for name, value in sent.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Tests read what was asked from `asked`; standard error stays quiet."""

        return Handler


def _matches(known: Any, verb: str, path: str) -> bool:
    pattern = re.sub(r"\\\{\w+\\\}", "[^/:]+", re.escape(known["flatPath"]))
    return bool(known["httpMethod"] == verb and re.fullmatch(f"/{pattern}", path))


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
