"""The command line: the only place that prints or picks exit codes."""

from __future__ import annotations

import signal


def main() -> None:
    # Until a command says otherwise an interrupt just ends the process, also in the middle of the imports below.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from lorchestra.cli.main import main as run

    run()


__all__ = ["main"]
