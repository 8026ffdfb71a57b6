"""Make the database of a run, in a process that has its settings."""

from __future__ import annotations

from django.conf import settings
from django.db import connection, connections

from provers.processes.counting.models import Counter, Holder, Step


def prepare() -> None:
    """Create the database where it is missing, and its tables anew; leaves no connection open."""
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
    connections.close_all()
