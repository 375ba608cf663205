"""The command line: the only place that prints or picks exit codes."""

from lorchestra.cli.main import main

__all__ = ["main"]
