"""The ``EVERFRESH`` setting: the one place where it is read, typed and validated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from random import random
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from everfresh.typing import OPERATIONS, OnMissing

__all__ = ["DEFAULT_EXCLUDE", "Limits", "ModelRule", "Problem", "Settings", "parse", "seconds", "settings"]

DEFAULT_EXCLUDE = ("sessions.Session", "migrations.Migration", "admin.LogEntry")
"""Written at nearly every request and read by key: caching these costs more than it saves."""

_DAY = 24 * 60 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with the setting; a system check shows it."""

    id: str
    """``E001`` unknown key, ``E002`` wrong type or value, ``E003`` unknown model, …"""

    text: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where precision or caching gives way, so that no entry and no write grows without bound."""

    rows: int = 10_000
    """Rows of one answer; a longer one is not stored."""

    keys_per_chunk: int = 5_000
    """Keys in one entry of a list that points to rows; a longer list is stored in several."""

    size: int = 1_000_000
    """Bytes of one entry, packed; a larger one is not stored."""

    written_rows: int = 1_000
    """Rows of one statement whose images are read; past it the whole table is invalidated."""

    arms: int = 16
    """OR-ed alternatives of a WHERE that are told apart."""

    values: int = 128
    """Values of one ``IN (…)`` that get a tag each."""

    recorded_tags: int = 500
    """Tags of one computation; of what it reads beyond them, every write to the same tables counts."""

    mark_seconds: float = 30.0
    """How long a mark outlives a writer that died before it could say ``done``."""

    lease_seconds: float = 10.0
    """How long one reader may hold the right to store an answer, and others wait for what it computes."""

    store_seconds: float = 0.5
    """Time-out of one exchange with a store over the network."""

    compress_above: int = 8_192
    """Bytes of a body above which it is compressed, where zstd is at hand."""

    near_bytes: int = 64_000_000
    """Bytes of the copies that a process keeps near, all together."""

    near_seconds: float = 1.0
    """How long the server may be silent before near copies are passed over, and so how old one may be at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRule:
    """What ``MODELS`` says of one model."""

    operations: frozenset[str] = frozenset()
    """Which reads are cached without being asked: ``get``, ``fetch``, ``count``, ``exists``, ``aggregate``."""

    timeout: float | None = None
    """Seconds; ``None``: the project's ``TIMEOUT``."""

    rows: bool = False
    """Is each row an entry of its own, and a cached list one of pointers to rows?"""

    on_missing: OnMissing = "refresh"
    """What becomes of a list that points to a row which is gone."""

    near: bool | None = None
    """Are copies of its answers kept in each process? ``None``: as ``NEAR`` says."""

    republish: bool = False
    """Are rows of a published model published again after every write, or only dropped, but for ``save()``?"""

    tag_fields: tuple[str, ...] = ()
    """Fields that get value tags, besides keys, unique and indexed ones."""

    tag_sets: tuple[tuple[str, ...], ...] = ()
    """Sets of fields that get compound tags, besides declared constraints and indexes."""


