"""Callables from a project's folder and from installed packages: real files, real imports, real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from lorchestra.callable import CallableRegistry, CallableResult
from lorchestra.errors import BrokenCallable, UnknownCallable

GREETER = """
def execute(params):
    return {"items": [{"hello": params["name"]}]}
"""

IMPORT_LEAVES_A_TRACE = """
with open({!r}, "a") as file:
    file.write("x")

def execute(params): ...
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return folder


def registry(folder: Path) -> CallableRegistry:
    return CallableRegistry(project_folder=folder, entry_points=list, built_in={})


def items_of(result: CallableResult) -> list[object]:
    assert result.items is not None
    return list(result.items)


# The project's folder


def test_a_module_in_the_folder_is_a_callable(tmp_path: Path) -> None:
    callables = registry(write(tmp_path, greeter=GREETER))
    assert items_of(callables.dispatch("greeter", {"name": "x"})) == [{"hello": "x"}]
    entry = callables.get("greeter")
    assert entry.origin == f"project {tmp_path.resolve() / 'greeter.py'}"
    assert len(entry.content_hash) == 64


def test_a_package_in_the_folder_is_a_callable_with_helpers_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "scorer" / "deep").mkdir(parents=True)
    (tmp_path / "scorer" / "__init__.py").write_text(
        "from .deep.rules import score\n\ndef execute(params):\n    return score(params)\n"
    )
    (tmp_path / "scorer" / "deep" / "__init__.py").write_text("")
    (tmp_path / "scorer" / "deep" / "rules.py").write_text("def score(params):\n    return {'items': [{'n': 3}]}\n")
    assert items_of(registry(tmp_path).dispatch("scorer", {})) == [{"n": 3}]


def test_two_projects_in_one_process_do_not_clash(tmp_path: Path) -> None:
    path = list(sys.path)
    for name in ("a", "b"):
        package = tmp_path / name / "tell"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(
            "from .word import WORD\n\ndef execute(params):\n    return {'items': [{'w': WORD}]}\n"
        )
        (package / "word.py").write_text(f"WORD = {name!r}\n")
    one, other = registry(tmp_path / "a"), registry(tmp_path / "b")
    assert items_of(one.dispatch("tell", {})) == [{"w": "a"}]
    assert items_of(other.dispatch("tell", {})) == [{"w": "b"}]
    assert sys.path == path
    assert "tell" not in sys.modules


def test_nothing_is_imported_before_it_is_loaded(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    folder = write(tmp_path / "callables", loud=IMPORT_LEAVES_A_TRACE.format(str(seen)))
    callables = registry(folder)
    assert callables.names() == ("loud",)
    assert [entry.content_hash for entry in callables.entries()]
    assert not seen.exists()
    callables.get("loud").load()
    callables.get("loud").load()
    registry(folder).get("loud").load()
    callables.copy().get("loud").load()
    assert seen.read_text() == "x"


def test_only_modules_and_packages_with_the_name_of_a_callable_are_listed(tmp_path: Path) -> None:
    write(tmp_path, greeter=GREETER, _helper="", Upper="", __init__="")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "__pycache__").mkdir()
    assert registry(tmp_path).names() == ("greeter",)
    for name in ("_helper", "empty", "notes", "../greeter", "__init__"):
        with pytest.raises(UnknownCallable):
            registry(tmp_path).get(name)


def test_a_folder_that_is_not_there_holds_no_callables(tmp_path: Path) -> None:
    assert registry(tmp_path / "none").names() == ()


def test_the_projects_callable_comes_before_the_installed_one(tmp_path: Path) -> None:
    write(tmp_path / "mine", greeter=GREETER)
    assert registry(tmp_path / "mine").copy().get("greeter").origin.startswith("project ")
    other = registry(tmp_path / "mine").copy(project_folder=tmp_path / "other")
    with pytest.raises(UnknownCallable):
        other.get("greeter")


def test_the_hash_follows_every_file_of_the_callable_and_nothing_else(tmp_path: Path) -> None:
    package = tmp_path / "scorer"
    package.mkdir()
    (package / "__init__.py").write_text(GREETER)

    def current() -> str:
        return registry(tmp_path).get("scorer").content_hash

    hashes = [current()]
    (package / "helper.py").write_text("A = 1\n")
    hashes.append(current())
    (package / "helper.py").write_text("A = 2\n")
    hashes.append(current())
    (package / "helper.py").rename(package / "renamed.py")
    hashes.append(current())
    assert len(set(hashes)) == 4
    (package / "notes.txt").write_text("x")
    (tmp_path / "other.py").write_text("x")
    assert current() == hashes[-1]


