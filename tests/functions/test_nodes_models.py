"""Invalid nodes that stand for rows: whatever write touches one of them, and no other."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from everfresh.events import Outcome
from everfresh.nodes import Field, ModelInvalidNode, Node
from everfresh.recorded import read_recorded
from tests.conftest import Configure, Elsewhere
from tests.library import models
from tests.library.models import Author, Book, Order, OrderLine, Place, Shop, SignedBook, Tag, Tagging
from tests.seeds.shelves.models import Guest, Loud, Reader

pytestmark = pytest.mark.django_db(transaction=True)


class Result(Node):
    """Something that is not computed from the database, so that only its invalid nodes drop it."""

    on = Field()

    def key(self) -> str:
        return f"result:{self.on!r}"

    def invalid_nodes(self) -> Any:
        return self.on


def is_kept(on: Any, write: Callable[[], object]) -> bool:
    """Is what depends on the invalid node *on* still current after *write*?"""
    asked = [read_recorded(Result(on=on).named(), lambda: 1).outcome for _ in range(2)]
    assert asked[1] is Outcome.HIT
    write()
    return read_recorded(Result(on=on).named(), lambda: 1).outcome is Outcome.HIT


class AuthorNode(ModelInvalidNode):
    id = Field()

    def key(self) -> str:
        return f"author:{self.id}"

    class Meta:
        model = Author


class BooksOf(ModelInvalidNode):
    """By columns with tags, which are not the key."""

    author = Field()
    status = Field()

    def key(self) -> str:
        return f"books:{self.author.pk}:{self.status}"

    class Meta:
        model = "library.Book"


class Coauthors(ModelInvalidNode):
    book = Field()
    author = Field()

    def key(self) -> str:
        return f"book:{self.book}:author:{self.author}"

    class Meta:
        model = Book.coauthors.through
        m2m = True


class Taggings(ModelInvalidNode):
    book = Field()
    tag = Field()

    def key(self) -> str:
        return f"book:{self.book}:tag:{self.tag}"

    class Meta:
        model = Tagging
        m2m = True


@pytest.fixture
def author() -> Author:
    """One row."""
    return Author.objects.create(id=1, name="A")


@pytest.fixture
def book(author: Author) -> Book:
    """One of that author's."""
    return Book.objects.create(id=1, author=author, title="one")


def raw(statement: str) -> None:
    """Write by SQL of one's own."""
    with connection.cursor() as cursor:
        cursor.execute(statement)


WRITES: dict[str, Callable[[Author], object]] = {
    "save": lambda author: Author(id=author.id, name="new").save(),
    "update": lambda author: Author.objects.filter(name="A").update(bio="new"),
    "bulk_update": lambda author: Author.objects.bulk_update([Author(id=author.id, bio="new")], ["bio"]),
    "update_or_create": lambda author: Author.objects.update_or_create(id=author.id, defaults={"bio": "new"}),
    "delete": lambda author: author.delete(),
    "delete of a queryset": lambda author: Author.objects.filter(bio="").delete(),
    "raw SQL": lambda author: raw("UPDATE library_author SET bio = 'new'"),
}


@pytest.mark.seeds("CE-19")
@pytest.mark.parametrize("write", [pytest.param(write, id=name) for name, write in WRITES.items()])
def test_every_write(write: Callable[[Author], object], author: Author) -> None:
    """By whatever path; the seed heard only save() and delete()."""
    assert not is_kept(AuthorNode(id=1), lambda: write(author))


@pytest.mark.seeds("CE-19")
def test_other_rows_and_models(author: Author) -> None:
    """They are nothing to it."""
    other = Author.objects.create(id=2, name="B")

    assert is_kept(AuthorNode(id=1), lambda: Author.objects.filter(id=2).update(name="C"))
    assert is_kept(AuthorNode(id=1), other.delete)
    assert is_kept(AuthorNode(id=1), lambda: Tag.objects.create(name="T"))


@pytest.mark.seeds("CE-19")
def test_of_an_instance(author: Author) -> None:
    """It takes its fields from there, also where it is told what to invalidate by hand."""
    assert str(AuthorNode(instance=author)) == "author:1"
    assert not is_kept(AuthorNode(id=1), lambda: AuthorNode.objects.invalid(instance=author))
    assert not is_kept(AuthorNode(id=1), lambda: AuthorNode.objects.invalid(id=1))
    assert is_kept(AuthorNode(id=1), lambda: AuthorNode.objects.invalid(id=2))
    with pytest.raises(TypeError, match=r"AuthorNode takes an instance of library\.Author, not <Tag"):
        AuthorNode(instance=Tag())


