"""Small stories, the same code for every contender: prime, write, read through the cache, ask the database.

Most of them are things that went wrong in practice: in issue trackers, or when we tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, Count, Exists, F, OuterRef, Prefetch, Q, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.utils.timezone import override

from benchmarks.shop.models import LONG_AGO, Article, Author, Badge, Bar, Category, Comment, Place, Tag
from benchmarks.stage import Read, Stage

__all__ = ["SCENARIOS", "listed", "play", "truth"]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One line of the table."""

    group: str
    name: str
    reads: tuple[Read, ...]
    write: Callable[[], object] = lambda: None
    play: Callable[[Stage, Scenario], None] | None = None
    """How it goes, where it is not: prime, write, check."""


SCENARIOS: list[Scenario] = []


def play(number: int, ask_back: Callable[..., Any]) -> dict[str, str]:
    """Play one scenario, and say how it went."""
    scenario = SCENARIOS[number]
    stage = Stage(lambda read: ask_back(number, read), scenario.reads)
    try:
        if scenario.play is not None:
            scenario.play(stage, scenario)
        else:
            stage.prime()
            scenario.write()
            stage.check()
        return {"verdict": stage.verdict, "detail": "; ".join(stage.wrong)}
    finally:
        stage.close()


def truth(number: int, read: int) -> str:
    """The answer to a scenario's read; asked of plain Django."""
    return repr(SCENARIOS[number].reads[read]())


def listed() -> list[tuple[str, str]]:
    """Group and name of every scenario, in order."""
    return [(scenario.group, scenario.name) for scenario in SCENARIOS]


# Reads


def titles(*conditions: Q, **filters: Any) -> Read:
    """The titles under these conditions."""
    return lambda: list(Article.objects.filter(*conditions, **filters).order_by("pk").values_list("pk", "title"))


def article(pk: int) -> Read:
    """One article."""

    def read() -> tuple[Any, ...]:
        found = Article.objects.get(pk=pk)
        return found.title, found.views, found.author_id, found.category_id, found.price, found.at

    return read


def comments(**filters: Any) -> Read:
    """The comments under these conditions, as instances."""
    return lambda: [
        (each.pk, each.text, each.article_id, each.reviewer_id)
        for each in Comment.objects.filter(**filters).order_by("pk")
    ]


# Writes


def save(model: Any, pk: int, **values: Any) -> Callable[[], None]:
    """Read a row, change it, save it: what every form does."""

    def write() -> None:
        row = model.objects.get(pk=pk)
        for name, value in values.items():
            setattr(row, name, value)
        row.save()

    return write


def update(model: Any, pk: int, **values: Any) -> Callable[[], None]:
    """The same without reading it."""
    return lambda: model.objects.filter(pk=pk).update(**values)


def sql(statement: str, *parameters: Any) -> Callable[[], None]:
    """By hand."""

    def write() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)

    return write


def bulk_update() -> None:
    """Several rows at once."""
    rows = list(Article.objects.filter(pk__in=[1, 2]))
    for row in rows:
        row.title = "changed"
    Article.objects.bulk_update(rows, ["title"])


def save_only() -> None:
    """Save a row of which only one column was read."""
    row = Article.objects.only("title").get(pk=1)
    row.title = "changed"
    row.save()


def get_or_update() -> None:
    """One of Django's own shortcuts."""
    Article.objects.update_or_create(pk=1, defaults={"title": "changed"})


def add(group: str, name: str, *reads: Read, write: Callable[[], object] = lambda: None, play: Any = None) -> None:
    """Another scenario."""
    SCENARIOS.append(Scenario(group=group, name=name, reads=reads, write=write, play=play))


# Ways of writing

