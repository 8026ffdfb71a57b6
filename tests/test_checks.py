"""System checks: each id with its text."""

from __future__ import annotations

from typing import Any

import django
import pytest
from django.test import modify_settings, override_settings

from everfresh.checks import check_settings

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
LARGE = {"BACKEND": LOCMEM, "OPTIONS": {"MAX_ENTRIES": 100_000}}


def found(**changes: Any) -> list[tuple[str | None, str]]:
    """The ids and texts of the messages under settings that are right but for *changes*."""
    given = {"DEBUG": True, "CACHES": {"default": LARGE}, "EVERFRESH": {}} | changes
    with override_settings(**given):
        return [(message.id, str(message.msg)) for message in check_settings()]


def test_all_well() -> None:
    """Nothing wrong, nothing said."""
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"EVERFRESH": {"CACH": 1}}, ("everfresh.E001", "EVERFRESH has an unknown key 'CACH'."), id="E001"),
        pytest.param({"EVERFRESH": {"CACHE": 1}}, ("everfresh.E002", "EVERFRESH['CACHE'] is 1."), id="E002"),
        pytest.param(
            {"EVERFRESH": {"MODELS": {"library.Boook": {}}}},
            ("everfresh.E003", "EVERFRESH['MODELS'] names 'library.boook', which is not installed."),
            id="E003 model",
        ),
        pytest.param(
            {"EVERFRESH": {"MODELS": {"library.Book": {"tag_fields": ["titel"]}}}},
            ("everfresh.E003", "EVERFRESH['MODELS']['library.book'] names 'titel', which library.Book lacks."),
            id="E003 field",
        ),
        pytest.param(
            {"EVERFRESH": {"CACHE": "redis"}},
            ("everfresh.E004", "EVERFRESH['CACHE'] is 'redis', which CACHES does not define."),
            id="E004",
        ),
        pytest.param(
            {"EVERFRESH": {"REFRESH_TASKS": "slow"}},
            (
                "everfresh.E005",
                "EVERFRESH['REFRESH_TASKS'] is 'slow', which TASKS does not define."
                if django.VERSION >= (6, 0)
                else "EVERFRESH['REFRESH_TASKS'] is 'slow', and this Django has no tasks.",
            ),
            id="E005",
        ),
        pytest.param(
            {"DEBUG": False},
            ("everfresh.W001", "The cache 'default' lives in the memory of one process, and DEBUG is False."),
            id="W001",
        ),
        pytest.param(
            {"CACHES": {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}},
            ("everfresh.W002", "The cache 'default' stores nothing."),
            id="W002",
        ),
        pytest.param(
            {"CACHES": {"default": {"BACKEND": LOCMEM}}},
            ("everfresh.W003", "The cache 'default' holds 300 entries."),
            id="W003",
        ),
    ],
)
def test_message(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    """Each mistake has an id and a sentence."""
    assert found(**changes) == [expected]


def test_hints() -> None:
    """Each message says the way out."""
    with override_settings(EVERFRESH={"CACHE": "redis", "CACH": 1, "MODELS": {"a.b": {}}, "REFRESH_TASKS": "slow"}):
        assert all(message.hint for message in check_settings())


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        pytest.param("CACHEBOT_CACHE_GET", True, "CACHE_GET", marks=pytest.mark.seeds("CB-S1")),
        pytest.param("CACHEBOT_CACHE_ALL", True, "CACHE_ALL", marks=pytest.mark.seeds("CB-S2")),
        pytest.param("CACHE_PREFIX", "dev", "PREFIX", marks=pytest.mark.seeds("CB-S3")),
        pytest.param("CACHEBOT_TABLE_BLACKLIST", (), "EXCLUDE", marks=pytest.mark.seeds("CB-S4")),
        pytest.param("CACHE_SECONDS", 0, "TIMEOUT", marks=pytest.mark.seeds("CB-S5")),
        pytest.param("CACHE_INVALIDATION_TIMEOUT", 5, "tombstones", marks=pytest.mark.seeds("CB-S6")),
        pytest.param("CACHEBOT_DEBUG_RESULTS", True, "FROM_CACHE", marks=pytest.mark.seeds("CB-S7")),
        pytest.param("CACHEBOT_ENABLE_LOG", True, "cachebot.logger", marks=pytest.mark.seeds("CB-S8")),
        pytest.param("RUNNING_TESTS", True, "FROM_CACHE", marks=pytest.mark.seeds("CB-S9")),
        pytest.param("CACHEBOT_LOCAL_CACHE", True, "overlay", marks=pytest.mark.seeds("CB-S10")),
    ],
)
def test_old_settings(name: str, value: object, hint: str) -> None:
    """Each setting of an old library is named, with what stands for it now."""
    with override_settings(DEBUG=True, CACHES={"default": LARGE}, EVERFRESH={}, **{name: value}):
        [message] = check_settings()

    assert message.id == "everfresh.W004"
    assert message.msg == f"{name} is a setting of cachebot, which Everfresh does not read."
    assert hint in str(message.hint)


def test_old_settings_of_others() -> None:
    """A name that any project may use is not looked at where cachebot is not."""
    with modify_settings(INSTALLED_APPS={"remove": ["everfresh.compat.cachebot"]}):
        assert found(CACHE_SECONDS=5) == []
        assert [name for name, _ in found(CACHE_SECONDS=5, CACHEBOT_CACHE_ALL=True)] == ["everfresh.W004"] * 2
