"""SQL whose answer changes without a write is not cached; SQL that only looks like it is."""

from __future__ import annotations

import inspect
from typing import Any

import django
import pytest
from django.db import connection, models
from django.db.models import F, Func, Value
from django.db.models import functions as fn

from everfresh.exceptions import Uncacheable
from everfresh.queries.plan import plan
from everfresh.queries.volatility import volatile_part
from tests.library.models import Author, Book
from tests.settings import DB

pytestmark = pytest.mark.django_db


def reason(queryset: models.QuerySet[Any]) -> str:
    """Why it is not cached; empty where it is."""
    try:
        plan(queryset.query, "default", "rows", None)
    except Uncacheable as refusal:
        return refusal.reason
    return ""


MOMENT = models.DateTimeField()

VOLATILE = {
    "Now()": lambda: Book.objects.filter(published__lt=fn.Now()),
    "Now() in an annotation": lambda: Book.objects.annotate(x=fn.Now()),
    "Now() in a function": lambda: Book.objects.annotate(x=fn.TruncDay(fn.Now())),
    "Now() in a subquery": lambda: Author.objects.filter(books__in=Book.objects.filter(published__lt=fn.Now())),
    "Random()": lambda: Book.objects.annotate(x=fn.Random()),
    "a random order": lambda: Book.objects.order_by("?"),
    "CURRENT_TIMESTAMP": lambda: Book.objects.filter(
        published__lt=Func(template="CURRENT_TIMESTAMP", output_field=MOMENT)
    ),
    "CURRENT_DATE": lambda: Author.objects.filter(
        born__lt=Func(template="CURRENT_DATE", output_field=models.DateField())
    ),
    "a cast of 'now'": lambda: Book.objects.annotate(x=fn.Cast(Value("now"), models.DateField())),
    "a cast of ' Today'": lambda: Book.objects.annotate(x=fn.Cast(Value(" Today"), models.DateField())),
}
if DB == "postgresql":
    from django.contrib.postgres.functions import RandomUUID, TransactionNow

    VOLATILE |= {
        "RandomUUID()": lambda: Book.objects.annotate(x=RandomUUID()),
        "TransactionNow()": lambda: Book.objects.annotate(x=TransactionNow()),
        "clock_timestamp()": lambda: Book.objects.annotate(x=Func(function="clock_timestamp", output_field=MOMENT)),
        "LOCALTIMESTAMP": lambda: Book.objects.annotate(x=Func(template="LOCALTIMESTAMP", output_field=MOMENT)),
        "CURRENT_ROLE": lambda: Book.objects.annotate(x=Func(template="CURRENT_ROLE", output_field=models.TextField())),
        "text that the server takes for a time": lambda: Book.objects.filter(published__lt=Value("now")),
    }
if DB == "sqlite":
    VOLATILE |= {
        "date('now')": lambda: Book.objects.annotate(
            x=Func(Value("now"), function="date", output_field=models.TextField())
        ),
        "date()": lambda: Book.objects.annotate(x=Func(function="date", output_field=models.TextField())),
        "datetime()": lambda: Book.objects.annotate(x=Func(function="datetime", output_field=models.TextField())),
        "strftime of now": lambda: Book.objects.annotate(
            x=Func(Value("%Y"), function="strftime", output_field=models.TextField())
        ),
        "randomblob()": lambda: Book.objects.annotate(
            x=Func(Value(4), function="randomblob", output_field=models.BinaryField())
        ),
    }
if django.VERSION >= (6, 1):
    VOLATILE |= {"UUID4()": lambda: Book.objects.annotate(x=fn.UUID4())}


@pytest.mark.parametrize("name", VOLATILE)
def test_what_the_clock_or_chance_decides_is_refused(name: str) -> None:
    """No write would make such an answer stale."""
    assert "another answer each time" in reason(VOLATILE[name]())


