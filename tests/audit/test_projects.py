"""The log in other projects than that of the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from uuid import UUID

import pytest

pytestmark = pytest.mark.slow


def log_of(project: str) -> Any:
    """What is in its log after it ran."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.audit.projects", project],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.seeds("CE-21")
def test_custom_user_model() -> None:
    """Without a username, with keys that are UUIDs: permissions hold, and the log knows who it was."""
    [[by, user, what]] = log_of("custom_user")
    assert (by, what) == ("ann@example.org", {"models": ["people.Person"]})
    assert UUID(user)


def test_without_the_admin() -> None:
    """Migrations, checks, code and command work; only the page is missing."""
    [first, [by, user, what]] = log_of("no_admin")
    assert first == ["ann", "None", {"models": ["auth.User"]}]
    assert by.endswith("(everfresh_invalidate)")
    assert (user, what) == ("None", {"everything": True})
