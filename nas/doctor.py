"""Command line: `python -m nas.doctor`: what is wrong here, or between two runs."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from nas.common.cli import exit_code


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    return _compare(args) if args.compare else _examine(args.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.doctor",
        description="Check this machine and say what to fix; exit code 1 when something fails.",
    )
    add = parser.add_argument
    add("--compare", nargs=2, metavar="RUN", help="say instead what differs between two runs")
    add("--json", action="store_true", help="print JSON")
    return parser


def _examine(as_json: bool) -> int:
    from nas.health import FAIL, findings

    found = []
    for finding in findings():
        found.append(finding)
        if not as_json:
            print(f"{finding.level:4}  {finding.check}: {finding.found}", flush=True)
            if finding.advice:
                print(f"      -> {finding.advice}", flush=True)
    if as_json:
        print(json.dumps([dataclasses.asdict(finding) for finding in found]))
    return int(any(finding.level == FAIL for finding in found))


def _compare(args: argparse.Namespace) -> int:
    from nas.search.compare import differences

    lines = differences(*map(Path, args.compare))
    if args.json:
        print(json.dumps(lines))
    else:
        print("\n".join(lines) or "no difference but the time they took")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(exit_code(main))
