"""What is cached: by the queryset, its manager, the model's rule or the project's switches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.db.models import Count

import everfresh
from everfresh.events import Outcome, Read, listening
from tests.library.models import Author, Book, Managed, Publisher, Tag

if TYPE_CHECKING:
    from tests.conftest import Configure

pytestmark = pytest.mark.django_db(transaction=True)


def outcomes(work: Callable[[], Any], times: int = 2) -> list[Outcome]:
    """How each read of *work*, done several times, was answered."""
    seen: list[Outcome] = []
    with listening(lambda event: seen.append(event.outcome) if isinstance(event, Read) else None):
        for _ in range(times):
            work()
    return seen


FILLED_THEN_HIT = [Outcome.FILL, Outcome.HIT]


@pytest.mark.seeds("CB-2")
@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: Tag.objects.cache().filter(name="a"), id="first"),
        pytest.param(lambda: Tag.objects.filter(name="a").cache(), id="last"),
        pytest.param(lambda: Tag.objects.cache().values(), id="before values"),
        pytest.param(lambda: Tag.objects.values("name").cache(), id="after values"),
        pytest.param(lambda: Book.objects.select_related("author").cache(), id="after select_related"),
        pytest.param(lambda: Book.objects.cache().select_related("author"), id="before select_related"),
    ],
)
def test_anywhere_in_the_chain(build: Callable[[], Any]) -> None:
    """cache() works wherever in the chain it is called."""
    assert outcomes(lambda: list(build())) == FILLED_THEN_HIT


def test_nothing_is_cached_unasked() -> None:
    """Without a word nothing is read from the cache or stored in it."""
    assert outcomes(lambda: [list(Tag.objects.all()), Tag.objects.count(), Tag.objects.exists()]) == []


def test_nocache_wins(configure: Configure) -> None:
    """nocache() holds against every setting."""
    configure(CACHE_ALL=True, MODELS={"*": {"ops": "all"}})

    assert outcomes(lambda: list(Tag.objects.nocache())) == []


@pytest.mark.seeds("CB-S2")
def test_cache_all(configure: Configure) -> None:
    """CACHE_ALL caches every kind of read of every model."""
    configure(CACHE_ALL=True)

    assert outcomes(lambda: list(Tag.objects.all())) == FILLED_THEN_HIT
    assert outcomes(Tag.objects.count) == FILLED_THEN_HIT
    assert outcomes(Tag.objects.exists) == FILLED_THEN_HIT
    assert outcomes(lambda: Tag.objects.aggregate(n=Count("id"))) == FILLED_THEN_HIT


@pytest.mark.seeds("CB-S1", "CB-7")
def test_cache_get(configure: Configure) -> None:
    """CACHE_GET caches get(), also its DoesNotExist, and nothing else."""
    configure(CACHE_GET=True)
    Tag.objects.create(name="a")

    def missing() -> None:
        with pytest.raises(Tag.DoesNotExist):
            Tag.objects.get(name="b")

    assert outcomes(lambda: Tag.objects.get(name="a")) == FILLED_THEN_HIT
    assert outcomes(missing) == FILLED_THEN_HIT
    assert outcomes(lambda: list(Tag.objects.all())) == []
    Tag.objects.create(name="b")
    assert Tag.objects.get(name="b")


@pytest.mark.parametrize("operation", ["get", "fetch", "count", "exists", "aggregate"])
def test_model_rule(configure: Configure, operation: str) -> None:
    """MODELS says which kinds of reads of a model are cached, and of no other model."""
    configure(MODELS={"library.Tag": {"ops": [operation]}})
    Tag.objects.create(name="a")
    reads: dict[str, Callable[[type[Tag | Publisher]], Any]] = {
        "get": lambda model: model.objects.filter(name="a").first() and model.objects.get(name="a"),
        "fetch": lambda model: list(model.objects.all()),
        "count": lambda model: model.objects.count(),
        "exists": lambda model: model.objects.exists(),
        "aggregate": lambda model: model.objects.aggregate(n=Count("id")),
    }

    for name, read in reads.items():
        expected = FILLED_THEN_HIT if name == operation else []
        if (name, operation) == ("get", "fetch"):
            expected = FILLED_THEN_HIT  # first() is a list of one
        assert outcomes(lambda read=read: read(Tag)) == expected, name
        assert outcomes(lambda read=read: read(Publisher)) == []


@pytest.mark.seeds("CB-S4")
def test_excluded(configure: Configure) -> None:
    """A table that the settings exclude is never cached, even where cache() asks, nor are queries that join it."""
    configure(EXCLUDE=["library.Publisher"])

    assert outcomes(lambda: list(Publisher.objects.cache())) == []
    assert outcomes(lambda: list(Author.objects.cache().filter(publisher__name="x"))) == [Outcome.BYPASS] * 2
    assert outcomes(lambda: list(Author.objects.cache())) == FILLED_THEN_HIT


def test_disabled_by_setting(configure: Configure) -> None:
    """ENABLED False reads and stores nothing; writes go on invalidating."""
    Tag.objects.create(name="a")
    assert Tag.objects.cache().count() == 1
    configure(ENABLED=False)
    assert outcomes(lambda: list(Tag.objects.cache())) == []
    Tag.objects.create(name="b")
    configure(ENABLED=True)

    assert Tag.objects.cache().count() == 2


@pytest.mark.seeds("CB-1")
def test_managers() -> None:
    """A manager says for all its querysets what is cached."""
    Managed.objects.create(name="a")

    assert outcomes(lambda: list(Managed.all_cached.filter(name="a"))) == FILLED_THEN_HIT
    assert outcomes(lambda: Managed.all_cached.get(name="a")) == FILLED_THEN_HIT
    assert outcomes(lambda: Managed.get_cached.get(name__startswith="a")) == FILLED_THEN_HIT
    assert outcomes(lambda: list(Managed.get_cached.all())) == []
    assert outcomes(lambda: list(Managed.objects.all())) == []


@pytest.mark.seeds("CB-1", "CB-7")
def test_manager_against_settings(configure: Configure) -> None:
    """A manager's cache_get=False holds against CACHE_GET and MODELS."""
    configure(CACHE_GET=True, MODELS={"library.Managed": {"ops": ["get"]}})
    Managed.objects.create(name="a")

    assert outcomes(lambda: Managed.never_get.get(name="a")) == []