WAYS = "Ways to write"
ONE, LIST = article(1), titles(category=2)  # article 1 is in category 2
for way, how in {
    "save()": save(Article, 1, title="changed"),
    "save(), moves between lists": save(Article, 1, category_id=1),
    "only() and save()": save_only,
    "queryset.update()": update(Article, 1, title="changed"),
    "update(), moves between lists": update(Article, 1, category_id=1),
    "bulk_update()": bulk_update,
    "update_or_create()": get_or_update,
    "raw SQL UPDATE": sql("UPDATE shop_article SET title = 'changed' WHERE id = 1"),
    "raw SQL with a CTE": sql(
        "WITH gone AS (SELECT 1 AS id) UPDATE shop_article SET title = %s WHERE id IN (SELECT id FROM gone)", "changed"
    ),
    "bulk_create()": lambda: Article.objects.bulk_create([Article(author_id=1, category_id=2, title="new")]),
    "bulk_create(update_conflicts)": lambda: Article.objects.bulk_create(
        [Article(pk=1, author_id=1, category_id=2, title="changed")],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["title"],
    ),
    "queryset.delete()": lambda: Article.objects.filter(pk=3).delete(),
}.items():
    add(WAYS, way, ONE, LIST, titles(category=1), write=how)

add(
    WAYS,
    "children that go with a parent (DB_CASCADE)",
    lambda: list(Badge.objects.order_by("pk").values_list("name", flat=True)),
    write=lambda: Article.objects.get(pk=2).delete(),
)
add(WAYS, "SET_NULL", comments(reviewer=2), comments(pk=1), write=lambda: Author.objects.get(pk=2).delete())
add(
    WAYS,
    "inherited model, filtered by the parent",
    lambda: list(Place.objects.filter(city="Rome").order_by("pk").values_list("name", flat=True)),
    lambda: [bar.name for bar in Bar.objects.filter(city="Rome").order_by("pk")],
    write=save(Bar, 1, name="changed"),
)
add(
    WAYS,
    "inherited model, parent saved",
    lambda: [(bar.name, bar.beers) for bar in Bar.objects.filter(beers__gt=0).order_by("pk")],
    write=save(Place, 1, name="changed"),
)

# Relations

RELATIONS = "Relations"


def _of_article(pk: int) -> Read:
    return lambda: [each.pk for each in Article(pk=pk).comments.order_by("pk")]


def _new(pk: int) -> Comment:
    return Comment.objects.get(pk=pk)


add(
    RELATIONS,
    "FK manager add()",
    _of_article(1),
    comments(article=None),
    write=lambda: Article(pk=1).comments.add(_new(7)),
)
add(RELATIONS, "FK manager remove()", _of_article(1), write=lambda: Article(pk=1).comments.remove(_new(4)))
add(RELATIONS, "FK manager clear()", _of_article(1), write=Article(pk=1).comments.clear)
add(RELATIONS, "FK manager set()", _of_article(1), write=lambda: Article(pk=1).comments.set([_new(7), _new(8)]))


def _tags(pk: int) -> Read:
    return lambda: [each.name for each in Article(pk=pk).tags.order_by("pk")]


for way, how in {
    "add()": lambda: Article(pk=1).tags.add(3),
    "remove()": lambda: Article(pk=1).tags.remove(2),
    "set()": lambda: Article(pk=1).tags.set([3]),
    "clear()": Article(pk=1).tags.clear,
    "add() from the other side": lambda: Tag(pk=3).articles.add(1),
}.items():
    add(RELATIONS, f"many-to-many {way}", _tags(1), titles(tags=3), titles(tags=2), write=how)


def _comments() -> Prefetch:
    return Prefetch("comments", queryset=Comment.objects.order_by("pk"))


add(
    RELATIONS,
    "prefetch_related, child changed",
    lambda: [(a.pk, [c.text for c in a.comments.all()]) for a in Article.objects.prefetch_related(_comments())],
    write=save(Comment, 1, text="changed"),
)