def test_rows_that_are_not_there_yet() -> None:
    """The key 0 is a key like any other; it comes to be by a create."""
    key = 5 if connection.vendor == "mysql" else 0

    assert not is_kept(AuthorNode(id=key), lambda: Author.objects.create(id=key, name="A"))
    assert is_kept(AuthorNode(id=key), lambda: Author.objects.create(id=1, name="B"))


def test_several_fields(author: Author, book: Book) -> None:
    """All of them count: a row that has one value of two is another one."""
    other = Author.objects.create(id=2, name="B")
    Book.objects.create(id=2, author=other, title="two")
    node = BooksOf(author=author, status=0)

    assert is_kept(node, lambda: Book.objects.filter(id=2).update(title="new"))
    assert is_kept(node, lambda: Book.objects.create(id=3, author=author, title="three", status=1))
    assert not is_kept(node, lambda: Book.objects.filter(id=1).update(title="new"))
    assert not is_kept(node, lambda: Book.objects.filter(id=2).update(author=author)), "it came to be one of them"
    assert not is_kept(node, lambda: Book.objects.filter(id=2).update(status=7)), "it was one of them"


def test_without_tags(author: Author) -> None:
    """By a column without tags, or by what is no column, every write to the table counts; wrong it is never."""

    class ByBio(ModelInvalidNode):
        bio = Field()
        nickname = Field()

        def key(self) -> str:
            return f"bio:{self.bio}:{self.nickname}"

        class Meta:
            model = Author

    node = ByBio(bio="poet", nickname="x")
    assert not is_kept(node, lambda: Author.objects.filter(id=1).update(bio="poet"))
    assert not is_kept(node, lambda: Author.objects.filter(id=1).update(name="B"))
    assert is_kept(node, lambda: Tag.objects.create(name="T"))


def test_values_that_are_none_of_the_column(author: Author) -> None:
    """They name no row, so every write counts."""
    assert not is_kept(AuthorNode(id="no number"), lambda: Author.objects.filter(id=1).update(name="B"))


def test_at_commit(author: Author, elsewhere: Elsewhere) -> None:
    """Not before it, not without it, and for others not after it."""

    def ask() -> Outcome:
        return read_recorded(Result(on=AuthorNode(id=1)).named(), lambda: 1).outcome

    ask()
    with transaction.atomic():
        author.save()
        author.name = "C"
        author.save()
        assert elsewhere(ask) is Outcome.HIT
    assert elsewhere(ask) is Outcome.FILL
    with transaction.atomic():
        Author.objects.filter(id=1).update(name="D")
        transaction.set_rollback(True)
    assert ask() is Outcome.HIT


def test_write_while_it_is_computed(author: Author, elsewhere: Elsewhere) -> None:
    """What was computed from before the write is not kept, though nothing was read that tells."""

    def compute() -> int:
        elsewhere(lambda: Author.objects.filter(id=1).update(name="B"))
        return 1

    for _ in range(2):
        answer = read_recorded(Result(on=AuthorNode(id=1)).named(), compute)
        assert answer.outcome is not Outcome.HIT
        Author.objects.filter(id=1).update(name="A")


# Kinds of models


@pytest.mark.seeds("CE-F8")
def test_proxies(book: Book) -> None:
    """A proxy is another name for the same rows, on either side."""

    class Signed(ModelInvalidNode):
        id = Field()

        def key(self) -> str:
            return f"signed:{self.id}"

        class Meta:
            model = SignedBook

    assert not is_kept(Signed(instance=book), lambda: Book.objects.filter(id=1).update(title="new"))
    assert not is_kept(Signed(id=1), lambda: SignedBook.objects.get(id=1).delete())


@pytest.mark.parametrize("name", ["id", "pk", "place_ptr", "place_ptr_id"])
def test_inherited_tables(name: str) -> None:
    """A row is in several tables, and a write to its part in any of them is one to it."""

    class ShopNode(ModelInvalidNode):
        locals()[name] = Field()

        def key(self) -> str:
            return "shop"

        class Meta:
            model = Shop

    shops = [Shop.objects.create(id=key, name=str(key)) for key in (1, 2)]
    given: Any = shops[0].place_ptr if name == "place_ptr" else 1
    node = ShopNode(**{name: given})
    assert not is_kept(node, lambda: Place.objects.filter(id=1).update(name="new"))
    assert not is_kept(node, lambda: Shop.objects.filter(id=1).update(opens="10:00"))
    assert is_kept(node, lambda: Place.objects.filter(id=2).update(name="new"))
    assert is_kept(node, lambda: Shop.objects.filter(id=2).update(opens="10:00"))
    assert not is_kept(node, shops[0].delete)


