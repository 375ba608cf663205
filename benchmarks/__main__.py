"""Measures everything, or the benchmarks that are named: `python -m benchmarks [--json] [startup steps stream ...]`."""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks import processes, startup, steps, stream, upserts
from benchmarks.figure import print_table

BENCHMARKS = {
    "startup": startup.measure,
    "steps": steps.measure,
    "stream": stream.measure,
    "processes": processes.measure,
    "upserts": upserts.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which to measure; all without any")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    figures = [figure for name in asked.names or BENCHMARKS for figure in BENCHMARKS[name]()]
    if asked.json:
        print(json.dumps([figure.to_dict() for figure in figures], indent=2))
    else:
        print_table(figures)
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
