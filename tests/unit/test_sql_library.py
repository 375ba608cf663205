"""The SQL files of a project are checked together, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorchestra.storacle.sql.library import SqlLibrary

CLIENTS = "CREATE OR REPLACE VIEW derived.clients AS\nSELECT idem_key, source_system FROM canonical.canonical_objects"
PER_SOURCE = (
    "CREATE OR REPLACE VIEW derived.per_source AS SELECT source_system, COUNT(*) AS n FROM derived.clients GROUP BY 1"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("views", "queries"):
        (tmp_path / "sql" / kind).mkdir(parents=True)
    return tmp_path / "sql"


def problems(folder: Path, **files: str) -> list[str]:
    """What is wrong with the files, given as `views__name=sql`."""
    for name, sql in files.items():
        (folder / f"{name.replace('__', '/')}.sql").write_text(sql)
    return [str(problem) for problem in SqlLibrary(folder, root=folder.parent).problems()]


def test_views_may_read_each_other_in_whatever_order_their_names_are(folder: Path) -> None:
    query = "SELECT n FROM derived.per_source WHERE source_system = @source"
    assert problems(folder, views__clients=CLIENTS, views__per_source=PER_SOURCE, queries__count=query) == []
    over = "CREATE OR REPLACE VIEW derived.a_first AS SELECT n FROM derived.per_source"
    assert problems(folder, views__a_first=over) == []


def test_project_without_sql_has_no_mistakes_in_it(tmp_path: Path) -> None:
    assert SqlLibrary(tmp_path / "absent").problems() == ()


def test_every_mistake_is_told_with_its_construct_file_and_line(folder: Path) -> None:
    found = problems(
        folder,
        views__clients="CREATE OR REPLACE VIEW derived.clients AS\nSELECT\n  RAND() AS chance FROM raw.raw_objects",
        views__typo="CREATE OR REPLACE VIEW derived.typo AS SELECT idem_kye FROM raw.raw_objects",
        queries__nothing="DELETE FROM raw.raw_objects WHERE TRUE",
        queries__absent="SELECT 1 AS one\nFROM raw.absent",
    )
    assert [problem.split(": ")[0].rpartition(":")[0] for problem in found] == [
        "sql/views/clients.sql:3",
        "sql/views/typo.sql:1",
        "sql/queries/absent.sql:2",
        "sql/queries/nothing.sql:1",
    ]
    assert "RAND" in found[0]


def test_mistake_of_a_view_is_told_once_however_many_read_it(folder: Path) -> None:
    broken = CLIENTS.replace("idem_key,", "idem_kye,")
    again = "CREATE OR REPLACE VIEW derived.again AS SELECT n FROM derived.per_source"
    assert len(problems(folder, views__clients=broken, views__per_source=PER_SOURCE, views__again=again)) == 1


def test_view_of_another_name_than_its_file_is_a_mistake(folder: Path) -> None:
    [problem] = problems(folder, views__people=CLIENTS)
    assert "expected a view named 'people'" in problem


def test_views_that_read_each_other_in_a_circle_are_a_mistake(folder: Path) -> None:
    one = "CREATE OR REPLACE VIEW derived.one AS SELECT a FROM derived.two"
    two = "CREATE OR REPLACE VIEW derived.two AS SELECT a FROM derived.one"
    found = problems(folder, views__one=one, views__two=two)
    assert "derived.one reads derived.two reads derived.one" in found[0]


@pytest.mark.parametrize("data", [b"\xff\xfe", b"SELECT 1 AS a --" + b"x" * 300_000], ids=["no text", "too long"])
def test_file_that_is_no_query_is_a_mistake(folder: Path, data: bytes) -> None:
    (folder / "queries" / "strange.sql").write_bytes(data)
    [problem] = problems(folder)
    assert problem.startswith("sql/queries/strange.sql:1:1")


@pytest.mark.parametrize("target", ["raw.raw_objects", "storacle.secrets"])
def test_view_with_the_name_of_a_table_is_a_mistake(folder: Path, target: str) -> None:
    name = target.partition(".")[2]
    [problem] = problems(folder, **{f"views__{name}": f"CREATE OR REPLACE VIEW {target} AS SELECT 1 AS a"})
    assert f"'{target}' is the name of a table" in problem


def test_query_over_what_storacle_keeps_for_itself_is_a_mistake(folder: Path) -> None:
    [problem] = problems(folder, queries__markers="SELECT stage FROM storacle._processed")
    assert "no table is named 'storacle._processed'" in problem
