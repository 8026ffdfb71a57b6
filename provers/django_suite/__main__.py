"""The command: the suite twice, one comparison, one verdict."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import django

from provers.django_suite.comparing import MINIMUM, Comparison, Run, compare
from provers.django_suite.expected import expected_failures
from provers.django_suite.labels import EXTENTS, labels_of
from provers.django_suite.report import show
from provers.django_suite.running import Suite, run_all
from provers.django_suite.source import suite
from tests import servers

LEAST_NEAR = 0.3
"""Of the answers read back with ``--near``, those from copies. In transactions there are none of what these wrote."""


def main() -> int:
    """Run, compare, show."""
    options = _options()
    tests = suite()
    labels = options.labels or labels_of(options.extent, tests, options.db)
    labels = [label for label in labels if (tests / label.partition(".")[0]).is_dir()]
    work = Path(options.work or servers.scratch_directory("django-suite"))
    plain, cached = Path(options.plain or work / "plain"), work / "cached"
    folders = {"cached": cached} if options.plain and plain.exists() else {"plain": plain, "cached": cached}
    more = {
        "patterns": options.k,
        "echo": not options.no_echo,
        "verify": float(options.verify),
        "rows": options.rows,
        "near": options.near,
        "committed": options.committed,
    }
    chosen = Suite(tests=tests, labels=labels, db=options.db, store=options.store, options=more)
    run_all(chosen, folders, at_once=options.at_once)
    expected = expected_failures(rows=options.rows)
    found = compare(Run.of(plain, labels), Run.of(cached), _least(options, labels), expected)
    if options.near and not options.no_echo:
        found.least_near = int(LEAST_NEAR * found.total().echoes)
    modes = ("verify", "rows", "near", "committed")
    found.about = {
        "django": django.get_version(),
        "db": options.db,
        "store": options.store,
        "mode": "".join(f" --{mode}" for mode in modes if getattr(options, mode)),
        "python": sys.version,
    }
    if options.record:
        _record(found, options.db)
    show(found, details=options.details)
    if options.json:
        Path(options.json).write_text(json.dumps(found.as_json(), indent=1) + "\n")
    return 0 if found.is_proved else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m provers.django_suite", description=__doc__)
    parser.add_argument("--db", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--store", choices=["locmem", "redis"], default="locmem")
    parser.add_argument("--labels", nargs="*", help="of the suite; default: those of the extent")
    parser.add_argument("--extent", choices=EXTENTS, default="orm", help="default: all labels that touch the ORM")
    parser.add_argument("-k", action="append", help="only tests of this name pattern")
    parser.add_argument("--verify", action="store_true", help="ask the database again after every hit, and compare")
    parser.add_argument("--rows", action="store_true", help="rows have entries of their own, and lists point to them")
    parser.add_argument("--near", action="store_true", help="with near copies; wants --store redis")
    parser.add_argument("--committed", action="store_true", help="no transaction around each test: all writes commit")
    parser.add_argument("--no-echo", action="store_true", help="do not read back each answer that was stored")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="so many processes; default: one")
    parser.add_argument("--details", action="store_true", help="print the tracebacks of new failures")
    parser.add_argument("--json", help="write the outcome to this file")
    parser.add_argument("--plain", help="take the plain run from this directory, if an earlier --work left it there")
    parser.add_argument("--work", help="keep outcomes and logs in this directory")
    parser.add_argument("--record", action="store_true", help="take this run's hits as the minimum, less a margin")
    return parser.parse_args()


def _least(options: argparse.Namespace, labels: list[str]) -> dict[str, dict[str, int]]:
    """What is asked of each label; nothing of a part of one."""
    if options.k or any("." in label for label in labels):
        return {}
    least = _minimum().get(options.db, {})
    kinds = ["hits"] if options.no_echo else ["hits", "echoes"]
    return {label: {kind: numbers[kind] for kind in kinds} for label, numbers in least.items() if label in labels}


def _minimum() -> dict[str, dict[str, dict[str, int]]]:
    return json.loads(MINIMUM.read_text()) if MINIMUM.exists() else {}


def _record(found: Comparison, db: str) -> None:
    """Three quarters of the hits of this run; of several runs on one database, the least."""
    known = _minimum()
    least = known.setdefault(db, {})
    for label, row in found.labels.items():
        numbers = {"hits": row.hits * 3 // 4, "echoes": row.echoes * 3 // 4}
        before = least.get(label, numbers)
        least[label] = {kind: min(number, before[kind]) for kind, number in numbers.items()}
    lines = (
        f" {json.dumps(db)}: {{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(rows.items()))
        for db, rows in sorted(known.items())
    )  # one line for each label
    MINIMUM.write_text("{\n" + "\n },\n".join(lines) + "\n }\n}\n")


if __name__ == "__main__":
    sys.exit(main())