add(
    RELATIONS,
    "select_related, related row changed",
    lambda: [
        (each.pk, each.author.name)
        for each in Article.objects.filter(category=1).select_related("author").order_by("pk")
    ],
    write=save(Author, 2, name="changed"),
)
add(
    RELATIONS,
    "FK access, related row updated",
    lambda: Article(pk=1, author_id=2).author.name,
    write=update(Author, 2, name="changed"),
)
add(
    RELATIONS,
    "order_by('author__name'), author changed",
    lambda: list(Article.objects.order_by("author__name", "pk").values_list("pk", flat=True)),
    lambda: [each.pk for each in Article.objects.order_by("author__name", "pk")],
    write=save(Author, 1, name="zzz"),
)

# Queries within queries

NESTED = "Conditions on other tables"
BAD = Comment.objects.filter(article=OuterRef("pk"), good=False)
add(NESTED, "filter(author__name=…)", titles(author__name="author 2"), write=save(Author, 2, name="changed"))
add(NESTED, "filter(comments__good=…)", titles(comments__good=False), write=save(Comment, 1, good=False))
add(NESTED, "Exists(…)", titles(Exists(BAD)), titles(~Exists(BAD)), write=save(Comment, 1, good=False))
add(
    NESTED,
    "annotate(Exists(…))",
    lambda: list(Article.objects.annotate(bad=Exists(BAD)).order_by("pk").values_list("pk", "bad")),
    write=save(Comment, 1, good=False),
)
add(
    NESTED,
    "Subquery(…) within Coalesce(…)",
    lambda: list(
        Article.objects.annotate(
            last=Coalesce(
                Subquery(Comment.objects.filter(article=OuterRef("pk")).order_by("-pk").values("text")[:1]), Value("-")
            )
        )
        .order_by("pk")
        .values_list("pk", "last")
    ),
    write=save(Comment, 5, text="changed"),
)
add(
    NESTED,
    "a Subquery within a Subquery",
    lambda: list(
        Article.objects.filter(
            author__in=Author.objects.filter(
                pk__in=Comment.objects.filter(reviewer__in=Author.objects.filter(active=True)).values("reviewer")
            )
        )
        .order_by("pk")
        .values_list("pk", flat=True)
    ),
    write=save(Author, 2, active=False),
)
add(
    NESTED,
    "Case(When(Exists(…)))",
    lambda: list(
        Article.objects.annotate(word=Case(When(Exists(BAD), then=Value("bad")), default=Value("good")))
        .order_by("pk")
        .values_list("pk", "word")
    ),
    write=save(Comment, 1, good=False),
)
add(
    NESTED,
    "__in a queryset",
    lambda: list(
        Article.objects.filter(author__in=Author.objects.filter(active=True))
        .order_by("pk")
        .values_list("pk", flat=True)
    ),
    write=save(Author, 2, active=False),
)
add(
    NESTED,
    "exclude() over a many-valued relation",
    lambda: list(Article.objects.exclude(comments__good=False).order_by("pk").values_list("pk", flat=True)),
    write=save(Comment, 1, good=False),
)
add(
    NESTED,
    "reverse isnull",
    titles(comments__isnull=True),
    write=lambda: Comment.objects.create(article_id=8, text="new"),
)
add(
    NESTED,
    "annotate(Count('comments'))",
    lambda: list(Article.objects.annotate(n=Count("comments")).order_by("pk").values_list("pk", "n")),
    write=lambda: Comment.objects.create(article_id=8, text="new"),
)
add(
    NESTED,
    "union()",
    lambda: sorted(
        Article.objects.filter(category=1)
        .values_list("title", flat=True)
        .union(Comment.objects.values_list("text", flat=True))
    ),
    write=save(Comment, 1, text="changed"),
)
add(NESTED, "Q() ^ Q()", titles(Q(category=1) ^ Q(author=1)), write=save(Article, 3, author_id=2))

# Values

VALUES = "Values that are equal, or not"
add(
    VALUES,
    "a decimal of another scale",
    titles(price=Decimal("1.5")),
    write=save(Article, 1, price=Decimal("9.00")),
)
add(
    VALUES,
    "a time in another time zone",
    titles(at=datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))),
    write=save(Article, 1, at=LONG_AGO + timedelta(days=1)),
)


