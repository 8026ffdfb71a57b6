"""One Django project, many combinations: the environment names the database and the store.

EVERFRESH_TEST_DB     sqlite (default), postgresql, mariadb
EVERFRESH_TEST_STORE  locmem (default), redis, memcached, file, database

Servers start here, before Django connects, once per test run. What they listen on is left in the environment, so that
the processes a test starts find the same servers and the same databases.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import servers

if TYPE_CHECKING:
    from collections.abc import Callable

DB = os.environ.get("EVERFRESH_TEST_DB", "sqlite")
STORE = os.environ.get("EVERFRESH_TEST_STORE", "locmem")


def _inherited(name: str, make: Callable[[], object]) -> str:
    """The environment variable, made first if this process is the one at the top."""
    if name not in os.environ:
        os.environ[name] = str(make())
    return os.environ[name]


def _scratch() -> Path:
    return Path(_inherited("EVERFRESH_TEST_SCRATCH", lambda: servers.scratch_directory("tests")))


def _port_of(start: Callable[[], servers.Server]) -> int:
    name = start.__name__.removesuffix("_server").upper()
    return int(_inherited(f"EVERFRESH_TEST_{name}_PORT", lambda: start().port))


def _database(name: str) -> dict[str, Any]:
    # TEST NAME is NAME, so that a process which a test starts, and which knows nothing of tests, reads the same rows.
    match DB:
        case "sqlite":
            # A file, not memory: threads with connections of their own must meet in it.
            path = str(_scratch() / f"{name}.sqlite3")
            return {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": path,
                "OPTIONS": {"timeout": 20, "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"},
                "TEST": {"NAME": path},
            }
        case "postgresql":
            return {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": name,
                "HOST": servers.HOST,
                "PORT": _port_of(servers.postgresql_server),
                "USER": "everfresh",
                "TEST": {"NAME": name},
            }
        case "mariadb":
            return {
                "ENGINE": "django.db.backends.mysql",
                "NAME": name,
                "HOST": servers.HOST,
                "PORT": _port_of(servers.mariadb_server),
                "USER": "root",
                "TEST": {"NAME": name, "CHARSET": "utf8mb4"},
            }
        case _:
            raise ValueError(f"EVERFRESH_TEST_DB is {DB!r}; use sqlite, postgresql or mariadb.")


def _cache() -> dict[str, Any]:
    plenty = {"MAX_ENTRIES": 1_000_000}
    match STORE:
        case "locmem":
            return {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": plenty}
        case "redis":
            location = f"redis://{servers.HOST}:{_port_of(servers.redis_server)}/0"
            return {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": location}
        case "memcached":
            location = f"{servers.HOST}:{_port_of(servers.memcached_server)}"
            return {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", "LOCATION": location}
        case "file":
            location = str(_scratch() / "cache")
            return {
                "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
                "LOCATION": location,
                "OPTIONS": plenty,
            }
        case "database":
            return {
                "BACKEND": "django.core.cache.backends.db.DatabaseCache",
                "LOCATION": "everfresh_test_cache",
                "OPTIONS": plenty,
            }
        case _:
            raise ValueError(f"EVERFRESH_TEST_STORE is {STORE!r}; use locmem, redis, memcached, file or database.")


SECRET_KEY = "not a secret, only long enough to be taken for one"
DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "tests.urls"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "everfresh",
    "everfresh.compat.cachebot",
    "everfresh.contrib.audit",
    "example.atlas",
    "tests.library",
    "tests.published",
    "tests.seeds.blog",
    "tests.seeds.photos",
    "tests.seeds.shelves",
    "tests.seeds.sweeping",
]

# Tables without migrations are made first, and they may point to these: so these are made without migrations too.
MIGRATION_MODULES = {"admin": None, "auth": None, "contenttypes": None, "sessions": None}

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
STATIC_URL = "/static/"

DATABASES = {"default": _database("everfresh_default"), "other": _database("everfresh_other")}
CACHES = {"default": _cache()}
EVERFRESH: dict[str, Any] = {}
