"""What Django's own test suite found in the core, each in its smallest form."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from django.apps import apps
from django.db import connection, models
from django.db.models import F, Max, Model, Sum, Value
from django.db.models.lookups import Exact
from django.test import override_settings
from django.utils import translation
from django.utils.translation import get_language

from everfresh.events import Outcome, Read, listening
from everfresh.journal import journal_of
from everfresh.tables import forget_tables
from tests.library.models import Author, Book, Publisher, Tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django.fixtures import Settings

    from tests.conftest import Configure

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reads() -> Iterator[list[Read]]:
    """The reads of this test, as they happen."""
    seen: list[Read] = []
    with listening(lambda event: seen.append(event) if isinstance(event, Read) else None):
        yield seen


def outcomes(reads: list[Read]) -> list[Outcome]:
    """How they were answered."""
    return [read.outcome for read in reads]


def test_values_then_aggregate(reads: list[Read]) -> None:
    """``values()`` names its columns by their place in a select that counting empties."""
    author = Author.objects.create(name="a")
    Book.objects.create(author=author, pages=3)
    for _ in range(2):
        assert Book.objects.cache().values("pages").aggregate(total=Sum("pages")) == {"total": 3}
        assert Book.objects.cache().values("author", "pages").count() == 1
    assert outcomes(reads) == [Outcome.FILL, Outcome.FILL, Outcome.HIT, Outcome.HIT]


def test_union_ordered_by_what_its_members_do_not_select(reads: list[Read]) -> None:
    """Compiling such a union changes it, and Django's clones share what is changed."""
    for name in "ab":
        Tag.objects.create(name=name)

    def ordered() -> list[str]:
        first = Tag.objects.annotate(kind=Value(2)).filter(name="a")
        second = Tag.objects.annotate(kind=Value(1)).filter(name="b")
        return list(first.union(second).cache().order_by("kind").values_list("name", flat=True))

    assert ordered() == ["b", "a"]
    assert ordered() == ["b", "a"]
    assert outcomes(reads) == [Outcome.FILL, Outcome.HIT]


def test_aggregate_without_a_name_is_refused_in_djangos_words() -> None:
    """Only keyword arguments can name what has no name of its own."""
    with pytest.raises(TypeError, match="Complex aggregates require an alias"):
        Book.objects.cache().aggregate(Sum(F("pages") + F("views")))


