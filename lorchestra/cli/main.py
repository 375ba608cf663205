"""Assembles the commands, and turns how they end into an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Annotated, ClassVar

import typer

from lorchestra import __version__, errors
from lorchestra.cli import exit_codes, mistakes, output
from lorchestra.cli.lazy_group import LazyGroup
from lorchestra.cli.state import Finished, LogFormat, State
from lorchestra.cli.streams import Streams
from lorchestra.cli.values import not_empty

# Options of `lorchestra` itself that may as well stand behind the command; True where a value follows.
GLOBAL_OPTIONS = {
    "--profile": True,
    "--log-format": True,
    "--verbose": False,
    "-v": False,
    "--quiet": False,
    "-q": False,
    "--show-values": False,
    "--debug": False,
}


class Commands(LazyGroup):
    commands_by_name: ClassVar[Mapping[str, tuple[str, str]]] = {
        "demo": ("lorchestra.cli.demo", "Run the daily pipeline of a made-up clinic."),
        "init": ("lorchestra.cli.init", "Begin a project of your own."),
        "exec": ("lorchestra.cli.exec_", "Run jobs and pipelines, and see what they would do."),
        "run": ("lorchestra.cli.exec_", "Run a job: the short form of `exec job`."),
        "jobs": ("lorchestra.cli.jobs", "List, show and validate job definitions."),
        "pipelines": ("lorchestra.cli.pipelines", "List and show pipelines."),
        "runs": ("lorchestra.cli.runs", "List, show, resume and prune runs."),
        "callables": ("lorchestra.cli.callables", "List what jobs can call."),
        "quarantine": ("lorchestra.cli.quarantine", "List, show and replay records that could not be processed."),
        "ledger": ("lorchestra.cli.ledger", "Say who wrote a row."),
        "storacle": ("lorchestra.cli.storacle", "Serve the data plane to other processes, and check it."),
        "smoke": ("lorchestra.cli.smoke", "List and remove what smoke runs made."),
        "sql": ("lorchestra.cli.sql", "See what SQL is supported."),
        "schema": ("lorchestra.cli.schema", "Print the JSON Schema of a kind of file."),
    }


app = typer.Typer(
    name="lorchestra",
    cls=Commands,
    help="Run YAML jobs: compiled, recorded, and safe to kill at any moment.",
    epilog="The options above may also stand behind the command.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        output.line(f"lorchestra {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", callback=not_empty, help="The profile of lorchestra.yaml to use.")
    ] = None,
    log_format: Annotated[LogFormat | None, typer.Option(help="For people, or JSON lines for machines.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every event (level DEBUG).")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings and errors only.")] = False,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Show the messages of callables' errors, on the console only.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error was raised.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = State(
        profile=profile,
        log_format=log_format,
        log_level="DEBUG" if verbose else "WARNING" if quiet else None,
        show_values=show_values,
        debug=debug,
    )


def main() -> None:
    # Looking for plugins of pydantic through every installed package would take as long as all of our own start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    streams = Streams()
    code = run(sys.argv[1:])
    if (reason := streams.flush()) is not None:
        output.error(f"error: not all of the output could be written: {reason}")
        code = code or exit_codes.FAILED
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Carry out a command line; its exit code."""
    arguments = global_options_first(arguments)
    error: Exception
    try:
        # A number is how typer ends after help, or after Ctrl-C.
        ended = app(arguments, prog_name="lorchestra", standalone_mode=False)
        return ended if isinstance(ended, int) else exit_codes.COMPLETED
    except Finished as finished:
        return finished.code
    except typer.Abort:
        return exit_codes.INTERRUPTED
    except mistakes.UsageError as mistake:
        output.error(mistakes.of_usage(mistake))
        return exit_codes.USAGE
    except errors.LorchestraError as raised:
        error, code, said = raised, exit_codes.of_error(raised), mistakes.of_error(raised)
    except Exception as raised:  # noqa: BLE001  (the edge of the process)
        # Not an error of ours, so its message may hold values.
        error, code = raised, exit_codes.FAILED
        said = "error: lorchestra failed in a way it did not expect; please report what --debug shows"
    output.error(said)
    if "--debug" in arguments:
        output.trace(error)
    return code


def global_options_first(arguments: list[str]) -> list[str]:
    """The same command line with the options of `lorchestra` itself in front, wherever they stood."""
    first: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            return [*first, *rest, argument, *remaining]
        name = argument.split("=", 1)[0]
        if name not in GLOBAL_OPTIONS:
            rest.append(argument)
            continue
        first.append(argument)
        if GLOBAL_OPTIONS[name] and "=" not in argument:
            value = next(remaining, None)
            if value is None:
                # In front of the rest, it would take the command for its value.
                return first
            first.append(value)
    return [*first, *rest]
