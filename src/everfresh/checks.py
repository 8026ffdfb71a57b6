"""System checks: what is wrong with the settings, with an id and the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import django
from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Warn
from django.core.exceptions import FieldDoesNotExist

from everfresh.conf import Settings, parse

__all__ = ["check_settings"]

_LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
_DUMMY = "django.core.cache.backends.dummy.DummyCache"


@register("everfresh")
def check_settings(**_: Any) -> list[CheckMessage]:
    """Everything that is wrong with ``EVERFRESH``.

    ``everfresh.E001`` unknown keys, ``E002`` wrong values, ``E003`` unknown models or fields, ``E004`` unknown cache,
    ``E005`` no such tasks, ``W001`` locmem in production, ``W002`` a cache that stores nothing, ``W003`` a locmem too
    small, ``W004`` a setting of an old library.
    """
    conf, problems = parse(getattr(django_settings, "EVERFRESH", {}))
    found: list[CheckMessage] = [
        Error(problem.text, hint=problem.hint, id=f"everfresh.{problem.id}") for problem in problems
    ]
    return [*found, *_check_models(conf), *_check_cache(conf), *_check_tasks(conf), *_check_old_names()]


def _check_models(conf: Settings) -> Iterator[CheckMessage]:
    for label, rule in conf.models.items():
        if label == "*":
            continue
        app, _, name = label.partition(".")
        try:
            models = list(apps.get_app_config(app).get_models()) if name == "*" else [apps.get_model(app, name)]
        except LookupError:
            yield Error(
                f"EVERFRESH['MODELS'] names {label!r}, which is not installed.",
                hint="Write the label as app_label.ModelName, or app_label.* for all models of an app.",
                id="everfresh.E003",
            )
            continue
        for field in {
            *(rule.tag_fields if rule else ()),
            *(field for names in (rule.tag_sets if rule else ()) for field in names),
        }:
            for model in models:
                try:
                    model._meta.get_field(field)
                except FieldDoesNotExist:
                    yield Error(
                        f"EVERFRESH['MODELS'][{label!r}] names {field!r}, which {model._meta.label} lacks.",
                        hint="Name fields of the model itself, without lookups.",
                        id="everfresh.E003",
                    )


def _check_cache(conf: Settings) -> Iterator[CheckMessage]:
    cache = django_settings.CACHES.get(conf.cache)
    if cache is None:
        yield Error(
            f"EVERFRESH['CACHE'] is {conf.cache!r}, which CACHES does not define.",
            hint=f"CACHES defines {', '.join(sorted(django_settings.CACHES))}.",
            id="everfresh.E004",
        )
        return
    backend = cache.get("BACKEND")
    if backend == _LOCMEM and not django_settings.DEBUG:
        yield Warn(
            f"The cache {conf.cache!r} lives in the memory of one process, and DEBUG is False.",
            hint="Writes of one process do not reach the others: use Redis, Memcached or a database.",
            id="everfresh.W001",
        )
    if backend == _LOCMEM and cache.get("OPTIONS", {}).get("MAX_ENTRIES", 300) < 10_000:
        yield Warn(
            f"The cache {conf.cache!r} holds {cache.get('OPTIONS', {}).get('MAX_ENTRIES', 300)} entries.",
            hint="Each answer takes one entry and each tag another: set OPTIONS = {'MAX_ENTRIES': 100_000}.",
            id="everfresh.W003",
        )
    if backend == _DUMMY:
        yield Warn(
            f"The cache {conf.cache!r} stores nothing.",
            hint="Name another cache in EVERFRESH['CACHE'], or switch off with EVERFRESH['ENABLED'] = False.",
            id="everfresh.W002",
        )


def _check_tasks(conf: Settings) -> Iterator[CheckMessage]:
    alias = conf.refresh_tasks
    if alias is None:
        return
    if django.VERSION < (6, 0):
        yield Error(
            f"EVERFRESH['REFRESH_TASKS'] is {alias!r}, and this Django has no tasks.",
            hint="They came with Django 6.0. Set it to None: who asks for an old result computes it anew.",
            id="everfresh.E005",
        )
    elif alias not in django_settings.TASKS:
        yield Error(
            f"EVERFRESH['REFRESH_TASKS'] is {alias!r}, which TASKS does not define.",
            hint=f"TASKS defines {', '.join(sorted(django_settings.TASKS))}.",
            id="everfresh.E005",
        )


_OLD: Mapping[str, Mapping[str, str]] = {
    "everfresh.compat.cachebot": {
        "CACHEBOT_CACHE_ALL": 'EVERFRESH = {"CACHE_ALL": True} says the same.',
        "CACHEBOT_CACHE_GET": 'EVERFRESH = {"CACHE_GET": True} says the same.',
        "CACHEBOT_DEBUG_RESULTS": 'EVERFRESH = {"FROM_CACHE": True} says the same.',
        "CACHEBOT_ENABLE_LOG": "Set the logger 'cachebot.logger' to DEBUG in LOGGING.",
        "CACHEBOT_LOCAL_CACHE": "There is nothing to choose: a transaction has an overlay of its own.",
        "CACHEBOT_TABLE_BLACKLIST": 'EVERFRESH = {"EXCLUDE": ["app.Model", ...]} says the same, with labels of models.',
        "CACHE_INVALIDATION_TIMEOUT": "There are no tombstones whose time could be too short.",
        "CACHE_PREFIX": 'EVERFRESH = {"PREFIX": ...} says the same.',
        "CACHE_SECONDS": 'EVERFRESH = {"TIMEOUT": ...} says the same, with None for 0.',
        "RUNNING_TESTS": 'EVERFRESH = {"FROM_CACHE": True} in the settings of the tests says what is left of it.',
    },
}
"""The settings of the old libraries and what to write instead, by the app that stands for the library."""


def _check_old_names() -> Iterator[CheckMessage]:
    for app, names in _OLD.items():
        own = {name for name in names if name.startswith(app.rpartition(".")[2].upper())}
        given = {name for name in names if hasattr(django_settings, name)}
        # Names that others use too count only where the library is, or was.
        for name in sorted(given if given & own or apps.is_installed(app) else given & own):
            yield Warn(
                f"{name} is a setting of {app.rpartition('.')[2]}, which Everfresh does not read.",
                hint=names[name],
                id="everfresh.W004",
            )