def test_columns_of_a_parent() -> None:
    """A field of a parent's table tells nothing of the row's part in the child's table: each of them counts."""

    class InCity(ModelInvalidNode):
        city = Field()

        def key(self) -> str:
            return f"shops in {self.city}"

        class Meta:
            model = Shop

    Shop.objects.create(id=1, city="Delft")
    assert not is_kept(InCity(city="Delft"), lambda: Place.objects.filter(id=1).update(name="new"))
    assert not is_kept(InCity(city="Delft"), lambda: Shop.objects.filter(id=1).update(opens="10:00"))
    if connection.vendor != "mysql":
        assert is_kept(InCity(city="Delft"), lambda: Place.objects.create(id=2, city="Breda"))


def test_uuid_keys() -> None:
    """As UUIDs, and as text."""

    class TreeNode(ModelInvalidNode):
        id = Field()

        def key(self) -> str:
            return f"tree:{self.id}"

        class Meta:
            model = models.Node

    row, other = models.Node.objects.create(), models.Node.objects.create()
    assert not is_kept(TreeNode(instance=row), row.delete)
    assert not is_kept(TreeNode(id=str(other.id)), lambda: models.Node.objects.filter(id=other.id).update(label="x"))
    assert is_kept(TreeNode(id=other.id), lambda: models.Node.objects.create(id=uuid.uuid4()))


def test_composite_keys(book: Book) -> None:
    """By the parts of the key, or by the whole of it."""

    class LineNode(ModelInvalidNode):
        pk = Field()

        def key(self) -> str:
            return f"line:{self.pk}"

        class Meta:
            model = OrderLine

    order = Order.objects.create(id=1)
    lines = [OrderLine.objects.create(order=order, position=position) for position in (0, 1)]
    node = LineNode(instance=lines[0])
    assert str(node) == "line:(1, 0)"
    assert not is_kept(node, lambda: OrderLine.objects.filter(position=0).update(amount=5))
    assert is_kept(node, lambda: OrderLine.objects.filter(position=1).update(amount=5))
    assert not is_kept(LineNode(pk="neither"), lambda: OrderLine.objects.filter(position=1).update(amount=6))


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_every_database(author: Author) -> None:
    """A row may be in any database that the routers let the model into."""
    assert not is_kept(AuthorNode(id=1), lambda: Author.objects.using("other").create(id=1, name="A"))


def test_excluded(configure: Configure) -> None:
    """Nobody looks at its writes, so nothing can depend on them."""
    configure(EXCLUDE=["library.Author"])

    with pytest.raises(ImproperlyConfigured, match=r"Nothing can depend on rows of library\.Author"):
        read_recorded(Result(on=AuthorNode(id=1)).named(), lambda: 1)


# Many to many


@pytest.mark.seeds("CE-20")
def test_names_of_m2m(author: Author, book: Book) -> None:
    """Instances, keys, and "all" for what is left out."""
    assert str(Coauthors(book=book)) == "book:1:author:all"
    assert str(Coauthors(author=author)) == "book:all:author:1"
    assert str(Coauthors(book=12, author="7")) == "book:12:author:7"
    assert str(Coauthors(book=0)) == "book:0:author:all"
    assert str(Coauthors()) == "book:all:author:all"
    assert str(Coauthors(instance=Coauthors._model()(book=book, author=author))) == "book:1:author:1"
    some = uuid.uuid4()
    assert str(Coauthors(book=some)) == f"book:{some}:author:all"


@pytest.mark.seeds("CE-20")
@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"book": None}, "takes a saved instance, an int, a str or a UUID for 'book', not None"),
        ({"book": True}, "takes a saved instance, an int, a str or a UUID for 'book', not True"),
        ({"book": Book()}, "takes a saved instance, an int, a str or a UUID for 'book', not None"),
        ({"book": Author(id=1)}, "takes an instance of library.Book for 'book', not <Author"),
        ({"reader": 1}, "Coauthors has no field 'reader'; its fields are book, author"),
    ],
)
def test_no_names_of_m2m(given: dict[str, Any], error: str) -> None:
    """Errors say what was given, and to what."""
    with pytest.raises(TypeError) as raised:
        Coauthors(**given)
    assert error in str(raised.value)