def _unprefixed() -> str:
    return "everfresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The ``EVERFRESH`` dict, whole and typed."""

    enabled: bool = True
    """Is anything read from or stored in the cache? Writes invalidate all the same."""

    cache: str = "default"
    """The alias in ``CACHES`` that entries live in."""

    cache_all: bool = False
    """Is every query of every model cached without being asked?"""

    cache_get: bool = False
    """Is every ``get()`` of every model cached without being asked?"""

    near: bool = False
    """Are copies of answers kept in each process, where the store tells of their changes?"""

    timeout: float | None = _DAY
    """Seconds an entry lives at most; ``None``: for ever."""

    jitter: float = 0.1
    """The share, from 0 to below 1, of its timeout by which an entry's lifetime may be shortened by chance."""

    prefix: Callable[[], str] = _unprefixed
    """The namespace of every key now; a callable for tenants."""

    models: Mapping[str, ModelRule | None] = field(default_factory=dict)
    """Rules by ``"app.model"``, ``"app.*"`` and ``"*"``, lower case; ``None``: never cached."""

    exclude: frozenset[str] = frozenset(label.lower() for label in DEFAULT_EXCLUDE)
    """Labels (``"app.model"``, ``"app.*"``) never cached, whose writes are not looked at, lower case."""

    from_cache: bool = False
    """Does each result carry ``from_cache``, True or False?"""

    on_mark_failure: str = "retry"
    """When a write cannot be marked before COMMIT: ``"retry"`` (go on, retry until it is sent) or ``"raise"``."""

    pickle: bool = True
    """May results of functions be pickled, and signed, where no exact bytes are known for them?"""

    refresh_tasks: str | None = None
    """The alias in ``TASKS`` that computes old results of functions anew; ``None``: who asks for them does."""

    verify: float = 0.0
    """The share of hits, from 0 to 1, that are computed again and compared."""

    limits: Limits = field(default_factory=Limits)
    """See :class:`Limits`."""

    _rules: dict[str, ModelRule | None] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By label: what :meth:`rule` found. A project has no more labels than models."""

    def lifetime(self, timeout: float | None) -> float | None:
        """*timeout* seconds, shortened by chance: what is stored at one moment shall not end at one moment."""
        return timeout if timeout is None else timeout * (1 - self.jitter * random())  # noqa: S311  no secret

    def rule(self, label: str) -> ModelRule | None:
        """The rule for the model *label* (``"app.model"``, lower case); ``None`` is "never", and wins."""
        try:
            return self._rules[label]
        except KeyError:
            found = self._rules[label] = self._rule(label)
            return found

    def _rule(self, label: str) -> ModelRule | None:
        app = label.partition(".")[0]
        patterns = (label, f"{app}.*", "*")
        if any(pattern in self.exclude for pattern in patterns):
            return None
        found = [self.models[pattern] for pattern in patterns if pattern in self.models]
        return None if None in found else next(iter(found), ModelRule())


def seconds(value: object) -> float | None:
    """A timeout given by people as seconds: a number or a ``timedelta``; ``None`` is for ever.

    Raises:
        TypeError: for anything else.
        ValueError: when negative.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"A timeout is seconds, a timedelta or None, not {value!r}.")
    if value < 0:
        raise ValueError(f"A timeout of {value} seconds is negative; 0 stores nothing, None is for ever.")
    return float(value)


class _Wrong(Exception):
    """A value that a setting cannot take; the message says what it takes."""


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("True or False")
    return value