@pytest.mark.parametrize(
    "name",
    [
        "now",
        "random",
        "date",
        "time",
        "uuid",
        "changes",
        "current_user",
        "pg_sleep",
        "current_timestamp",
        "now()",
        "today",
    ],
)
@pytest.mark.parametrize("quote", ['"', "`"])
def test_names_are_not_functions(name: str, quote: str) -> None:
    """Columns, tables and aliases are quoted."""
    quoted = f"{quote}{name}{quote}"

    assert not volatile_part(f"SELECT {quoted}.{quoted} AS {quoted} FROM {quoted} WHERE {quoted} = %s", ["a"])
    assert not volatile_part(f"SELECT COUNT({quoted}) FROM t WHERE x IN ({quoted})", ["today"])


@pytest.mark.parametrize("name", ["now", "random", "date", "uuid", "time", "changes", "current_date", "sleep"])
def test_aliases_may_be_called_anything(name: str) -> None:
    """So may what a project calls its annotations."""
    assert not reason(Book.objects.annotate(**{name: F("pages")}).filter(**{name: 1}).order_by(name))


def test_texts_may_say_anything() -> None:
    """A title is a title."""
    for title in ("now", "today", "NOW()", "random()", "current_timestamp", "'now'"):
        assert not reason(Book.objects.filter(title__contains=title))


# One argument of each kind, for functions that need it.
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "Cast": ("pages", models.TextField()),
    "Coalesce": ("pages", "status"),
    "Collate": ("title", {"sqlite": "nocase", "postgresql": "C", "mysql": "utf8mb4_bin"}[connection.vendor]),
    "Concat": ("title", "title"),
    "ConcatPair": ("title", "title"),
    "Extract": ("published", "day"),
    "Trunc": ("published", "day"),
    "Greatest": ("pages", "status"),
    "Least": ("pages", "status"),
    "JSONObject": (),
    "Pi": (),
    "JSONArray": ("pages",),
    "Left": ("title", 1),
    "Right": ("title", 1),
    "LPad": ("title", 3),
    "RPad": ("title", 3),
    "Repeat": ("title", 2),
    "Replace": ("title", Value("a")),
    "StrIndex": ("title", Value("a")),
    "Substr": ("title", 1, 1),
    "NullIf": ("pages", "status"),
    "ATan2": ("pages", "status"),
    "Log": ("pages", "status"),
    "Mod": ("pages", "status"),
    "Power": ("pages", "status"),
}
_TEXT = {
    "Chr", "Length", "Lower", "LTrim", "MD5", "Ord", "Reverse", "RTrim", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512",
    "Trim", "Upper",
}  # fmt: skip
_REFUSED = {"Now", "Random", "UUID4", "UUID7"}
_WINDOWS = {"CumeDist", "DenseRank", "FirstValue", "Lag", "LastValue", "Lead", "NthValue", "Ntile", "PercentRank"} | {
    "Rank",
    "RowNumber",
}
FUNCTIONS = sorted(
    name
    for name, each in vars(fn).items()
    if inspect.isclass(each) and issubclass(each, Func) and name not in _REFUSED | _WINDOWS
)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ordinary_functions_are_cached(name: str) -> None:
    """Whatever SQL a vendor makes of them."""
    arguments = _ARGUMENTS.get(name)
    if arguments is None:
        arguments = (
            ("title",) if name in _TEXT else ("published",) if name.startswith(("Trunc", "Extract")) else ("pages",)
        )

    why = reason(Book.objects.annotate(x=getattr(fn, name)(*arguments)))

    assert "another answer" not in why
    # Some vendors have no such function.
    assert not why or "NotSupportedError" in why


@pytest.mark.parametrize("lookup", ["date", "time", "hour", "year", "week_day", "iso_year", "quarter", "second"])
def test_ordinary_lookups_are_cached(lookup: str) -> None:
    """Parts of a moment are no moment of now."""
    value = {"date": "2020-01-01", "time": "10:00"}.get(lookup, 1)

    assert not reason(Book.objects.filter(**{f"published__{lookup}": value}))


def test_dates_and_json_are_cached() -> None:
    """dates(), datetimes(), paths into JSON."""
    assert not reason(Author.objects.dates("born", "month"))
    assert not reason(Book.objects.datetimes("published", "hour"))
    assert not reason(Book.objects.filter(data__now__today=1).order_by("data__date"))
