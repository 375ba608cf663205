from __future__ import annotations

import json
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

from lorchestra import code_names
from lorchestra.errors import PermanentError
from lorchestra.items import MarkerResult

CANARY = "CANARY_5b1f"


class Outer:
    class Inner(ValueError):
        pass


class Renaming(type):
    def __getattribute__(cls, name: str) -> object:
        return CANARY


class Renamed(metaclass=Renaming):
    pass


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ValueError, "ValueError"),
        (json.JSONDecodeError, "json.decoder.JSONDecodeError"),
        (PermanentError, "lorchestra.errors.PermanentError"),
        (Outer.Inner, f"{__name__}.Outer.Inner"),
        (Renamed, f"{__name__}.Renamed"),
    ],
)
def test_a_type_that_its_module_holds_is_named(kind: type, name: str) -> None:
    assert code_names.type_name(kind) == name


def test_a_type_made_of_data_shows_as_its_nearest_base_that_is_code() -> None:
    made = type(CANARY, (Outer.Inner,), {})
    hidden = type("x", (KeyError,), {"__module__": CANARY})
    forged = type("ValueError", (KeyError,), {"__module__": "builtins"})
    odd = type("x", (KeyError,), {"__module__": 7})

    assert code_names.type_name(made) == f"{__name__}.Outer.Inner (a subclass)"
    for kind in (hidden, forged, odd):
        assert code_names.type_name(kind) == "KeyError (a subclass)"


@pytest.mark.parametrize(
    ("value", "name"), [(None, "NoneType"), ((one for one in (1,)), "generator"), (len, "builtin_function_or_method")]
)
def test_a_type_of_the_interpreter_is_named_though_no_module_holds_it(value: object, name: str) -> None:
    assert code_names.plain_name(value) == name


def test_a_type_of_a_module_that_is_not_registered_is_found_in_running_code() -> None:
    module = ModuleType("loaded_aside")
    exec("class Broken(Exception): pass", vars(module))

    assert code_names.type_name(module.Broken) == "Exception (a subclass)"
    assert code_names.type_name(module.Broken, [vars(module)]) == "loaded_aside.Broken"


def test_ours_is_what_this_package_defines() -> None:
    assert code_names.is_ours(PermanentError)
    assert code_names.is_ours(MarkerResult)
    assert not code_names.is_ours(type("PermanentError", (PermanentError,), {"__module__": "lorchestra.errors"}))
    assert not code_names.is_ours(Outer)


def test_a_file_is_shown_relative_to_what_it_belongs_to(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "callables").mkdir(parents=True)
    (project / "callables/fetch.py").touch()
    (tmp_path / "elsewhere.py").touch()
    installed = str(Path(pytest.__file__))

    assert code_names.file_name(str(project / "callables/fetch.py"), root=project) == "callables/fetch.py"
    assert code_names.file_name(str(tmp_path / "elsewhere.py"), root=project) == "elsewhere.py"
    assert code_names.file_name(str(project / ".." / "elsewhere.py"), root=project) == "elsewhere.py"
    assert code_names.file_name(code_names.__file__, root=project) == "lorchestra/code_names.py"
    assert code_names.file_name(installed, root=Path(sysconfig.get_path("purelib")).parent) == "pytest/__init__.py"
    assert code_names.file_name(json.__file__) == "__init__.py"
    assert code_names.file_name("<frozen importlib._bootstrap>") == "<frozen importlib._bootstrap>"


def test_a_project_behind_a_link_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/fetch.py").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert code_names.file_name(str(tmp_path / "real/fetch.py"), root=tmp_path / "link") == "fetch.py"
    assert code_names.file_name(str(tmp_path / "link/fetch.py"), root=tmp_path / "link") == "fetch.py"


@pytest.mark.parametrize(
    "file",
    [
        f"<{CANARY}>",
        f"/tmp/{CANARY}.py",
        f"{CANARY}.py",
        "",
        "a\nb.py",
        "\udcff.py",
        "x" * 5000,
        f"<frozen {CANARY} x>",
    ],
)
def test_a_file_name_that_is_no_file_is_not_shown(file: str) -> None:
    assert code_names.file_name(file) == "<generated>"


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        ("fetch", "fetch"),
        ("<lambda>", "<lambda>"),
        ("größe", "größe"),
        ("a b", "<generated>"),
        ("f" * 99, "<generated>"),
    ],
)
def test_a_function_is_shown_as_code_can_spell_it(function: str, shown: str) -> None:
    assert code_names.place(code_names.__file__, 3, function) == f"lorchestra/code_names.py:3:{shown}"


def test_a_place_without_a_function_is_a_file_and_a_line() -> None:
    assert code_names.place(code_names.__file__, None, None) == "lorchestra/code_names.py:0"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("json", "json"),
        ("json.decoder", "json.decoder"),
        (f"json.{CANARY}", "json"),
        (CANARY, "<generated>"),
        ("", "<generated>"),
        ("..", "<generated>"),
    ],
)
def test_of_a_logger_the_part_that_is_a_loaded_module_is_shown(name: str, shown: str) -> None:
    assert code_names.module_name(name) == shown


def test_naming_runs_no_foreign_code(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise AssertionError("asked")

    monkeypatch.setitem(sys.modules, "lazy_module", Lazy("lazy_module"))

    assert (
        code_names.type_name(type("Thing", (ValueError,), {"__module__": "lazy_module"})) == "ValueError (a subclass)"
    )
