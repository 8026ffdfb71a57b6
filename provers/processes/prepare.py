"""Make the database of a run: ``python -m provers.processes.prepare``."""

from __future__ import annotations

import os

import django
from django.conf import settings


def main() -> None:
    """Create the database where it is missing, and its tables anew."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "provers.processes.settings"
    django.setup()
    from django.db import connection

    from provers.processes.counting.models import Counter, Holder, Step

    with connection._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        name = settings.DATABASES["default"]["NAME"]
        if connection.vendor == "mysql":
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS {name}")
        else:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if not cursor.fetchone():
                cursor.execute(f"CREATE DATABASE {name}")
    existing = connection.introspection.table_names()
    with connection.schema_editor() as editor:
        for model in (Step, Holder, Counter):
            if model._meta.db_table in existing:
                editor.delete_model(model)
        for model in (Counter, Holder, Step):
            editor.create_model(model)
    counters = settings.GIVEN["counters"]
    Counter.objects.bulk_create(Counter(id=at + 1, shard=at % settings.GIVEN["shards"]) for at in range(counters))
    Holder.objects.bulk_create(Holder(counter_id=at + 1) for at in range(counters))


if __name__ == "__main__":
    main()
