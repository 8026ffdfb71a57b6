"""The atlas for each contender: queries cached by themselves by the peers, fragments and functions by Everfresh."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.contenders import OURS
from benchmarks.settings import *  # noqa: F403
from benchmarks.settings import CONTENDER, INSTALLED_APPS, REDIS_DATABASE
from example.settings import EVERFRESH as EXAMPLE

ROOT_URLCONF = "example.urls"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["example.atlas" if app == "benchmarks.shop" else app for app in INSTALLED_APPS]
MIGRATION_MODULES = {"atlas": None}
DATABASES["default"]["CONN_MAX_AGE"] = None  # noqa: F405
TEMPLATES: list[dict[str, Any]] = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {}}
]

if CONTENDER in OURS:
    EVERFRESH = {**EXAMPLE, "PREFIX": f"{CONTENDER}{REDIS_DATABASE}", "NEAR": CONTENDER == "near"}
else:
    from benchmarks.page import without

    sys.modules["everfresh"] = without
    TEMPLATES[0]["OPTIONS"]["libraries"] = {"everfresh": "benchmarks.page.without_tags"}
