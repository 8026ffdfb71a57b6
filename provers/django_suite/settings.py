"""The suite's own settings, on the database and the store that `provers.django_suite.__main__` chose."""

from __future__ import annotations

import json
import os
from typing import Any

from test_sqlite import *  # noqa: F403  the suite's

CHOSEN: dict[str, Any] = json.loads(os.environ["EVERFRESH_DJANGO_SUITE"])

if CHOSEN["databases"]:
    DATABASES = CHOSEN["databases"]
# Everfresh's is an alias of its own: many tests put something else in the place of "default". The plain run has it too.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, **CHOSEN["caches"]}
TEST_RUNNER = "provers.django_suite.inside.Runner"

if CHOSEN["cached"]:
    from provers.django_suite.inside import namespace

    EVERFRESH = {
        "CACHE": "everfresh",
        "CACHE_ALL": True,
        "EXCLUDE": [],
        "MODELS": {"*": {"rows": CHOSEN["rows"]}},
        "NEAR": CHOSEN["near"],
        "PREFIX": namespace,
        "VERIFY": CHOSEN["verify"],
    }
