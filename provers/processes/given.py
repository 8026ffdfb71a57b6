"""What a worker process is told: its Django settings, in one variable of the environment."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from provers.processes.scenarios import Demand, Scenario
from tests.servers import Server

__all__ = ["cache_of", "database_of", "environment"]

SHARDS = 4
STORE_SECONDS = 0.3
LEASE_SECONDS = 3.0


def environment(scenario: Scenario, database: dict[str, Any], cache: dict[str, Any], scratch: Path) -> dict[str, str]:
    """The environment of the workers of one run, under a namespace of its own."""
    given: dict[str, Any] = {
        "contender": scenario.contender,
        "run": f"run-{secrets.token_hex(4)}",
        "database": database,
        "cache": cache,
        "mark_seconds": scenario.mark_seconds,
        "store_seconds": STORE_SECONDS,
        "lease_seconds": LEASE_SECONDS,
        "near": scenario.near,
        "near_seconds": scenario.near_seconds,
        "is_bounded": scenario.demand is Demand.BOUNDED,
        "board": str(scratch / "board"),
        "workers": scenario.workers,
        "threads": scenario.threads,
        "counters": scenario.counters,
        "shards": min(SHARDS, scenario.counters),
        "atomic": scenario.atomic,
        "suicides": scenario.suicides,
        "dawdle": scenario.dawdle,
        "turns": str(scratch / "turn") if scenario.turns else "",
        "simple": scenario.simple,
        "reads_per_write": scenario.reads_per_write,
        "writers": scenario.writers,
        "seed": secrets.token_hex(4),
    }
    return {**os.environ, "EVERFRESH_PROCESSES": json.dumps(given), "DJANGO_SETTINGS_MODULE": ""}


def database_of(scenario: Scenario, server: Server) -> dict[str, Any]:
    """The entry of ``DATABASES``."""
    options: dict[str, Any] = {}
    if scenario.db == "mariadb":
        options = {"isolation_level": scenario.isolation}
    elif scenario.isolation == "repeatable read":
        options = {"options": "-c default_transaction_isolation=repeatable\\ read"}
    return {
        "ENGINE": {"postgresql": "django.db.backends.postgresql", "mariadb": "django.db.backends.mysql"}[scenario.db],
        "NAME": "everfresh_processes",
        "HOST": server.host,
        "PORT": server.port,
        "USER": {"postgresql": "everfresh", "mariadb": "root"}[scenario.db],
        "OPTIONS": options,
        "CONN_MAX_AGE": None,
    }


def cache_of(scenario: Scenario, host: str, port: int) -> dict[str, Any]:
    """The entry of ``CACHES``."""
    if scenario.store == "memcached":
        return {
            "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
            "LOCATION": f"{host}:{port}",
        }
    return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"redis://{host}:{port}/0"}
