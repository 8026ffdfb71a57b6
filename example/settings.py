"""An ordinary Django project. What concerns Everfresh is its line in INSTALLED_APPS, CACHES and EVERFRESH.

ATLAS_DATABASE  the SQLite file; made by ``manage.py migrate``
ATLAS_REDIS     where a Redis listens; without it the cache is in this process
"""

import os
import tempfile
from pathlib import Path

SECRET_KEY = "an example keeps no secrets"
DEBUG = False
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "everfresh",
    "example.atlas",
]

ROOT_URLCONF = "example.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("ATLAS_DATABASE", Path(tempfile.gettempdir(), "everfresh-atlas.sqlite3")),
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"},
    }
}

if "ATLAS_REDIS" in os.environ:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["ATLAS_REDIS"],
        }
    }
else:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 1_000_000},
        }
    }
    SILENCED_SYSTEM_CHECKS = ["everfresh.W001"]  # other processes would not see our writes; there are none

EVERFRESH = {
    "MODELS": {
        # Small, read everywhere, seldom written: every query of these is cached, and no query has to say so.
        "atlas.Continent": {"ops": "all"},
        "atlas.Country": {"ops": "all"},
        # Of the cities only these. Lists of cities are cached where a query says `.cache()`.
        "atlas.City": {"ops": ["get", "count", "exists", "aggregate"]},
    },
}