def local_days(zone: str) -> Read:
    """The articles' days, as they are called in a time zone."""

    def read() -> Any:
        with override(zone):
            days = Article.objects.datetimes("at", "day")
            return [day.isoformat() for day in days], Article.objects.filter(at__date=date(2026, 1, 1)).count()

    return read


add(
    VALUES,
    "days in two time zones",
    local_days("Pacific/Kiritimati"),
    local_days("America/New_York"),
    write=save(Article, 1, at=LONG_AGO + timedelta(days=1)),
)


def _one_after_the_other(stage: Stage, scenario: Scenario) -> None:
    scenario.write()
    for number in range(len(scenario.reads)):
        stage.prime(number)
        stage.check(number)
    stage.check()


def _ab() -> None:
    for number, name in enumerate(("a, b", "a", "b")):
        Author.objects.create(pk=100 + number, name=name)


def named(*names: str) -> Read:
    """Authors by any of these names."""
    return lambda: list(Author.objects.filter(name__in=names).order_by("pk").values_list("name", flat=True))


add(VALUES, "in ['a, b'], in ['a', 'b']", named("a, b"), named("a", "b"), write=_ab, play=_one_after_the_other)
add(
    VALUES,
    "two long JSON values (two tenants)",
    titles(about__tenant=f"{'x' * 60} 0"),
    titles(about__tenant=f"{'x' * 60} 1"),
    play=_one_after_the_other,
)
add(
    VALUES,
    "JSON contains, two long values",
    titles(about__contains={"tenant": f"{'x' * 60} 0"}),
    titles(about__contains={"tenant": f"{'x' * 60} 1"}),
    play=_one_after_the_other,
)
add(
    VALUES,
    "Value(1), Value('1')",
    lambda: Author.objects.annotate(it=Value(1)).values_list("it", flat=True).get(pk=1),
    lambda: Author.objects.annotate(it=Value("1")).values_list("it", flat=True).get(pk=1),
    play=_one_after_the_other,
)

# Transactions

TRANSACTIONS = "Transactions, races, crashes"


def _read_all(scenario: Scenario) -> None:
    for read in scenario.reads:
        read()


def _rolled_back(stage: Stage, scenario: Scenario) -> None:
    stage.prime()
    with stage.transaction_elsewhere(commit=False):
        stage.elsewhere(scenario.write)
        stage.elsewhere(lambda: _read_all(scenario))
        stage.check()
    stage.check()


def _rolled_back_unprimed(stage: Stage, scenario: Scenario) -> None:
    with stage.transaction_elsewhere(commit=False):
        stage.elsewhere(scenario.write)
        stage.elsewhere(lambda: _read_all(scenario))
        stage.check()
    stage.check()


def _roll_back() -> None:
    connection.rollback()  # of the thread that runs this


def _manual_autocommit(stage: Stage, scenario: Scenario) -> None:
    stage.prime()
    stage.elsewhere(lambda: connection.set_autocommit(False))
    stage.elsewhere(scenario.write)
    stage.elsewhere(lambda: _read_all(scenario))
    stage.check()
    stage.elsewhere(_roll_back)
    stage.elsewhere(lambda: connection.set_autocommit(True))
    stage.check()


def _savepoint(stage: Stage, scenario: Scenario) -> None:
    with stage.transaction_elsewhere(commit=True):
        with stage.transaction_elsewhere(commit=False):
            stage.elsewhere(scenario.write)
            stage.elsewhere(lambda: _read_all(scenario))
        stage.elsewhere(lambda: _read_all(scenario))
    stage.check()


def _committed(stage: Stage, scenario: Scenario) -> None:
    stage.prime()
    with stage.transaction_elsewhere(commit=True):
        stage.elsewhere(scenario.write)
        stage.prime()  # what others ask meanwhile must not outlive the commit
    stage.check()


