"""The EVERFRESH setting: every key read, typed and refused where wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from everfresh.conf import Limits, ModelRule, Settings, parse, seconds, settings


def test_empty() -> None:
    """An empty dict is the defaults: nothing is cached unasked, a day is the longest life."""
    parsed, problems = parse({})

    assert problems == []
    assert (parsed.cache_all, parsed.cache_get, parsed.from_cache) == (False, False, False)
    assert parsed.enabled
    assert parsed.timeout == 24 * 60 * 60
    assert parsed.prefix() == "everfresh"
    assert parsed.exclude == {"sessions.session", "migrations.migration", "admin.logentry"}


def test_everything() -> None:
    """Every key arrives typed."""
    parsed, problems = parse(
        {
            "ENABLED": False,
            "CACHE": "fast",
            "CACHE_ALL": True,
            "CACHE_GET": True,
            "TIMEOUT": timedelta(minutes=5),
            "PREFIX": "mine",
            "MODELS": {
                "Shop.Book": {"ops": ["get"], "timeout": 60, "tag_fields": ["isbn"], "tag_sets": [["a", "b"]]},
                "shop.*": {"ops": "all"},
                "*": None,
            },
            "EXCLUDE": ["audit.*"],
            "FROM_CACHE": True,
            "ON_MARK_FAILURE": "raise",
            "VERIFY": 0.5,
            "LIMITS": {"ROWS": 10, "MARK_SECONDS": 3},
        }
    )

    assert problems == []
    assert not parsed.enabled
    assert (parsed.cache, parsed.cache_all, parsed.cache_get) == ("fast", True, True)
    assert parsed.timeout == 300
    assert parsed.prefix() == "mine"
    assert parsed.models["shop.book"] == ModelRule(
        operations=frozenset({"get"}), timeout=60, tag_fields=("isbn",), tag_sets=(("a", "b"),)
    )
    assert parsed.exclude == {"audit.*"}
    assert parsed.limits == Limits(rows=10, mark_seconds=3.0)
    assert parsed.verify == 0.5


def test_prefix_of_tenants() -> None:
    """A callable prefix is asked each time."""
    tenants = iter(["a", "b"])
    parsed, _ = parse({"PREFIX": lambda: next(tenants)})

    assert [parsed.prefix(), parsed.prefix()] == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "text", "hint"),
    [
        pytest.param("yes", "EVERFRESH is 'yes', not a dict.", 'Write EVERFRESH = {"CACHE": "default"}.', id="no dict"),
        pytest.param({"TIMEOUT": "1h"}, "EVERFRESH['TIMEOUT'] is '1h'.", "seconds", id="timeout"),
        pytest.param({"TIMEOUT": -1}, "EVERFRESH['TIMEOUT'] is -1.", "0 or more", id="negative"),
        pytest.param({"TIMEOUT": True}, "EVERFRESH['TIMEOUT'] is True.", "seconds", id="bool"),
        pytest.param({"CACHE_ALL": 1}, "EVERFRESH['CACHE_ALL'] is 1.", "True or False", id="no bool"),
        pytest.param({"CACHE": ""}, "EVERFRESH['CACHE'] is ''.", "not empty", id="no alias"),
        pytest.param({"PREFIX": 3}, "EVERFRESH['PREFIX'] is 3.", "callable", id="prefix"),
        pytest.param({"PREFIX": "a b"}, "EVERFRESH['PREFIX'] is 'a b'.", "without spaces", id="prefix with space"),
        pytest.param({"PREFIX": ""}, "EVERFRESH['PREFIX'] is ''.", "1 to 100", id="empty prefix"),
        pytest.param(
            {"MODELS": {"a.b": {"tag_fields": "abc"}}}, "EVERFRESH['MODELS']", "a list of field names", id="tag fields"
        ),
        pytest.param({"MODELS": {"a.b": {"tag_sets": ["ab"]}}}, "EVERFRESH['MODELS']", "each of", id="tag sets"),
        pytest.param({"MODELS": []}, "EVERFRESH['MODELS'] is [].", "a dict", id="models"),
        pytest.param({"MODELS": {"a": {}}}, "EVERFRESH['MODELS']", "app.Model", id="label"),
        pytest.param({"MODELS": {"a.b": 1}}, "EVERFRESH['MODELS']", "None or a dict at 'a.b'", id="rule"),
        pytest.param({"MODELS": {"a.b": {"op": []}}}, "EVERFRESH['MODELS']", "not ['op']", id="rule key"),
        pytest.param({"MODELS": {"a.b": {"ops": "get"}}}, "EVERFRESH['MODELS']", '"all" or a list', id="ops"),
        pytest.param({"MODELS": {"a.b": {"rows": 1}}}, "EVERFRESH['MODELS']", "True or False", id="rows"),
        pytest.param(
            {"MODELS": {"a.b": {"on_missing": "panic"}}}, "EVERFRESH['MODELS']", '"refresh", "skip"', id="on_missing"
        ),
        pytest.param({"EXCLUDE": "a.b"}, "EVERFRESH['EXCLUDE'] is 'a.b'.", "a list of labels", id="exclude"),
        pytest.param({"ON_MARK_FAILURE": "panic"}, "EVERFRESH['ON_MARK_FAILURE']", '"retry" or "raise"', id="failure"),
        pytest.param({"VERIFY": 2}, "EVERFRESH['VERIFY'] is 2.", "from 0", id="verify"),
        pytest.param({"LIMITS": {"ROW": 1}}, "EVERFRESH['LIMITS']", "'ROW' is none", id="limit"),
        pytest.param({"LIMITS": {"ROWS": 0}}, "EVERFRESH['LIMITS']", "above 0 at 'ROWS'", id="limit value"),
        pytest.param({"LIMITS": 5}, "EVERFRESH['LIMITS'] is 5.", "a dict with keys of ARMS", id="limits"),
    ],
)
def test_wrong(given: Any, text: str, hint: str) -> None:
    """What is wrong keeps its default and is named, with what it takes."""
    parsed, problems = parse(given)

    assert parsed == Settings(prefix=parsed.prefix)
    (problem,) = problems
    assert problem.id == "E002"
    assert problem.text.startswith(text)
    assert hint in problem.hint


def test_unknown_key() -> None:
    """An unknown key is an error that lists the known ones."""
    _, (problem,) = parse({"TIMOUT": 3})

    assert problem.id == "E001"
    assert problem.text == "EVERFRESH has an unknown key 'TIMOUT'."
    assert "TIMEOUT" in problem.hint


def test_honours_override_settings() -> None:
    """The settings in force are those of now, and wrong ones raise at use."""
    with override_settings(EVERFRESH={"CACHE_ALL": True}):
        assert settings().cache_all
    with override_settings(EVERFRESH={"CACHE_ALL": 3}), pytest.raises(ImproperlyConfigured, match="True or False"):
        settings()
    assert not settings().cache_all


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        pytest.param({}, frozenset(), id="nothing said"),
        pytest.param({"*": {"ops": ["get"]}}, {"get"}, id="star"),
        pytest.param({"*": {"ops": ["get"]}, "a.*": {"ops": ["count"]}}, {"count"}, id="app before star"),
        pytest.param({"a.*": {"ops": ["count"]}, "a.b": {"ops": ["fetch"]}}, {"fetch"}, id="model before app"),
        pytest.param({"a.b": {"ops": ["fetch"]}, "*": None}, None, id="never wins over all"),
        pytest.param({"a.b": None, "*": {"ops": ["fetch"]}}, None, id="never wins"),
        pytest.param({"a.c": None}, frozenset(), id="another's never"),
    ],
)
def test_rules(models: dict[str, Any], expected: Any) -> None:
    """The most particular rule holds, but None, never, wins wherever it is said."""
    parsed, _ = parse({"MODELS": models})
    rule = parsed.rule("a.b")

    assert (rule and rule.operations) == expected


@pytest.mark.parametrize(("given", "expected"), [(None, None), (5, 5.0), (0, 0.0), (timedelta(hours=1), 3600.0)])
def test_seconds(given: Any, expected: float | None) -> None:
    """A timeout is seconds, a timedelta, or None for ever."""
    assert seconds(given) == expected


def test_seconds_refused() -> None:
    """Anything else says what it takes."""
    with pytest.raises(TypeError, match=r"A timeout is seconds, a timedelta or None, not '5'\."):
        seconds("5")
    with pytest.raises(ValueError, match=r"A timeout of -1 seconds is negative; 0 stores nothing, None is for ever\."):
        seconds(-1)
