"""What an operator picks: what it touches is told before, and nothing else goes."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from everfresh import selections
from everfresh.events import Outcome
from everfresh.names import tag_of
from everfresh.selections import Selection, invalidate_selection, preview, watched_models
from everfresh.stores import current_store
from tests.audit.conftest import Results
from tests.conftest import Configure
from tests.library.models import Author, Book, SignedBook

ALL = {"Book:1", "Book:2", "Mail:1"}

EACH = pytest.mark.parametrize(
    ("selection", "gone"),
    [
        (Selection(labels=("shop.page",)), {"Book:1", "Book:2"}),
        (Selection(labels=("tag:sale, summer",)), {"Book:1"}),
        (Selection(labels=("post.mail", "tag:news")), ALL),
        (Selection(pattern="*:1"), {"Book:1", "Mail:1"}),
        (Selection(pattern="book:*"), set()),
        (Selection(models=("library.Author",)), {"Book:2"}),
        (Selection(models=("library.Book",), pattern="Book:1"), {"Book:1"}),
        (Selection(models=("library.Book",), using="other"), set()),
        (Selection(everything=True, using="default"), {"Book:1", "Book:2"}),
        (Selection(everything=True), ALL),
    ],
    ids=str,
)


@EACH
@pytest.mark.seeds("CE-21")
def test_what_is_told_is_what_goes(results: Results, selection: Selection, gone: set[str]) -> None:
    """The count before is the number of results that are stale after; looking changes nothing."""
    touched = preview(selection)
    assert touched.count == len(gone)
    assert results.current() == ALL
    invalidate_selection(selection)
    assert results.current() == ALL - gone
    assert preview(selection).count == 0


def test_counts_of_each_part(results: Results) -> None:
    """Beside each label, model and name."""
    touched = preview(
        Selection(models=("library.Author", "library.Tag"), labels=("tag:news", "tag:gone"), pattern="Mail:*")
    )
    assert touched.models == {"library.Author": 1, "library.Tag": 0}
    assert touched.labels == {"tag:news": 2, "tag:gone": 0}
    assert touched.names == ("Mail:1",)
    assert touched.unknown == ("tag:gone",)
    assert touched.count == 3


def test_what_was_computed_from_it_counts(results: Results) -> None:
    """A page that holds a result goes with it, though it is under another label."""
    results("Site:1", lambda: results("Book:1"), label="shop.site")
    assert preview(Selection(labels=("shop.page",))).count == 3
    invalidate_selection(Selection(labels=("shop.page",)))
    assert results.current() == {"Mail:1"}


def test_stale_ones_do_not_count(results: Results) -> None:
    """They are listed by name, and are gone already."""
    Book.objects.filter(id=1).update(title="new")
    touched = preview(Selection(labels=("shop.page",), pattern="Book:1"))
    assert (touched.labels["shop.page"], touched.names, touched.count) == (1, ("Book:1",), 1)


def test_too_many_to_count(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past a limit nobody waits for what cannot be read off the lists; it is done all the same."""
    monkeypatch.setattr(selections, "_COUNTED", 2)
    selection = Selection(labels=("tag:news",), models=("library.Author",))
    touched = preview(selection)
    assert (touched.count, touched.models, touched.labels) == (None, {"library.Author": None}, {"tag:news": 2})
    invalidate_selection(selection)
    assert results.current() == {"Mail:1"}


def test_unlisted_labels_are_invalidated_too(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store may drop its list sooner than the results: an unknown label is no error, and counts."""
    with monkeypatch.context() as patch:
        patch.setattr(current_store().store, "enrolled", lambda _: [])
        touched = preview(Selection(labels=("post.mail",)))
        assert (touched.unknown, tag_of("post.mail")) == (("post.mail",), "label:post.mail")
        invalidate_selection(Selection(labels=("post.mail",)))
    assert results.current() == {"Book:1", "Book:2"}


def test_answers_of_querysets(results: Results, django_assert_num_queries: Any) -> None:
    """They have no names and are not counted, and go with their model."""
    authors = Author.objects.filter(id=1).cache()  # type: ignore[attr-defined]
    for expected in (1, 0):
        with django_assert_num_queries(expected):
            list(authors.all())
    invalidate_selection(Selection(models=("library.Author",)))
    with django_assert_num_queries(1):
        list(authors.all())


def test_takes_effect_at_commit(results: Results) -> None:
    """And not at all when that never comes."""
    with pytest.raises(LookupError), transaction.atomic():
        invalidate_selection(Selection(labels=("post.mail",), pattern="Book:1", models=("library.Author",)))
        raise LookupError
    assert results.current() == ALL


def test_nothing_picked() -> None:
    """It is false, and refused: nothing stands for everything but saying so."""
    assert not Selection()
    with pytest.raises(ValueError, match="Nothing is picked"):
        invalidate_selection(Selection())


def test_unknown_model(results: Results) -> None:
    """Nothing is done by halves."""
    with pytest.raises(LookupError):
        invalidate_selection(Selection(models=("library.Nothing",), labels=("post.mail",)))
    assert results.current() == ALL


def test_watched_models(configure: Configure) -> None:
    """Those that the cache looks at: none that is excluded, no proxies, tables of many-to-many relations too."""
    configure(MODELS={"published.*": None})
    watched: Any = {model._meta.label for model in watched_models()}
    assert {"library.Book", "library.Book_coauthors", "auth.User"} <= watched
    assert not {"sessions.Session", SignedBook._meta.label, "published.Badge"} & watched


def test_hit_after_a_refill(results: Results) -> None:
    """What was invalidated is computed anew once, and counted again."""
    invalidate_selection(Selection(pattern="Book:*"))
    assert results("Book:1", tags=("news",)) is Outcome.FILL
    assert preview(Selection(labels=("tag:news",))).labels == {"tag:news": 1}
