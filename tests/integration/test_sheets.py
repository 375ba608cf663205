"""sheets.write_table over real HTTP, against a stand-in that holds every request to Google's discovery document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward import sheets
from lorchestra.storacle.outward.sheets import SheetsWriter, SheetsWriteTable
from lorchestra.storacle.outward.sheets_http.exchange import SheetsAccess, code_of
from lorchestra.storacle.params import parse
from lorchestra.storacle.service import RpcError
from tests.standins.sheets import SPREADSHEET, TOKEN, Fault, Sheet, StandInSheets

TOO_MANY = Fault(status=429, headers={"Retry-After": "7"})
CUT = Fault()
CUT_AFTER_ACTING = Fault(acts=True)
SOURCE = {"dataset": "lab", "table": "samples"}
SECRET = "a value that nobody may see"


class Slept:
    def __init__(self) -> None:
        self.pauses: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def service() -> Iterator[StandInSheets]:
    with StandInSheets() as service:
        yield service


@pytest.fixture
def slept() -> Slept:
    return Slept()


@pytest.fixture
def writer(service: StandInSheets, slept: Slept) -> SheetsWriter:
    return writer_to(service.base_url, slept)


def writer_to(base_url: str, slept: Slept, token: str = TOKEN) -> SheetsWriter:
    return SheetsWriter(SheetsAccess(token=lambda: token, base_url=base_url, sleep=slept, random=lambda: 1.0))


def params(sheet: str = "Data", columns: tuple[str, ...] = ("id", "n"), spreadsheet_id: str = SPREADSHEET) -> Any:
    value = {"spreadsheet_id": spreadsheet_id, "sheet": sheet, "columns": columns, "source": SOURCE}
    return parse(SheetsWriteTable, value)


def rows(count: int) -> Iterator[dict[str, Any]]:
    return ({"id": f"k{number}", "n": number} for number in range(count))


def table(count: int) -> list[list[Any]]:
    return [["id", "n"], *([f"k{number}", number] for number in range(count))]


# More than fit into one request, by their size.
MANY = [{"id": f"k{number}{'x' * 45_000}", "n": number} for number in range(47)]
TABLE_OF_MANY = [["id", "n"], *([row["id"], row["n"]] for row in MANY)]


def refusal(writer: SheetsWriter, wanted: Any, given: Any, namespace: str = "prod") -> RpcError:
    with pytest.raises(RpcError) as raised:
        writer.write(wanted, given, namespace=namespace)
    assert SECRET not in repr(raised.value.data())
    assert raised.value.__context__ is None
    return raised.value


def test_a_sheet_that_is_not_there_is_made(writer: SheetsWriter, service: StandInSheets) -> None:
    assert writer.write(params(), rows(3), namespace="prod") == {"written": 3}
    assert service.sheet("Data").table == table(3)
    assert service.sheet("Sheet1").table == []


def test_what_stood_in_the_sheet_before_is_gone(writer: SheetsWriter, service: StandInSheets) -> None:
    service.sheet("Sheet1").fill(40, 9)
    writer.write(params("Sheet1"), rows(3), namespace="prod")
    assert service.sheet("Sheet1").table == table(3)


def test_without_rows_the_header_stays(writer: SheetsWriter, service: StandInSheets) -> None:
    service.sheet("Sheet1").fill(2, 2)
    assert writer.write(params("Sheet1"), (), namespace="prod") == {"written": 0}
    assert service.sheet("Sheet1").table == [["id", "n"]]


def test_a_sheet_is_found_whatever_its_case(writer: SheetsWriter, service: StandInSheets) -> None:
    writer.write(params("SHEET1"), rows(1), namespace="prod")
    assert [sheet.title for sheet in service.sheets] == ["Sheet1"]


def test_a_title_with_a_quote_is_quoted(writer: SheetsWriter, service: StandInSheets) -> None:
    writer.write(params("Anna's day!"), rows(1), namespace="prod")
    assert service.sheet("Anna's day!").table == table(1)


def test_a_grid_that_is_too_small_grows_and_never_shrinks(writer: SheetsWriter, service: StandInSheets) -> None:
    service.sheets.append(Sheet(sheet_id=7, title="Data", rows=2, columns=1))
    writer.write(params(), rows(30), namespace="prod")
    grown = service.sheet("Data")
    assert grown.table == table(30)
    writer.write(params(), rows(1), namespace="prod")
    assert (service.sheet("Data").rows, service.sheet("Data").columns) == (grown.rows, grown.columns)
    assert service.sheet("Data").table == table(1)


def test_requests_stay_within_their_limits(writer: SheetsWriter, service: StandInSheets) -> None:
    assert writer.write(params(), rows(12_000), namespace="prod") == {"written": 12_000}
    long = ({"id": f"{number}", "n": "x" * 49_000} for number in range(100))
    writer.write(params("Long"), long, namespace="prod")
    puts = [asked for asked in service.asked if asked.method == "spreadsheets.values.batchUpdate"]
    assert len(puts) > 5
    assert max(asked.size for asked in puts) <= sheets.BATCH_BYTES + 10_000
    cells = [sum(len(row) for data in asked.body["data"] for row in data["values"]) for asked in puts]
    assert max(cells) <= sheets.BATCH_CELLS
    assert len(service.sheet("Long").table) == 101
    assert service.sheet("Data").table == table(12_000)


def test_a_smoke_run_has_sheets_of_its_own(writer: SheetsWriter, service: StandInSheets) -> None:
    service.sheet("Sheet1").fill(2, 2)
    writer.write(params("Sheet1"), rows(1), namespace="smoke_a1")
    assert service.sheet("smoke_a1 Sheet1").table == table(1)
    assert service.sheet("Sheet1").table == [["old", "old"], ["old", "old"]]
    assert refusal(writer, params("Smoke_a1 Sheet1"), rows(1)).code is ErrorCode.FORBIDDEN


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, None),
        (True, True),
        (0, 0),
        (-1.5, -1.5),
        (2**53 + 1, "9007199254740993"),
        ("=1+1", "=1+1"),
        ("", None),
        ("grüße 🎈", "grüße 🎈"),
        ({"b": [1, None], "a": "x"}, '{"a":"x","b":[1,null]}'),
        ([], "[]"),
        ("x" * 50_000, "x" * 50_000),
    ],
)
def test_values_become_cells(writer: SheetsWriter, service: StandInSheets, value: Any, cell: Any) -> None:
    service.sheet("Sheet1").fill(2, 2)
    writer.write(params("Sheet1"), [{"id": "k", "n": value}], namespace="prod")
    found = service.sheet("Sheet1").cells.get((2, 2))
    assert found == cell
    assert type(found) is type(cell)


@pytest.mark.parametrize(
    ("row", "code", "at"),
    [
        ({"id": SECRET + "x" * 50_000}, ErrorCode.TOO_LARGE, "/rows/1/id"),
        ({"id": "🎈" * 25_001}, ErrorCode.TOO_LARGE, "/rows/1/id"),
        ({"n": float("nan")}, ErrorCode.INVALID_PARAMS, "/rows/1/n"),
        ({"id": SECRET + "\ud800"}, ErrorCode.INVALID_PARAMS, "/rows/1/id"),
        ({"id": {1, SECRET}}, ErrorCode.INVALID_PARAMS, "/rows/1/id"),
        ({"other": 1}, ErrorCode.INVALID_PARAMS, "/rows/1"),
    ],
    ids=["long", "long in utf-16", "nan", "surrogate", "no json", "unknown column"],
)
def test_a_value_that_fits_no_cell_is_named_by_its_place(
    writer: SheetsWriter, row: Any, code: ErrorCode, at: str
) -> None:
    refused = refusal(writer, params(), [{"id": "k"}, row])
    assert (refused.code, refused.data()) == (code, {"pointer": at})


@pytest.mark.parametrize(
    "fault",
    [TOO_MANY, CUT, CUT_AFTER_ACTING, Fault(status=500, acts=True)],
    ids=["429", "cut", "cut after acting", "500 after acting"],
)
@pytest.mark.parametrize("request_n", range(7))
def test_a_fault_of_any_request_is_overcome(
    writer: SheetsWriter, service: StandInSheets, slept: Slept, fault: Fault, request_n: int
) -> None:
    service.faults.extend([*[None] * request_n, fault])
    writer.write(params(), MANY, namespace="prod")
    assert len(service.sheets) == 2
    assert service.sheet("Data").table == TABLE_OF_MANY
    assert slept.pauses == ([7.0] if fault.status == 429 else [2.0])


@pytest.mark.parametrize("request_n", range(7))
def test_a_write_that_broke_off_midway_is_completed_by_its_repetition(
    writer: SheetsWriter, service: StandInSheets, request_n: int
) -> None:
    writer.write(params(), ({"id": "old", "n": -1} for _ in range(5100)), namespace="prod")
    service.faults.extend([*[None] * request_n, Fault(status=403)])
    if request_n < 5:
        assert refusal(writer, params(), MANY).code is ErrorCode.FORBIDDEN
    service.faults.clear()
    writer.write(params(), MANY, namespace="prod")
    assert service.sheet("Data").table == TABLE_OF_MANY


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, ErrorCode.INVALID_PARAMS),
        (401, ErrorCode.UNAUTHORIZED),
        (403, ErrorCode.FORBIDDEN),
        (404, ErrorCode.INVALID_PARAMS),
        (413, ErrorCode.TOO_LARGE),
        (302, ErrorCode.REFUSED),
    ],
)
def test_what_cannot_be_mended_is_not_tried_again(
    writer: SheetsWriter, service: StandInSheets, slept: Slept, status: int, code: ErrorCode
) -> None:
    service.faults.extend([None, Fault(status=status, headers={"Location": "http://127.0.0.1:1/"})])
    given = [{"id": SECRET}]
    assert refusal(writer, params("Sheet1"), given).code is code
    assert slept.pauses == []


def test_a_service_that_stays_down_is_left_to_the_retry_of_the_step(
    writer: SheetsWriter, service: StandInSheets, slept: Slept
) -> None:
    service.faults.extend([Fault(status=503)] * 6)
    assert refusal(writer, params(), rows(1)).code is ErrorCode.UNAVAILABLE
    assert slept.pauses == [2.0, 4.0, 8.0, 16.0, 32.0]


def test_a_long_pause_is_left_to_the_retry_of_the_step(
    writer: SheetsWriter, service: StandInSheets, slept: Slept
) -> None:
    service.faults.append(Fault(status=429, headers={"Retry-After": "3600"}))
    refused = refusal(writer, params(), rows(1))
    assert (refused.code, refused.retry_after) == (ErrorCode.RATE_LIMITED, 3600.0)
    assert slept.pauses == []


def test_a_wrong_token_is_refused(service: StandInSheets, slept: Slept) -> None:
    writer = writer_to(service.base_url, slept, token="another")
    assert refusal(writer, params(), rows(1)).code is ErrorCode.UNAUTHORIZED


def test_another_spreadsheet_is_named(writer: SheetsWriter) -> None:
    refused = refusal(writer, params(spreadsheet_id="unknown"), rows(1))
    assert refused.data() == {"pointer": "/spreadsheet_id"}


def test_a_sheet_without_a_grid_is_refused(writer: SheetsWriter, service: StandInSheets) -> None:
    service.sheets.append(Sheet(sheet_id=9, title="Data", sheet_type="OBJECT"))
    assert refusal(writer, params(), rows(1)).code is ErrorCode.REFUSED


def test_a_sheet_that_another_writer_makes_meanwhile_is_used(writer: SheetsWriter, service: StandInSheets) -> None:
    # The first answer shows an empty spreadsheet.
    service.faults.append(Fault(status=200))
    writer.write(params("Sheet1"), rows(2), namespace="prod")
    assert [sheet.table for sheet in service.sheets] == [table(2)]


@pytest.mark.parametrize("request_n", [2, 4])
def test_a_sheet_that_someone_removes_meanwhile_is_for_another_try(
    writer: SheetsWriter, service: StandInSheets, request_n: int
) -> None:
    service.faults.extend([*[None] * request_n, Fault(status=200)])
    refused = refusal(writer, params(), rows(2))
    assert (refused.code, refused.at) == (ErrorCode.UNAVAILABLE, ("sheet",))


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"spreadsheet_id": "../other"}, ("spreadsheet_id",)),
        ({"sheet": ""}, ("sheet",)),
        ({"sheet": " padded"}, ("sheet",)),
        ({"sheet": "two\nlines"}, ("sheet",)),
        ({"sheet": "x" * 71}, ("sheet",)),
        ({"columns": []}, ("columns",)),
        ({"columns": ["id", "id"]}, ("columns",)),
        ({"columns": ["=1+1"]}, ("columns", 0)),
        ({"source": {"dataset": "lab"}}, ("source", "table")),
        ({"source": {**SOURCE, "unprocessed": "copy"}}, ("source", "unprocessed")),
        ({"more": 1}, ("more",)),
    ],
)
def test_other_params_are_refused_by_their_place(changes: Any, at: Any) -> None:
    with pytest.raises(RpcError) as raised:
        parse(
            SheetsWriteTable,
            {"spreadsheet_id": SPREADSHEET, "sheet": "Data", "columns": ["id"], "source": SOURCE, **changes},
        )
    assert raised.value.at == at


def test_a_service_that_is_not_there_is_unavailable(slept: Slept) -> None:
    with StandInSheets() as gone:
        base_url = gone.base_url
    assert refusal(writer_to(base_url, slept), params(), rows(1)).code is ErrorCode.UNAVAILABLE


def test_a_base_url_that_is_none_is_refused(slept: Slept) -> None:
    assert refusal(writer_to("nonsense", slept), params(), rows(1)).code is ErrorCode.REFUSED


def test_rows_are_pulled_as_they_are_sent(writer: SheetsWriter, service: StandInSheets) -> None:
    behind = []

    def watched() -> Iterator[dict[str, Any]]:
        for number, row in enumerate(rows(20_000)):
            behind.append(number - _rows_sent(service))
            yield row

    writer.write(params(), watched(), namespace="prod")
    assert max(behind) <= sheets.BATCH_CELLS // 2


def _rows_sent(service: StandInSheets) -> int:
    done = [asked for asked in service.asked if asked.method == "spreadsheets.values.batchUpdate"]
    return sum(len(data["values"]) for asked in done for data in asked.body["data"])


def test_every_error_of_httpx_has_a_code() -> None:
    kinds: list[type[Exception]] = [httpx.HTTPError, httpx.InvalidURL]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert len(kinds) > 15
    assert {code_of(kind.__new__(kind)) for kind in kinds} == {
        ErrorCode.TIMEOUT,
        ErrorCode.UNAVAILABLE,
        ErrorCode.REFUSED,
    }
