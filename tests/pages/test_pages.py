"""The pages of the atlas, of nested fragments and memoized functions that declare nothing: never stale, and precise."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection, transaction
from django.test import Client
from django.utils import translation
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

import everfresh
from everfresh.events import Event, Outcome, Read, listening
from example import settings as atlas
from example.atlas.models import City, Country
from tests.conftest import Configure
from tests.library.models import Author
from tests.pages.world import FEW_ROWS, FIRST, PAGES, WRITES, cities, fill, show, write
from tests.settings import DB

pytestmark = pytest.mark.django_db(transaction=True)

log = logging.getLogger(__name__)

LEAST_SHARE = 0.4
"""Of the fragments on the pages looked at in a warm cache, outside of transactions, those not rendered.

A short run has half of that at least.
"""

QUICK = settings(
    max_examples=6,
    stateful_step_count=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
THOROUGH = settings(QUICK, max_examples=80, stateful_step_count=50)

A_WRITE = st.tuples(st.sampled_from([*sorted(WRITES), *FEW_ROWS * 2]), st.integers(0, 9))
LOOKING = st.lists(st.sampled_from(PAGES), min_size=3, max_size=5, unique=True)
LANGUAGE = st.sampled_from(["en", "en", "en", "de"])


@pytest.fixture(autouse=True)
def _pages(settings: Any) -> Iterator[None]:
    """The example's URLs and templates, and numbers that look different in each language."""
    settings.ROOT_URLCONF = atlas.ROOT_URLCONF
    settings.TEMPLATES = atlas.TEMPLATES
    settings.MIDDLEWARE = []
    settings.USE_THOUSAND_SEPARATOR = True
    logging.getLogger("django.request").setLevel(logging.ERROR)  # pages that are not found are pages as well
    yield
    logging.getLogger("django.request").setLevel(logging.NOTSET)


@dataclass
class Tally:
    """What a run came to."""

    examples: int = 0
    writes: int = 0
    inside: int = 0
    """Writes in a transaction."""

    midway: int = 0
    """Writes in the middle of a rendering."""

    rollbacks: int = 0
    pages: int = 0
    fragments: int = 0
    """On those of these pages that were asked for in a warm cache, outside of transactions."""

    rendered: int = 0
    """Of these fragments. The others came from the cache, or were part of one that did."""

    @property
    def share(self) -> float:
        """Of the fragments, those that were not rendered."""
        return 1 - self.rendered / max(self.fragments, 1)


def is_rendered(event: Event) -> bool:
    """Was a fragment rendered?"""
    return isinstance(event, Read) and event.label.startswith("fragment:") and event.outcome is not Outcome.HIT


