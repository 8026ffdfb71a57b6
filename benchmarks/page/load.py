"""``python -m benchmarks.page.load``: tables and places, by whichever contender the environment names."""

from __future__ import annotations

import django

CITIES = 5000  # the largest


def main() -> None:
    """Make the tables and fill them."""
    django.setup()

    from django.core.management import call_command
    from rich.progress import Progress

    from example.atlas.loading import load

    call_command("migrate", run_syncdb=True, verbosity=0)
    with Progress(disable=True) as progress:
        load(progress, CITIES)


if __name__ == "__main__":
    main()
