"""``python -m benchmarks NAME [--quick] [--json]``: one benchmark; ``--json`` prints one object on standard output."""

from __future__ import annotations

import argparse
import importlib
import json
import sys

NAMES = ("ingest", "load", "slices", "slow-line", "truth", "uploads", "volume")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--quick", action="store_true", help="fewer instances and runs: ends within 3 minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output, nothing else")
    arguments = parser.parse_args()
    benchmark = importlib.import_module(f"benchmarks.{arguments.name.replace('-', '_')}")
    figures = benchmark.measure(quick=arguments.quick, say=lambda line: print(line, file=sys.stderr, flush=True))
    if arguments.json:
        print(json.dumps(figures))
    else:
        benchmark.show(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
