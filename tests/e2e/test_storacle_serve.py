"""`lorchestra storacle serve` as a process, and jobs of other projects that use it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from lorchestra.storacle.http_server import listen
from tests.data_plane import rows_in
from tests.e2e.cli import DEADLINE_S, Project, clean_environment
from tests.forked_python import TalkingPython

TOKEN = "canary-token-51b7"
WITH_TOKEN = {"STORACLE_TOKEN": TOKEN}


class Serving:
    """A service that listens, in a project of its own."""

    def __init__(self, process: TalkingPython, error: Path) -> None:
        self.process = process
        self._error = error
        line = process.stdout.readline()
        self.url = line.split()[-1] if line else ""
        assert line == f"storacle serves {self.url}\n", self.said()

    def said(self) -> str:
        return self._error.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


@contextmanager
def serving(root: Path, *arguments: str, environ: Mapping[str, str] = WITH_TOKEN) -> Iterator[Serving]:
    root.mkdir(exist_ok=True)
    arguments = ("lorchestra", "storacle", "serve", "--port", "0", *arguments)
    error = root / "serve.err"
    with (
        error.open("wb") as stderr,
        TalkingPython(
            *arguments, errors=stderr.fileno(), cwd=root, environ=clean_environment(root, environ), strict=False
        ) as process,
    ):
        try:
            yield Serving(process, error)
        finally:
            process.kill()


def using(project: Project, url: str, token: str = "env:STORACLE_TOKEN") -> Project:
    return project.settings(f"storacle: {{kind: http, url: '{url}', token: '{token}'}}\n")


def rows(root: Path) -> list[int]:
    return sorted(row["number"] for row in rows_in(root / ".lorchestra" / "data.db", "raw", "people"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the project that serves."""
    return tmp_path / "data"


def test_a_job_writes_to_the_service_that_its_settings_name(people: Project, data: Path) -> None:
    with serving(data, "--token", "env:STORACLE_TOKEN", "--verbose") as service:
        using(people, service.url)
        first = people("run", "people", "--payload", "count=3", environ=WITH_TOKEN).require(0)
        people("run", "people", "--payload", "count=5", environ=WITH_TOKEN).require(0)
        assert service.stop() == 0

    assert rows(data) == [0, 1, 2, 3, 4]
    assert not (people.root / ".lorchestra" / "data.db").exists()
    assert "storacle.http_answered" in service.said()
    assert TOKEN not in service.said() + first.out + first.err
    assert "Traceback" not in service.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(data: Path, number: int) -> None:
    with serving(data) as service:
        assert service.stop(number) == 0

    assert "storacle.stopped" in service.said()


def test_the_token_of_the_settings_is_asked_for_as_well(people: Project, data: Path) -> None:
    data.mkdir()
    (data / "key").write_text(f"{TOKEN}\n")
    (data / "lorchestra.yaml").write_text("storacle: {kind: memory, token: 'file:key'}\n")
    with serving(data) as service:
        people.write("key", TOKEN)
        using(people, service.url, "file:key")("run", "people", "--payload", "count=3").require(0)
        using(people, service.url)
        refused = people("run", "people", "--payload", "count=3", environ={"STORACLE_TOKEN": "other"}).require(2)

    assert "the service does not know the caller; check the token (unauthorized)" in refused.err
    assert "storacle.http_refused  status=401" in service.said()
    assert TOKEN not in service.said() + refused.err


def test_a_service_that_comes_back_finds_its_data_and_the_run_goes_on(people: Project, data: Path) -> None:
    with serving(data, "--token", "env:STORACLE_TOKEN") as service:
        url = service.url
    using(people, url)
    dead = people("run", "people", "--payload", "count=3", environ=WITH_TOKEN).require(2)
    assert "the service cannot be reached; check storacle.url" in dead.err
    assert "storacle.retrying" in dead.err

    with serving(data, "--token", "env:STORACLE_TOKEN", "--port", url.rpartition(":")[2]):
        (run,) = people.runs()
        people("runs", "resume", run.run_id, environ=WITH_TOKEN).require(0)

    assert rows(data) == [0, 1, 2]


def test_a_job_without_its_secret_does_not_start(people: Project) -> None:
    refused = using(people, "http://127.0.0.1:9")("run", "people", "--payload", "count=3").require(78)

    assert "the secret `env:STORACLE_TOKEN` cannot be used" in refused.err
    assert people.runs() == ()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("storacle: {kind: http}", "found storacle.kind http without storacle.url"),
        ("storacle: {kind: http, url: 'https://me:pass@host'}", "found no plain URL"),
        ("storacle: {kind: http, url: 'http://host', token: 'env:STORACLE_TOKEN'}", "use 'https:'"),
        ("storacle: {kind: http, url: 'http://host?pass'}", "storacle.url must look like"),
    ],
)
def test_settings_that_cannot_work_are_told(people: Project, settings: str, said: str) -> None:
    refused = people.settings(settings)("run", "people", "--payload", "count=3", environ=WITH_TOKEN).require(78)

    assert said in refused.err
    assert "pass@" not in refused.err
    assert people.runs() == ()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--host", "0.0.0.0"], 78, "storacle serves without a token on loopback only"),
        (["--token", "env:NOT_SET"], 78, "the environment variable is not set"),
        (["--token", TOKEN], 64, "found a plain value; expected `env:NAME` or `file:/path`"),
        (["--port", "65536"], 64, "--port"),
        (["--host", ""], 64, "it is empty"),
    ],
)
def test_what_it_cannot_do_it_tells(project: Project, arguments: list[str], code: int, said: str) -> None:
    refused = project("storacle", "serve", *arguments).require(code)

    assert said in refused.err
    assert TOKEN not in refused.err


def test_a_port_that_is_taken_is_told(project: Project) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        refused = project("storacle", "serve", "--port", port).require(78)

    assert f"storacle cannot listen on 127.0.0.1, port {port}: Address already in use" in refused.err


def test_what_is_elsewhere_is_not_served_on(project: Project) -> None:
    refused = project.settings("storacle: {kind: http, url: 'http://127.0.0.1:9'}")("storacle", "serve").require(78)

    assert "storacle.kind is http, so the service is another process's" in refused.err


def test_it_can_listen_to_every_address_with_a_token(people: Project, data: Path) -> None:
    with serving(data, "--token", "env:STORACLE_TOKEN", "--host", "0.0.0.0") as service:
        assert service.url.startswith("http://0.0.0.0:")
        port = int(service.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)):
            pass
        using(people, f"http://127.0.0.1:{port}")
        people("run", "people", "--payload", "count=1", environ=WITH_TOKEN).require(0)
