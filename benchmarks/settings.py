"""One Django project for all contenders: the environment says which one, and where the servers listen.

Each contender is set up as its documentation recommends, caches everything it can, and has a database of its own on
one Redis. The data are in one PostgreSQL database that all of them use.
"""

from __future__ import annotations

import os
from typing import Any

CONTENDER = os.environ["BENCHMARK_CONTENDER"]
REDIS = os.environ["BENCHMARK_REDIS"]
REDIS_DATABASES = {"plain": 0, "cacheops": 1, "cachalot": 2, "everfresh": 3}

SECRET_KEY = "not a secret, only long enough to be taken for one"
DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["benchmarks.shop"]
SILENCED_SYSTEM_CHECKS: list[str] = []

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "benchmarks",
        "HOST": "127.0.0.1",
        "PORT": os.environ["BENCHMARK_POSTGRESQL_PORT"],
        "USER": "everfresh",
    }
}
LOCATION = f"{REDIS}/{REDIS_DATABASES[CONTENDER]}"
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
    case "everfresh":
        INSTALLED_APPS += ["everfresh"]
        EVERFRESH = {"CACHE_ALL": True}