def test_changed_code_is_loaded_anew_by_a_new_registry_and_the_old_keeps_its_own(tmp_path: Path) -> None:
    write(tmp_path, greeter=GREETER)
    before = registry(tmp_path)
    first = before.get("greeter").content_hash
    before.get("greeter").load()
    write(tmp_path, greeter=GREETER.replace("hello", "goodbye"))
    after = registry(tmp_path)
    assert items_of(after.dispatch("greeter", {"name": "x"})) == [{"goodbye": "x"}]
    assert items_of(before.dispatch("greeter", {"name": "x"})) == [{"hello": "x"}]
    assert before.get("greeter").content_hash == first != after.get("greeter").content_hash


def test_an_edit_between_hash_and_load_shows_in_the_hash(tmp_path: Path) -> None:
    entry = registry(write(tmp_path, greeter=GREETER)).get("greeter")
    hashes = [entry.content_hash]
    write(tmp_path, greeter=GREETER + "# edited\n")
    entry.load()
    hashes.append(entry.content_hash)
    write(tmp_path, greeter=GREETER + "# edited again\n")
    hashes.append(entry.content_hash)
    assert hashes[0] != hashes[1] == hashes[2]


def test_an_edit_shows_even_when_size_and_time_of_the_file_stay_the_same(tmp_path: Path) -> None:
    file = tmp_path / "greeter.py"
    for word in ("hello", "salut"):
        file.write_text(GREETER.replace("hello", word))
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert items_of(registry(tmp_path).dispatch("greeter", {"name": "x"})) == [{word: "x"}]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\n\nraise ValueError('canary')", "cannot be imported: ValueError at {file}:3"),
        ("x = 1\nimport no_such_module_here", "cannot be imported: ModuleNotFoundError at {file}:2"),
        ("x = 1\ndef execute(params:\n    'canary'", "cannot be imported: SyntaxError at {file}:2"),
        ("import sys\nsys.exit('canary')", "cannot be imported: SystemExit at {file}:2"),
        ("import json\njson.loads('canary')", "cannot be imported: JSONDecodeError at {file}:2"),
        ("import ast\nast.literal_eval('canary +')", "cannot be imported: SyntaxError at {file}:2"),
        ("from . import canary", "cannot be imported: ImportError at {file}:1"),
        ("def run(params): ...", "has no `execute`; a callable is a module with `execute(params)`"),
        ("execute = 'canary'", "has no `execute`"),
    ],
)
def test_a_broken_module_says_type_and_place_and_no_value(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(BrokenCallable) as caught:
        registry(tmp_path).get("broken").load()
    assert found.format(file=tmp_path.resolve() / "broken.py") in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_package_that_fails_on_the_way_leaves_no_module_behind(tmp_path: Path) -> None:
    package = tmp_path / "broken"
    package.mkdir()
    modules = set(sys.modules)
    (package / "__init__.py").write_text("from . import good, bad\n")
    (package / "good.py").write_text("")
    (package / "bad.py").write_text("\n1 / 0\n")
    with pytest.raises(BrokenCallable, match=r"ZeroDivisionError at .*bad\.py:2"):
        registry(tmp_path).get("broken").load()
    assert set(sys.modules) == modules
    (package / "bad.py").write_text("def execute(params): ...\n")
    (package / "__init__.py").write_text("from .bad import execute\n")
    assert registry(tmp_path).get("broken").load().name == "broken"


def test_a_file_that_is_gone_since_it_was_found_is_an_error_of_ours(tmp_path: Path) -> None:
    callables = registry(write(tmp_path, greeter=GREETER))
    entry = callables.get("greeter")
    (tmp_path / "greeter.py").unlink()
    with pytest.raises(BrokenCallable, match="cannot be read"):
        entry.load()


# Installed packages


def install(site: Path, package: str, version: str, entry_points: dict[str, str], files: dict[str, str]) -> None:
    """What an installer leaves behind: the modules, and a .dist-info beside them."""
    info = site / f"{package}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entry_points.items())
    (info / "entry_points.txt").write_text(f"[lorchestra.callables]\n{lines}")
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(textwrap.dedent(text))


def in_process(site: Path, program: str) -> Any:
    """What a program prints (as JSON) in a process where the packages are installed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={"PYTHONPATH": os.pathsep.join([str(site), str(Path(__file__).parents[2])]), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


TOY = {
    "toy/__init__.py": "raise SystemExit('a package is not imported to list or hash what is in it')\n",
    "toy_calls/__init__.py": "",
    "toy_calls/greeter.py": GREETER,
    "toy_calls/functions.py": "def shout(params, context):\n    return {'items': [{'run': context.run_id}]}\n",
    "toy_package/__init__.py": "from .inner import execute\n",
    "toy_package/inner.py": GREETER,
}
TOY_POINTS = {
    "greeter": "toy_calls.greeter",
    "shout": "toy_calls.functions:shout",
    "whole": "toy_package",
    "trap": "toy.inner:run",
}


def test_the_callables_of_an_installed_package_are_found_and_run(tmp_path: Path) -> None:
    install(tmp_path, "toy-package", "1.2.3", TOY_POINTS, {**TOY, "toy/inner.py": ""})
    answer = in_process(
        tmp_path,
        """
        import json, sys
        from lorchestra.callable import default_registry, dispatch_callable
        entries = {entry.name: entry for entry in default_registry().entries() if entry.origin != "built in"}
        hashes = {name: entry.content_hash for name, entry in entries.items()}
        imported = [name for name in sys.modules if name.startswith("toy")]
        print(json.dumps({
            "origins": sorted({entry.origin for entry in entries.values()}),
            "names": sorted(entries),
            "hashes": hashes,
            "imported": imported,
            "greeter": dispatch_callable("greeter", {"name": "x"}).items,
            "shout": dispatch_callable("shout", {}).items,
            "whole": dispatch_callable("whole", {"name": "y"}).items,
        }))
        """,
    )
    assert answer["names"] == ["greeter", "shout", "trap", "whole"]
    assert answer["origins"] == ["package toy-package 1.2.3"]
    assert answer["imported"] == []
    assert len(set(answer["hashes"].values())) == 4
    assert answer["greeter"] == [{"hello": "x"}]
    assert answer["shout"] == [{"run": "direct"}]
    assert answer["whole"] == [{"hello": "y"}]


HASHES = """
import json
from lorchestra.callable import default_registry
print(json.dumps({entry.name: entry.content_hash for entry in default_registry().entries()}))
"""


def test_a_changed_helper_changes_the_hash_of_its_package_alone(tmp_path: Path) -> None:
    install(tmp_path, "toy", "1", {"greeter": "toy_calls.greeter", "whole": "toy_package"}, TOY)
    before = in_process(tmp_path, HASHES)
    (tmp_path / "toy_package" / "inner.py").write_text(GREETER + "\n# changed\n")
    after = in_process(tmp_path, HASHES)
    assert before["greeter"] == after["greeter"]
    assert before["whole"] != after["whole"]


ERRORS = """
import json
from lorchestra.callable import default_registry
from lorchestra.errors import BrokenCallable
errors = {}
for entry in default_registry().entries():
    try:
        entry.load()
    except BrokenCallable as error:
        errors[entry.name] = str(error)
print(json.dumps(errors))
"""


def test_broken_packages_are_told_apart_and_leave_the_others_alone(tmp_path: Path) -> None:
    files = {**TOY, "toy_calls/sick.py": "x = 1\nraise RuntimeError('canary')\n"}
    points = {"sick": "toy_calls.sick", "gone": "toy_calls.functions:gone", "two": "toy_calls.greeter"}
    install(tmp_path, "toy", "1", {**points, "fine": "toy_calls.greeter"}, files)
    install(tmp_path, "rival", "2", {"two": "toy_calls.functions:shout"}, {})
    errors = in_process(tmp_path, ERRORS)
    assert sorted(errors) == ["gone", "sick", "two"]
    assert f"RuntimeError at {tmp_path / 'toy_calls' / 'sick.py'}:2" in errors["sick"]
    assert f"AttributeError at {tmp_path / 'toy_calls' / 'functions.py'}" in errors["gone"]
    assert "is offered more than once (rival 2, toy 1)" in errors["two"]
    assert "canary" not in json.dumps(errors)


BUILT_IN = """
import json
from lorchestra.callable import CallableRegistry
callables = CallableRegistry(built_in={"greeter": "toy_calls.greeter", "shout": "toy_package"}, entry_points=list)
entry = callables.copy().get("greeter")
answer = {"names": callables.names(), "origin": entry.origin, "hash": entry.content_hash}
callables.register("shout", lambda params: {"items": ["registered"]})
answer["items"] = [callables.dispatch(name, {"name": "x"}).items for name in callables.names()]
print(json.dumps(answer))
"""


def test_built_in_callables_are_found_by_their_module_and_may_be_replaced(tmp_path: Path) -> None:
    install(tmp_path, "toy", "1", {}, TOY)
    answer = in_process(tmp_path, BUILT_IN)
    assert answer["names"] == ["greeter", "shout"]
    assert answer["origin"] == "built in"
    assert len(answer["hash"]) == 64
    assert answer["items"] == [[{"hello": "x"}], ["registered"]]
