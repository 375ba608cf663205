"""Measures everything, or the benchmarks that are named: `python -m benchmarks [--json] [startup steps stream ...]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks import canonize, day, dlt_merge, processes, reads, startup, steps, stream, upserts
from benchmarks.figure import Figure, NotMeasured, print_table

BENCHMARKS: Mapping[str, Callable[[], Sequence[Figure | NotMeasured]]] = {
    "startup": startup.measure,
    "steps": steps.measure,
    "stream": stream.measure,
    "processes": processes.measure,
    "upserts": upserts.measure,
    "dlt_merge": dlt_merge.measure,
    "reads": reads.measure,
    "canonize": canonize.measure,
    "day": day.measure,
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
    # Who asks for all may lack what one of them needs; who names it wants its figure.
    required = [figure for figure in figures if asked.names or isinstance(figure, Figure)]
    return 0 if all(figure.holds for figure in required) else 1


if __name__ == "__main__":
    sys.exit(main())