def _race(stage: Stage, scenario: Scenario) -> None:
    with stage.while_reading(0):
        scenario.write()
    stage.check()


def _race_in_transaction(stage: Stage, scenario: Scenario) -> None:
    with stage.while_reading(0), transaction.atomic():
        scenario.write()
    stage.check()


def _crash(stage: Stage, scenario: Scenario) -> None:
    stage.prime()
    stage.die_after_commit(scenario.write)
    stage.check()


def _snapshot(stage: Stage, scenario: Scenario) -> None:
    def begin() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT 1 FROM shop_tag")  # from here on the transaction sees no newer commit

    with stage.transaction_elsewhere(commit=True):
        stage.elsewhere(begin)
        scenario.write()
        stage.elsewhere(lambda: _read_all(scenario))
    stage.check()


SAVE, UPDATE = save(Article, 1, title="changed"), update(Article, 1, title="changed")
RAW = sql("UPDATE shop_article SET title = 'changed' WHERE id = 1")
for way, how in {"save()": SAVE, "update()": UPDATE, "raw SQL": RAW}.items():
    add(TRANSACTIONS, f"rollback of {way}, cached before", ONE, LIST, write=how, play=_rolled_back)
    add(TRANSACTIONS, f"rollback of {way}, first read within", ONE, LIST, write=how, play=_rolled_back_unprimed)
add(TRANSACTIONS, "rollback to a savepoint", ONE, LIST, write=SAVE, play=_savepoint)
add(TRANSACTIONS, "rollback by hand, autocommit off", ONE, LIST, write=SAVE, play=_manual_autocommit)
add(TRANSACTIONS, "others read before the commit", ONE, LIST, write=SAVE, play=_committed)
add(TRANSACTIONS, "reader stores after a writer's commit", LIST, write=SAVE, play=_race)
add(TRANSACTIONS, "the same, get()", ONE, write=SAVE, play=_race)
add(TRANSACTIONS, "the same, writer in atomic()", LIST, write=SAVE, play=_race_in_transaction)
add(TRANSACTIONS, "writer dies after COMMIT", ONE, LIST, write=SAVE, play=_crash)
add(TRANSACTIONS, "reader in a REPEATABLE READ snapshot", ONE, LIST, write=SAVE, play=_snapshot)

# What need not be asked again

KEPT = "Writes that change no answer"
add(KEPT, "get(), another row saved", ONE, write=save(Article, 2, title="changed"))
add(KEPT, "get(), another row updated", ONE, write=update(Article, 2, views=F("views") + 1))
add(KEPT, "a list, a row of another list saved", titles(author=1), write=save(Article, 1, title="changed"))
add(KEPT, "a list, a row of another list updated", titles(author=1), write=update(Article, 1, title="changed"))
add(
    KEPT,
    "a list, a row added to another",
    titles(author=1),
    write=lambda: Article.objects.create(author_id=2, category_id=1, title="new"),
)
add(KEPT, "count(), views += 1", lambda: Article.objects.filter(category=2).count(), write=save(Article, 1, views=1))
add(
    KEPT,
    "count(), update(views=F('views') + 1)",
    lambda: Article.objects.filter(category=2).count(),
    write=update(Article, 1, views=F("views") + 1),
)
add(KEPT, "count() of a whole table, a row updated", Article.objects.count, write=update(Article, 1, title="changed"))
add(
    KEPT,
    "comments of an article, another's is new",
    _of_article(1),
    write=lambda: Comment.objects.create(article_id=2, text="new"),
)
add(KEPT, "tags of an article, another gets one", _tags(1), write=lambda: Article(pk=4).tags.add(1))
add(
    KEPT,
    "FK access, another author saved",
    lambda: Article(pk=1, author_id=2).author.name,
    write=save(Author, 3, name="c"),
)
add(KEPT, "a table, another table written", titles(category=1), write=save(Category, 3, rank=9))
