"""The admin's page in a real browser, by mouse and keyboard.

The manual's picture is of this test: ``EVERFRESH_SCREENSHOT=docs/images/admin-preview.png python -m pytest
tests/audit/test_browser.py`` makes it anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.live_server_helper import LiveServer

from everfresh.contrib.audit.models import Invalidation
from tests.audit.conftest import Results, Staff
from tests.chromium import Browser, chromium

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests here."""
    with chromium(width=900, height=820) as browser:
        yield browser


@pytest.mark.seeds("CE-21")
def test_by_hand(results: Results, staff: Staff, browser: Browser, live_server: LiveServer) -> None:
    """Log in, pick, look, pick something else as well, look, confirm; and find it in the log."""
    staff("add", "view")
    browser.open(f"{live_server.url}/admin/")
    browser.type("#id_username", "ann")
    browser.type("#id_password", "pw")
    browser.press("[type=submit]")

    browser.press("a.addlink[href*=everfresh_audit]")
    browser.click("input[value='tag:sale, summer']")
    browser.type("#id_pattern", "Mail:*")
    browser.press("[name=_preview]")
    assert "2 named results that are current now go stale" in browser.text("#content")

    browser.press("[name=_again]")
    browser.type("#id_other_tags", "one\ntwo, three")
    browser.click("label:has([value='library.Author'])")
    browser.press("[name=_preview]")
    page = browser.text("#content")
    assert "3 named results that are current now go stale" in page
    for words in ("tag:sale, summer\t1", "tag:two, three\tnone is listed", "1 name like Mail:*", "library.Author\t1"):
        assert words in page
    if place := os.environ.get("EVERFRESH_SCREENSHOT"):
        Path(place).write_bytes(browser.screenshot())
    assert results.current() == {"Book:1", "Book:2", "Mail:1"}

    browser.press("[name=_confirm]")
    assert "3 named results went stale." in browser.text("ul.messagelist")
    assert "ann" in browser.text("#result_list tbody")
    assert results.current() == set()
    assert Invalidation.objects.get().what == {
        "models": ["library.Author"],
        "labels": ["tag:sale, summer", "tag:one", "tag:two, three"],
        "pattern": "Mail:*",
    }

    browser.press("#result_list tbody th a")
    assert "View invalidation" in browser.text("#content")
    assert browser.run("document.querySelectorAll('#content-main [type=submit]').length") == 0


def test_browser_leaves_nothing() -> None:
    """Neither a process nor a file, when it is closed."""
    with chromium() as browser:
        browser.open("data:text/html,<title>x</title><p>some text")
        assert browser.text() == "some text"
    assert browser.process.poll() is not None
    assert not browser.directory.exists()