@pytest.mark.parametrize("timeout", [0, 0.0])
def test_timeout_of_nothing(timeout: float) -> None:
    """A timeout of 0 stores nothing."""
    assert outcomes(lambda: list(Tag.objects.cache(timeout=timeout))) == [Outcome.MISS] * 2


def test_timeouts(configure: Configure) -> None:
    """A queryset's own timeout wins, then the model's, then the project's; None is for ever."""
    configure(TIMEOUT=50, MODELS={"library.Tag": {"timeout": 40}})

    assert Tag.objects.cache(timeout=30).explain_cache().timeout == 30
    assert Tag.objects.cache(timeout=None).explain_cache().timeout is None
    assert Tag.objects.cache().explain_cache().timeout == 40
    assert Book.objects.cache().explain_cache().timeout == 50
    assert Book.objects.all().explain_cache().timeout == 50


@pytest.mark.seeds("CB-S7")
def test_from_cache(configure: Configure) -> None:
    """FROM_CACHE tells on each result, instance or dict, whether it came from the cache."""
    configure(FROM_CACHE=True)
    Tag.objects.create(name="a")

    assert [[tag.from_cache for tag in Tag.objects.cache()] for _ in range(2)] == [[False], [True]]  # type: ignore[attr-defined]
    assert [[row["from_cache"] for row in Tag.objects.cache().values()] for _ in range(2)][1] == [True]


def test_prefetch_is_cached_as_its_queryset() -> None:
    """What prefetch_related brings along is cached like the queryset it belongs to."""
    author = Author.objects.create(name="a")
    Book.objects.create(title="b", author=author)

    assert outcomes(lambda: [list(each.books.all()) for each in Author.objects.cache().prefetch_related("books")]) == [
        Outcome.FILL,
        Outcome.FILL,
        Outcome.HIT,
        Outcome.HIT,
    ]
    assert outcomes(lambda: list(Author.objects.nocache().prefetch_related("books"))) == []


