"""The command: search all schemes, print the table and the shortest schedules, compare with what is expected.

python -m provers.protocol [--quick]
"""

from __future__ import annotations

import argparse
import sys

from provers.protocol.report import rows, schedules, show, totals
from provers.protocol.schemes import REJECTED


def main() -> int:
    """Search, show, judge."""
    parser = argparse.ArgumentParser(prog="python -m provers.protocol", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="each reader reads once")
    options = parser.parse_args()
    table = []
    for row in rows((1, 1) if options.quick else None):
        table.append(row)
        print(f"{row.scheme.name}: {sum(found.states for found in row.found.values()):,} states", file=sys.stderr)
    for row in table:
        if row.scheme in REJECTED or row.scheme.name.startswith("plain"):
            print("\n".join(schedules(row)))
    show(table)
    unexpected = [line for row in table for line in row.unexpected()]
    print(totals(table), "and all as expected." if not unexpected else "and not as expected:", *unexpected, sep="\n")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