def test_error_of_ours_never_fails_a_query(reads: list[Read], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong while a query is looked at, the database answers it."""

    def broken(*_args: object, **_kwargs: object) -> None:
        raise IndexError("tuple index out of range")

    Tag.objects.create(name="a")
    monkeypatch.setattr("everfresh.queries.plan.derive", broken)
    assert [tag.name for tag in Tag.objects.cache().filter(name__contains="a")] == ["a"]
    assert Tag.objects.cache().filter(name__contains="a").count() == 1
    assert [read.outcome for read in reads] == [Outcome.BYPASS, Outcome.BYPASS]
    assert "IndexError" in reads[0].reason


def test_store_that_cannot_be_opened(configure: Configure, settings: Settings, reads: list[Read]) -> None:
    """Tests put other caches in the place of ours: slower, never broken, and nothing stale when ours is back."""
    Tag.objects.create(name="a")
    assert [tag.name for tag in Tag.objects.cache()] == ["a"]
    caches = settings.CACHES
    settings.CACHES = {"other": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    try:
        assert [tag.name for tag in Tag.objects.cache()] == ["a"]
        Tag.objects.update(name="b")
        assert [tag.name for tag in Tag.objects.cache()] == ["b"]
    finally:
        settings.CACHES = caches
    assert [tag.name for tag in Tag.objects.cache()] == ["b"]
    assert outcomes(reads) == [Outcome.FILL, Outcome.MISS, Outcome.MISS, Outcome.FILL]


class Wavering:
    """A router that answers each question with the other database, as one that spreads reads over replicas may."""

    def __init__(self) -> None:
        self.asked = 0

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        """One, then the other."""
        if model is not Tag:
            return None
        self.asked += 1
        return "default" if self.asked % 2 else "other"


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize(
    ("read", "first", "second"),
    [
        pytest.param(lambda: [tag.name for tag in Tag.objects.cache()], ["a"], ["b"], id="rows"),
        pytest.param(lambda: Tag.objects.cache().get().name, "a", "b", id="get"),
        pytest.param(lambda: Tag.objects.cache().filter(name="a").count(), 1, 0, id="count"),
        pytest.param(lambda: Tag.objects.cache().filter(name="a").exists(), True, False, id="exists"),
        pytest.param(lambda: Tag.objects.cache().aggregate(n=Max("name"))["n"], "a", "b", id="aggregate"),
    ],
)
def test_router_is_asked_once(read: Callable[[], Any], first: object, second: object) -> None:
    """Key, versions, question and instances are of one database, however often the router changes its mind."""
    Tag.objects.using("default").create(name="a")
    Tag.objects.using("other").create(name="b")
    router = Wavering()
    with override_settings(DATABASE_ROUTERS=[router]):
        assert [read(), read(), read(), read()] == [first, second, first, second]
    assert router.asked == 4


class Translated(models.ForeignObject):
    """A relation to what is in the language in force."""

    requires_unique_target = False

    def get_extra_restriction(self, alias: str | None, related_alias: str) -> Any:
        """Part of the join's ON, decided when the query is compiled."""
        field = self.related_model._meta.get_field("country")
        return Exact(field.get_col(alias), get_language())


def test_relation_that_adds_to_the_join_as_it_is_compiled(reads: list[Read]) -> None:
    """The condition is in the SQL and not in the query, so two different questions would have one key."""
    for country in ("de", "fi"):
        Publisher.objects.create(name=country.upper(), country=country)
    Author.objects.create(name="a", publisher=Publisher.objects.get(name="FI"))
    field = Translated(Publisher, models.CASCADE, from_fields=["publisher"], to_fields=["id"], related_name="+")
    field.contribute_to_class(Author, "translated", private_only=True)
    try:
        names = []
        for language in ("fi", "de"):
            with translation.override(language):
                names += [list(Author.objects.cache().filter(translated__name="FI").values_list("name", flat=True))]
    finally:
        Author._meta.private_fields.remove(field)
        del Author.translated
        Author._meta._expire_cache()
    assert names == [["a"], []]
    assert outcomes(reads) == [Outcome.BYPASS, Outcome.BYPASS]


def test_update_over_a_join_of_a_model_ordered_by_another(reads: list[Read], monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are read under lock: in no order, because FOR UPDATE refuses the outer join that an order may need."""
    monkeypatch.setattr(Author._meta, "ordering", ["publisher__name"])
    author = Author.objects.create(name="a")
    Book.objects.create(author=author, status=1)
    assert list(Author.objects.cache().values_list("bio", flat=True)) == [""]
    assert Author.objects.filter(books__status=1).update(bio="b") == 1
    assert list(Author.objects.cache().values_list("bio", flat=True)) == ["b"]
    assert Author.objects.filter(books__status=1).delete()[0] == 2
    assert list(Author.objects.cache().values_list("bio", flat=True)) == []
    assert outcomes(reads) == [Outcome.FILL] * 3


def test_raw_sql_beside_a_foreign_key_to_nowhere() -> None:
    """A model may point to one that only migrations know: every statement looks at all tables."""
    meta = type("Meta", (), {"app_label": "library", "db_table": "dangling"})
    attributes = {"__module__": __name__, "Meta": meta, "to": models.ForeignKey("library.Nowhere", models.CASCADE)}
    type("Dangling", (Model,), attributes)
    forget_tables()
    try:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE library_tag SET name = 'b'")
    finally:
        del apps.all_models["library"]["dangling"]
        apps._pending_operations.pop(("library", "nowhere"))
        apps.clear_cache()
        forget_tables()


def test_journal_does_not_hold_its_connection() -> None:
    """Django breaks the cycles of a connection that nobody has any more, and one with its journal would be one more."""
    own = connection.copy()
    before = sys.getrefcount(own)
    journal_of(own)
    assert before == sys.getrefcount(own)


@pytest.mark.django_db
@pytest.mark.parametrize("key", [2**70, -(2**70)])
def test_row_beyond_what_a_column_can_hold(key: int) -> None:
    """Django knows that no row has such a key. Drivers refuse the question."""
    assert list(Tag.objects.cache(rows=True).filter(pk=key)) == []