class History(RuleBasedStateMachine):
    """Writes by every path, in transactions and savepoints or not, with pages looked at after each."""

    def __init__(self, tally: Tally, configure: Configure) -> None:
        super().__init__()
        self.tally = tally
        self.client = Client()
        self._configure = configure
        self._open: list[Any] = []
        self._kept: list[Any] = []
        self._is_warm = False
        self._failed = False
        tally.examples += 1
        configure(CACHE_ALL=False)
        fill()

    @initialize(how=st.sampled_from(["atlas", "all", "nothing", "rows"]), near=st.booleans())
    def begin_with(self, how: str, near: bool) -> None:
        """A full cache, with the settings of the example, or with all queries cached, or none but the pages' parts.

        With near copies of all of it, where the store is Redis, or without.
        """
        own = {"atlas": atlas.EVERFRESH["MODELS"], "rows": {"*": {"rows": True}}}
        self._configure(MODELS=own.get(how, {}), CACHE_ALL=how in ("all", "rows"), NEAR=near)
        for _ in range(2 if near else 1):
            self.look(list(PAGES), "en")
        self._is_warm = True

    @rule(what=A_WRITE, pages=LOOKING, language=LANGUAGE)
    def write(self, what: tuple[str, int], pages: list[str], language: str) -> None:
        """One write."""
        self._write(what)
        self.look(pages, language)

    @rule(whats=st.lists(A_WRITE, min_size=2, max_size=3), pages=LOOKING)
    def write_much(self, whats: list[tuple[str, int]], pages: list[str]) -> None:
        """Several that nobody looks between."""
        for what in whats:
            self._write(what)
        self.look(pages, "en")

    @rule(what=A_WRITE, page=st.sampled_from(PAGES), statement=st.integers(0, 4), after=st.booleans(), pages=LOOKING)
    def write_midway(self, what: tuple[str, int], page: str, statement: int, after: bool, pages: list[str]) -> None:
        """A write between two statements of a rendering, which shows what it shows; nothing of it may stay."""
        left = [statement]

        def count(execute: Any, sql: str, *rest: Any) -> Any:
            left[0] -= 1
            is_now = left[0] == -1
            if is_now and not after:
                self._write(what)
            found = execute(sql, *rest)
            if is_now and after:
                self._write(what)
            return found

        with connection.execute_wrapper(count):
            show(self.client, page)
        self.tally.midway += left[0] < 0
        self.look([page, *pages], "en")

    @rule(pages=LOOKING, which=st.integers(0, 20))
    def save_what_was_kept(self, pages: list[str], which: int) -> None:
        """An instance that somebody has held for long overwrites what others wrote; another one is held."""
        if self._kept:
            old = self._kept.pop()
            if Country.objects.nocache().filter(pk=old.country_id).exists():
                old.save()
                self.tally.writes += 1
        found = cities()
        if found:
            self._kept.append(found[which % len(found)])
        self.look(pages, "en")

    @rule(what=A_WRITE, pages=LOOKING, savepoint=st.booleans())
    def begin(self, what: tuple[str, int], pages: list[str], savepoint: bool) -> None:
        """Open a transaction or a block in it, look, write, look."""
        if len(self._open) < 3:
            block = transaction.atomic(savepoint=savepoint)
            block.__enter__()
            self._open.append(block)
        self.look(pages[:1], "en")
        self._write(what)
        self.look(pages, "en")

    @precondition(lambda self: self._open)
    @rule(keep=st.booleans(), pages=LOOKING)
    def end(self, keep: bool, pages: list[str]) -> None:
        """Leave the innermost block, with its writes or without."""
        self._end(keep)
        self.look(pages, "en")

    @rule(seldom=st.integers(0, 5), pages=LOOKING)
    def lose_the_store(self, seldom: int, pages: list[str]) -> None:
        """Everything in the store is evicted."""
        if seldom == 5:
            caches["default"].clear()
        self.look(pages, "en")

    def _write(self, what: tuple[str, int]) -> None:
        with transaction.atomic():
            write(*what)
        self.tally.writes += 1
        self.tally.inside += bool(self._open)

    def _end(self, keep: bool) -> None:
        if not keep:
            transaction.set_rollback(True)
            self.tally.rollbacks += 1
        self._open.pop().__exit__(None, None, None)
        while self._open and connection.needs_rollback:
            # A block without a savepoint takes the one around it along.
            self._open.pop().__exit__(None, None, None)

    def look(self, pages: list[str], language: str) -> None:
        """Each page with the cache, and without."""
        try:
            with translation.override(language):
                for page in pages:
                    events: list[Event] = []
                    with listening(events.append):
                        shown = show(self.client, page)
                    rendered = sum(map(is_rendered, events))
                    events.clear()
                    with everfresh.disabled(), listening(events.append):
                        true = show(self.client, page)
                    assert shown == true, page
                    self.tally.pages += 1
                    if self._is_warm and not self._open:
                        self.tally.rendered += rendered
                        self.tally.fragments += sum(map(is_rendered, events))
        except BaseException:
            self._failed = True
            raise

    def teardown(self) -> None:
        """What is open is committed."""
        while self._open:
            self._end(keep=not self._failed)
        if not self._failed:
            self.look(list(PAGES), "en")


