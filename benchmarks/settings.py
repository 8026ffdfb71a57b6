"""One Django project for all contenders: the environment says which one, and where the servers listen.

Each contender is set up as its documentation recommends, caches everything it can, and has a database of its own on
one Redis.
"""

from __future__ import annotations

import os
from typing import Any

CONTENDER = os.environ["BENCHMARK_CONTENDER"]
REDIS_DATABASE = int(os.environ["BENCHMARK_REDIS_DATABASE"])
LOCATION = f"{os.environ['BENCHMARK_REDIS']}/{REDIS_DATABASE}"

SECRET_KEY = "not a secret, only long enough to be taken for one"
DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["benchmarks.shop"]
SILENCED_SYSTEM_CHECKS: list[str] = []

DATABASES: dict[str, dict[str, Any]] = {
    "postgresql": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["BENCHMARK_NAME"],
        "HOST": "127.0.0.1",
        "PORT": os.environ["BENCHMARK_POSTGRESQL_PORT"],
        "USER": "everfresh",
    },
    "sqlite": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["BENCHMARK_NAME"],
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "transaction_mode": "IMMEDIATE",
        },
    },
}
DATABASES = {"default": DATABASES[os.environ["BENCHMARK_DATABASE"]]}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": LOCATION}}

match CONTENDER:
    case "plain":
        CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    case "cacheops":
        INSTALLED_APPS += ["cacheops"]
        CACHEOPS_REDIS = LOCATION
        CACHEOPS = {"*.*": {"ops": "all", "timeout": 60 * 60}}
    case "cachalot":
        INSTALLED_APPS += ["cachalot"]
    case "everfresh" | "near":
        INSTALLED_APPS += ["everfresh"]
        # Redis tells of changed keys by their names, whichever of its databases they are in.
        EVERFRESH = {"CACHE_ALL": True, "PREFIX": f"{CONTENDER}{REDIS_DATABASE}", "NEAR": CONTENDER == "near"}