def test_foreign_keys_of_m2m() -> None:
    """The fields are foreign keys of the model, and an error names those."""

    class Wrong(ModelInvalidNode):
        user = Field()

        class Meta:
            model = Book.coauthors.through
            m2m = True

    with pytest.raises(
        TypeError, match=r"'user' of Wrong is no foreign key of library\.Book_.*, which has book, author"
    ):
        Wrong(user=1)


M2M_WRITES: dict[str, Callable[[Book, Author], object]] = {
    "add": lambda book, author: book.coauthors.add(author),
    "add from the other side": lambda book, author: author.cowritten.add(book),
    "set": lambda book, author: book.coauthors.set([author]),
    "remove": lambda book, author: book.coauthors.remove(Author(id=2)),
    "remove from the other side": lambda book, author: Author(id=2).cowritten.remove(book),
    "clear": lambda book, author: book.coauthors.clear(),
    "clear from the other side": lambda book, author: Author(id=2).cowritten.clear(),
    "delete of one side": lambda book, author: Author.objects.filter(id=2).delete(),
    "delete of the other": lambda book, author: book.delete(),
    "a row": lambda book, author: Coauthors._model().objects.create(book=book, author=author),
    "delete of rows": lambda book, author: Coauthors._model().objects.all().delete(),
}


@pytest.mark.seeds("CE-20")
@pytest.mark.parametrize("write", [pytest.param(write, id=name) for name, write in M2M_WRITES.items()])
def test_m2m_writes(write: Callable[[Book, Author], object], author: Author, book: Book) -> None:
    """From either side, clear() and rows of the model between them included."""
    second = Author.objects.create(id=2, name="B")
    book.coauthors.add(second)
    node = Coauthors(book=book)

    assert not is_kept(node, lambda: write(book, author))


@pytest.mark.seeds("CE-20")
def test_which_of_m2m(author: Author, book: Book) -> None:
    """Both sides of the pair, the pair itself, and no others."""
    two = Book.objects.create(id=2, author=author, title="two")
    other = Author.objects.create(id=2, name="B")
    touched = [Coauthors(book=book), Coauthors(author=author), Coauthors(book=1, author="1"), Coauthors()]
    others = [Coauthors(book=two), Coauthors(author=other), Coauthors(book=1, author=2), Coauthors(book=2, author=1)]

    for node in touched:
        assert not is_kept(node, lambda: book.coauthors.add(author)), node
        book.coauthors.clear()
    for node in others:
        assert is_kept(node, lambda: book.coauthors.add(author)), node
        book.coauthors.clear()


@pytest.mark.seeds("CE-20")
def test_rows_with_more_columns(book: Book) -> None:
    """A model of one's own between two: its saves and updates count like add() and remove()."""
    tag = Tag.objects.create(name="T")
    assert not is_kept(Taggings(book=book), lambda: book.tags.add(tag))
    assert not is_kept(Taggings(tag=tag), lambda: Tagging.objects.update(weight=2))
    assert not is_kept(Taggings(tag=tag.pk, book=1), lambda: Tagging.objects.get().delete())


class Follow(ModelInvalidNode):
    from_reader = Field()
    to_reader = Field()

    def key(self) -> str:
        return f"{self.from_reader} follows {self.to_reader}"

    class Meta:
        model = Reader.follows.through
        m2m = True


@pytest.mark.seeds("CE-F8")
def test_m2m_to_itself() -> None:
    """Its two foreign keys point to one model; each has its own name."""
    one, two, three = [Reader.objects.create(name=name) for name in "ABC"]

    assert not is_kept(Follow(from_reader=one), lambda: one.follows.add(two))
    assert not is_kept(Follow(to_reader=one), lambda: two.follows.add(one))
    assert is_kept(Follow(from_reader=one), lambda: two.follows.set([three]))
    assert is_kept(Follow(to_reader=one), lambda: three.follows.add(two))
    assert not is_kept(Follow(from_reader=two), two.follows.clear)


@pytest.mark.seeds("CE-F8")
def test_m2m_to_children(author: Author) -> None:
    """A child of the model, and a proxy of it, are what the foreign key points to as well."""
    guest = Guest.objects.create(name="G")
    loud = Loud.objects.create(name="L")

    assert not is_kept(Follow(from_reader=guest), lambda: guest.follows.add(loud))
    assert not is_kept(Follow(to_reader=loud), lambda: Reader.objects.get(pk=guest.pk).follows.remove(loud))