def test_passes_through(configure: Configure) -> None:
    """iterator(), raw(), select_for_update() and what prepares a write ask the database."""
    configure(CACHE_ALL=True)
    Tag.objects.create(name="a")

    assert outcomes(lambda: list(Tag.objects.iterator())) == []
    assert outcomes(lambda: Tag.objects.get_or_create(name="a")) == []
    assert outcomes(lambda: list(Tag.objects.raw("SELECT * FROM library_tag"))) == []
    assert outcomes(lambda: Tag.objects.none().count()) == []
    reasons = []
    with listening(lambda event: reasons.append(event.reason) if isinstance(event, Read) else None):
        assert not Tag.objects.filter(id__in=[])
    assert reasons == ["it is always empty, and asks the database nothing"]


def test_namespaces(configure: Configure, namespace: str) -> None:
    """Namespaces keep their entries apart: none takes another's place."""
    found = []
    for name in ("one", "two", "one", "two"):
        configure(PREFIX=f"{namespace}-{name}")
        found += outcomes(lambda: list(Tag.objects.cache()), times=1)

    assert found == [Outcome.FILL, Outcome.FILL, Outcome.HIT, Outcome.HIT]


def test_namespaces_hear_of_their_own_writes(configure: Configure, namespace: str) -> None:
    """A write drops no entry of another namespace: the tables of other tenants are others, whatever their names."""

    def read() -> list[Outcome]:
        return outcomes(lambda: list(Tag.objects.cache()), times=1)

    configure(PREFIX=f"{namespace}-one")
    found = read()
    configure(PREFIX=f"{namespace}-two")
    found += read()
    Tag.objects.create(name="a")
    found += read()
    configure(PREFIX=f"{namespace}-one")
    found += read()

    assert found == [Outcome.FILL, Outcome.FILL, Outcome.FILL, Outcome.HIT]


def test_disabled_block() -> None:
    """In disabled() nothing is read or stored, in the thread or task that said so and nowhere else."""
    Tag.objects.create(name="a")

    @everfresh.disabled()
    def read() -> list[Tag]:
        return list(Tag.objects.cache())

    @everfresh.disabled()
    async def aread() -> list[Tag]:
        try:
            return [tag async for tag in Tag.objects.cache()]
        finally:
            await sync_to_async(connections.close_all)()

    assert outcomes(read) == []
    assert outcomes(lambda: asyncio.run(aread())) == []
    with everfresh.disabled():
        with everfresh.disabled():
            assert outcomes(lambda: list(Tag.objects.cache())) == []
        assert outcomes(lambda: list(Tag.objects.cache())) == []
    assert outcomes(lambda: list(Tag.objects.cache())) == FILLED_THEN_HIT


def test_disabled_writes_invalidate() -> None:
    """Writes in disabled() invalidate as ever."""
    assert Tag.objects.cache().count() == 0
    with everfresh.disabled():
        Tag.objects.create(name="a")

    assert Tag.objects.cache().count() == 1


def test_explanation() -> None:
    """explain_cache() tells the key, the clauses in words, the tags, and why not."""
    author = Author.objects.create(name="a")
    told = Book.objects.filter(author=author, status=2).cache().explain_cache()

    assert told.key
    assert told.reason == ""
    assert (
        f"{{library_book.(author_id,status)=({author.pk},2)}} and {{library_book.author_id={author.pk}}}"
        " and {library_book.status=2}" in told.clauses
    )
    assert "library_book!" in told.tags
    assert str(told).startswith("key      ")


def test_explanation_of_refusal() -> None:
    """explain_cache() says why a query cannot be cached, or that nobody asked."""
    refused = Book.objects.order_by("?").cache().explain_cache()
    unasked = Book.objects.all().explain_cache()

    assert refused.key == ""
    assert str(refused).startswith("not cacheable: ")
    assert unasked.reason == "nothing asks for it: call .cache(), or switch it on in MODELS"
    assert Book.objects.select_for_update().cache().explain_cache().reason == (
        "select_for_update() locks rows in the database"
    )
