"""One process of the crowd: ``python -m provers.stampede.crowd <threads>``.

It says "ready", and then answers each line, a time and the seconds that the function is to take, with a line of JSON:
how often the function ran and the database was asked, and for each of its threads the outcome, the value and the
seconds it took. Before that it says "computing", each time that the function begins.
"""

from __future__ import annotations

import json
import os
import sys

import django

from everfresh.events import listening


def main() -> None:
    """Answer line by line."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "provers.processes.settings"
    django.setup()
    from provers.stampede.threads import note, together

    threads = int(sys.argv[1])
    print("ready", flush=True)
    with listening(note):
        for line in sys.stdin:
            at, seconds = map(float, line.split())
            print(json.dumps(together(threads, at, seconds)), flush=True)


if __name__ == "__main__":
    main()