def rendered(page: str) -> tuple[Counter[str], Counter[str]]:
    """What a look at *page* renders, and what of it comes from the cache: how often, by fragment."""
    fills, hits = Counter[str](), Counter[str]()

    def note(event: Event) -> None:
        if isinstance(event, Read) and event.label.startswith("fragment:"):
            assert event.outcome in (Outcome.FILL, Outcome.HIT), event
            of = fills if event.outcome is Outcome.FILL else hits
            of[event.label.removeprefix("fragment:")] += 1

    with listening(note):
        show(Client(), page)
    return fills, hits


def warm(page: str) -> None:
    """Fill the cache with all that *page* shows."""
    rendered(page)
    fills, _ = rendered(page)
    assert not fills


@pytest.mark.skipif(DB == "mariadb", reason="its text has no value tags, and text is what countries are known by")
@pytest.mark.parametrize("change", [{"population": 4001}, {"name": "New"}, {"is_capital": True}])
def test_a_write_to_a_city_renders_the_fragments_on_its_path(change: dict[str, Any]) -> None:
    """The city's, its country's, its continent's; nothing beside them."""
    fill()
    warm("/continents/EU/")
    City.objects.filter(pk=FIRST + 5).update(**change)

    fills, hits = rendered("/continents/EU/")
    assert fills == {"city": 1, "country": 1, "continent": 1}
    assert hits == {"menu": 1, "city": 1, "country": 1}


@pytest.mark.skipif(DB == "mariadb", reason="its text has no value tags, and text is what countries are known by")
def test_a_write_to_a_country_renders_no_other_country() -> None:
    """Its numbers, its own fragment, and its cities, which were loaded with it."""
    fill()
    warm("/continents/EU/")
    Country.objects.filter(pk="NL").update(population=1)

    fills, hits = rendered("/continents/EU/")
    assert fills == {"city": 2, "country": 1, "continent": 1}
    assert hits == {"menu": 1, "country": 1}


@pytest.mark.skipif(DB == "mariadb", reason="its text has no value tags, and text is what countries are known by")
def test_pages_of_other_places_are_hits() -> None:
    """What shows other places is not rendered again."""
    fill()
    warm("/continents/EU/")
    warm("/countries/NL/")
    City.objects.filter(pk=FIRST + 3).update(population=4001)
    assert rendered("/continents/EU/") == ({}, {"menu": 1, "continent": 1})
    assert rendered("/countries/NL/") == ({}, {"menu": 1, "country page": 1})


def test_what_is_not_shown_renders_nothing() -> None:
    """A row of another table, and a write that touches no row."""
    fill()
    for page in PAGES:
        rendered(page)
    Author.objects.create(name="A")
    City.objects.filter(pk=999).update(name="nobody")
    assert [rendered(page)[0] for page in PAGES] == [{}] * len(PAGES)


def run(configure: Configure, how: settings, least: float) -> Tally:
    """Run histories; gives what they came to."""
    tally = Tally()
    run_state_machine_as_test(lambda: History(tally, configure), settings=how)
    log.info("%s, %.0f %% not rendered", tally, 100 * tally.share)
    assert tally.share >= least, tally
    return tally


@pytest.mark.slow
@pytest.mark.timeout(900)  # to make a failure small takes minutes
def test_pages_are_never_stale(configure: Configure) -> None:
    """Rendered with the cache == rendered without it, after any write."""
    run(configure, QUICK, LEAST_SHARE / 2)


@pytest.mark.prove
@pytest.mark.timeout(7200)
def test_pages_are_never_stale_thoroughly(configure: Configure) -> None:
    """The same after thousands of writes, among them some of each kind."""
    tally = run(configure, THOROUGH, LEAST_SHARE)
    assert tally.writes > 2000
    assert tally.inside
    assert tally.midway
    assert tally.rollbacks
