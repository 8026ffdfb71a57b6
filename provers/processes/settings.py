"""The Django project of one worker process; the environment says which contender, database and store."""

from __future__ import annotations

import json
import os
from typing import Any

GIVEN: dict[str, Any] = json.loads(os.environ["EVERFRESH_PROCESSES"])
CONTENDER: str = GIVEN["contender"]

SECRET_KEY = "not a secret, only long enough to be taken for one"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES: dict[str, Any] = {"default": GIVEN["database"]}
CACHES: dict[str, Any] = {"default": GIVEN["cache"]}
INSTALLED_APPS = ["provers.processes.counting"]

if CONTENDER == "everfresh":
    INSTALLED_APPS += ["everfresh"]
    EVERFRESH = {
        "CACHE_ALL": True,
        "NEAR": GIVEN["near"],
        "PREFIX": GIVEN["run"],
        # A write that cannot be announced does not happen: with "retry" there is a documented window.
        "ON_MARK_FAILURE": "raise",
        "LIMITS": {
            "MARK_SECONDS": GIVEN["mark_seconds"],
            "STORE_SECONDS": GIVEN["store_seconds"],
            "LEASE_SECONDS": GIVEN["lease_seconds"],
            "NEAR_SECONDS": GIVEN["near_seconds"],
        },
    }
elif CONTENDER == "cacheops":
    INSTALLED_APPS += ["cacheops"]
    CACHEOPS_REDIS = GIVEN["cache"]["LOCATION"]
    CACHEOPS = {"*.*": {"ops": "all", "timeout": 3600}}
    CACHEOPS_PREFIX = "provers.processes.settings.prefix"
elif CONTENDER == "cachalot":
    INSTALLED_APPS += ["cachalot"]
    CACHES["default"] = {**CACHES["default"], "KEY_PREFIX": GIVEN["run"]}


def prefix(_query: object) -> str:
    """Each run has a namespace of its own, for cacheops too."""
    return f"{GIVEN['run']}:"