def _str(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _Wrong("a string that is not empty")
    return value


def _alias(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _Wrong("an alias in TASKS, or None")
    return value


def _timeout(value: object) -> float | None:
    try:
        return seconds(value)
    except (TypeError, ValueError):
        raise _Wrong("seconds (0 or more), a timedelta, or None for ever") from None


def _prefix(value: object) -> Callable[[], str]:
    if (
        isinstance(value, str)
        and 0 < len(value) <= 100
        and value.isascii()
        and value.isprintable()
        and " " not in value
    ):
        return lambda: value
    if not callable(value):
        raise _Wrong("1 to 100 printable ASCII characters without spaces, or a callable that gives them")
    return value


def _labels(value: object) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        raise _Wrong('a list of labels such as "app.Model" or "app.*"')
    return frozenset(_label(item) for item in value)


def _label(value: object) -> str:
    if isinstance(value, str) and (value == "*" or value.count(".") == 1):
        return value.lower()
    raise _Wrong('a label such as "app.Model", "app.*" or "*"')


def _failure(value: object) -> str:
    if value not in ("retry", "raise"):
        raise _Wrong('"retry" or "raise"')
    return str(value)


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _Wrong("a share from 0 (no hit is computed again) to 1 (every hit is)")
    return float(value)


def _part(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise _Wrong("a share from 0 (entries live for their whole timeout) to below 1")
    return float(value)


def _limits(value: object) -> Limits:
    names = {item.name.upper(): item for item in fields(Limits)}
    if not isinstance(value, Mapping):
        raise _Wrong(f"a dict with keys of {', '.join(sorted(names))}")
    given: dict[str, Any] = {}
    for name, number in value.items():
        if name not in names:
            raise _Wrong(f"a dict with keys of {', '.join(sorted(names))}; {name!r} is none")
        if isinstance(number, bool) or not isinstance(number, int | float) or number <= 0:
            raise _Wrong(f"a number above 0 at {name!r}")
        given[names[name].name] = int(number) if isinstance(names[name].default, int) else float(number)
    return Limits(**given)


def _models(value: object) -> Mapping[str, ModelRule | None]:
    if not isinstance(value, Mapping):
        raise _Wrong('a dict such as {"app.Model": {"ops": ["get", "fetch"], "timeout": 60}}')
    return {_label(label): _rule(label, rule) for label, rule in value.items()}


_RULE_KEYS = frozenset({"ops", "timeout", "rows", "near", "on_missing", "republish", "tag_fields", "tag_sets"})


def _rule(label: object, rule: object) -> ModelRule | None:
    if rule is None:
        return None
    if not isinstance(rule, Mapping):
        raise _Wrong(f"None or a dict at {label!r}")
    if unknown := set(rule) - _RULE_KEYS:
        raise _Wrong(f"{', '.join(sorted(_RULE_KEYS))} at {label!r}, not {sorted(map(str, unknown))}")
    operations = rule.get("ops", ())
    operations = OPERATIONS if operations == "all" else operations
    on_missing = rule.get("on_missing", "refresh")
    if on_missing not in ("refresh", "skip", "raise"):
        raise _Wrong(f'"refresh", "skip" or "raise" at "on_missing" of {label!r}')
    if isinstance(operations, str) or not set(operations) <= OPERATIONS:
        raise _Wrong(f'"all" or a list of {", ".join(sorted(OPERATIONS))} at "ops" of {label!r}')
    tag_sets = rule.get("tag_sets", ())
    if isinstance(tag_sets, str) or not isinstance(tag_sets, list | tuple | set | frozenset):
        raise _Wrong(f'a list of lists of field names at "tag_sets" of {label!r}')
    return ModelRule(
        operations=frozenset(operations),
        timeout=_timeout(rule.get("timeout")),
        rows=_bool(rule.get("rows", False)),
        near=_bool(rule["near"]) if "near" in rule else None,
        on_missing=on_missing,
        republish=_bool(rule.get("republish", False)),
        tag_fields=_field_names(rule.get("tag_fields", ()), f'"tag_fields" of {label!r}'),
        tag_sets=tuple(_field_names(names, f'each of "tag_sets" of {label!r}') for names in tag_sets),
    )


def _field_names(value: object, place: str) -> tuple[str, ...]:
    if isinstance(value, list | tuple | set | frozenset) and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise _Wrong(f"a list of field names at {place}")


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "ENABLED": _bool,
    "CACHE": _str,
    "CACHE_ALL": _bool,
    "CACHE_GET": _bool,
    "NEAR": _bool,
    "TIMEOUT": _timeout,
    "JITTER": _part,
    "PREFIX": _prefix,
    "MODELS": _models,
    "EXCLUDE": _labels,
    "FROM_CACHE": _bool,
    "ON_MARK_FAILURE": _failure,
    "PICKLE": _bool,
    "REFRESH_TASKS": _alias,
    "VERIFY": _share,
    "LIMITS": _limits,
}


def parse(given: object) -> tuple[Settings, list[Problem]]:
    """Read the value of ``settings.EVERFRESH``; what is wrong keeps its default and is listed."""
    if not isinstance(given, Mapping):
        return Settings(), [
            Problem(
                id="E002", text=f"EVERFRESH is {given!r}, not a dict.", hint='Write EVERFRESH = {"CACHE": "default"}.'
            )
        ]
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for key, value in given.items():
        reader = _READERS.get(key)
        if reader is None:
            known = ", ".join(sorted(_READERS))
            problems.append(
                Problem(id="E001", text=f"EVERFRESH has an unknown key {key!r}.", hint=f"The keys are {known}.")
            )
            continue
        try:
            values[key.lower()] = reader(value)
        except _Wrong as wrong:
            problems.append(
                Problem(
                    id="E002",
                    text=f"EVERFRESH[{key!r}] is {value!r}.",
                    hint=f"EVERFRESH[{key!r}] takes {wrong}.",
                )
            )
    return Settings(**values), problems


_current: Settings | None = None


def settings() -> Settings:
    """The settings in force, honouring ``override_settings``.

    Raises:
        ImproperlyConfigured: when something in them is wrong; ``manage.py check`` lists all of it.
    """
    global _current
    if _current is None:
        parsed, problems = parse(getattr(django_settings, "EVERFRESH", {}))
        if problems:
            raise ImproperlyConfigured(f"{problems[0].text} {problems[0].hint}")
        _current = parsed
    return _current


def _forget(*, setting: str, **_: object) -> None:
    global _current
    if setting == "EVERFRESH":
        _current = None


setting_changed.connect(_forget, dispatch_uid="everfresh.conf")
