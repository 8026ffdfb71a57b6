"""Two queries share a key only when they are the same SQL with the same parameters, asked of the same database."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.db.models import F, Func, Q, Value
from django.db.models import functions as fn
from django.db.models.expressions import RawSQL
from django.utils import timezone as django_timezone
from django.utils.functional import SimpleLazyObject, lazy
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from everfresh.exceptions import Uncacheable
from everfresh.queries.plan import plan
from everfresh.tables import forget_tables
from tests.library.models import Author, Book, Everything, Node, SignedBook
from tests.queries.strategies import (
    DECIMALS,
    INTS,
    MOMENTS,
    TEXTS,
    Asked,
    asked,
    build,
)
from tests.settings import DB

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet

pytestmark = pytest.mark.django_db(databases=["default", "other"])

QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def key_of(queryset: QuerySet[Any], form: str = "rows", using: str = "default") -> str:
    """The key of an entry."""
    return plan(queryset.query, using, form, None).wanted.key


def sql_of(queryset: QuerySet[Any], using: str = "default") -> str:
    """SQL, parameters and their types, database."""
    try:
        sql, params = queryset.query.get_compiler(using).as_sql()
    except EmptyResultSet:
        return "empty"
    return repr((using, sql, [(typed(param), shown(param)) for param in params]))


def shown(value: Any) -> str:
    """A parameter, without its place in memory."""
    return repr(bytes(value)) if isinstance(value, memoryview) else repr(value)


def typed(value: Any) -> str:
    """The type of a parameter as a driver sees it."""
    return "str" if isinstance(value, str) else f"{type(value).__module__}.{type(value).__qualname__}"


def differ(*querysets: QuerySet[Any]) -> None:
    """Each has a key of its own."""
    for one, other in combinations(querysets, 2):
        assert key_of(one) != key_of(other), (sql_of(one), sql_of(other))


def refused(queryset: QuerySet[Any], why: str) -> None:
    """It has no key at all, for this reason."""
    with pytest.raises(Uncacheable, match=why):
        key_of(queryset)


def refusal_of(queryset: QuerySet[Any]) -> str:
    """Why it has no key; empty where it has one."""
    try:
        key_of(queryset)
    except Uncacheable as refusal:
        return refusal.reason
    return ""


# Generated queries

SWAPS = [
    *((a, b) for pool in (INTS, TEXTS, DECIMALS, MOMENTS) for a, b in pairwise(pool)),
    ("Value(1)", "Value('1')"),
    ("Value(1)", "Value(True)"),
    ("Value('1')", "Value(1, models.FloatField())"),
    ("tzinfo=UTC)", "tzinfo=ZoneInfo('Asia/Tokyo'))"),
    ("CharField(max_length=20)", "CharField(max_length=21)"),
    ("IntegerField()", "BigIntegerField()"),
    ("x0", "x1"),
    ("__lt", "__gt"),
    ("__contains", "__icontains"),
    ("__exact", "__iexact"),
    ("filter(", "exclude("),
    (" & ", " | "),
    (" | ", " ^ "),
    ("~", ""),
    ("[:2]", "[:3]"),
    ("[1:3]", "[:3]"),
    (".distinct()", ""),
    ("distinct=True", "distinct=False"),
    ("values(", "values_list("),
    ("Sum(", "Max("),
    ("union(", "intersection("),
    (", all=True", ""),
    ("select_related(", "only("),
    ("nulls_last=True", "nulls_first=True"),
    ("'hour'", "'day'"),
    ("Lower(", "Upper("),
    ("Book.", "SignedBook."),
]


@st.composite
def mutated(draw: Any) -> tuple[Asked, list[Asked]]:
    """A query, and others that differ in one thing."""
    read = draw(asked())
    others = [
        Asked(read.code[:at] + new + read.code[at + len(old) :])
        for pair in SWAPS
        for old, new in (pair, pair[::-1])
        if old
        for at in [read.code.find(old)]
        if at >= 0
    ]
    assume(others)
    return read, draw(st.lists(st.sampled_from(others), min_size=1, max_size=6, unique=True))


def keyed(read: Asked, zone: Any = UTC, using: str = "default") -> tuple[str, str] | None:
    """Its key and its SQL, if it is a query at all."""
    with django_timezone.override(zone):
        try:
            queryset = read.queryset()
            return key_of(queryset, using=using), sql_of(queryset, using)
        except Exception:  # noqa: BLE001  a mutation may be any nonsense
            return None


def never_shared(found: list[tuple[str, str] | None]) -> None:
    """One key, one SQL."""
    by_key: dict[str, str] = {}
    for pair in found:
        if pair is not None:
            assert by_key.setdefault(pair[0], pair[1]) == pair[1]


@QUICK
@given(mutated())
def test_one_thing_changed_is_another_key(drawn: tuple[Asked, list[Asked]]) -> None:
    """A literal, its type, an alias, a lookup, the slice, the time zone, the database: equal keys are equal SQL."""
    read, others = drawn
    zones = [ZoneInfo("Asia/Tokyo"), timezone(timedelta(hours=1), "UTC")]
    never_shared(
        [
            keyed(read),
            *(keyed(other) for other in others),
            *(keyed(read, zone) for zone in zones),
            keyed(read, using="other"),
        ]
    )


@QUICK
@given(st.lists(asked(), min_size=2, max_size=12))
def test_unlike_queries_never_share_a_key(reads: list[Asked]) -> None:
    """Among any queries, equal keys are equal SQL."""
    never_shared([keyed(read) for read in reads])


@QUICK
@given(asked())
def test_a_query_built_twice_has_one_key(read: Asked) -> None:
    """Equal text gives an equal key, also from a clone, and asking for a key does not change the query."""
    before = keyed(read)
    assume(before is not None)
    queryset = read.queryset()
    with django_timezone.override(UTC):
        assert before == (key_of(queryset), sql_of(queryset))
        assert before[0] == key_of(read.queryset().all())


@QUICK
@given(asked())
def test_no_ordinary_query_is_refused(read: Asked) -> None:
    """What Django compiles has a key, unless it is always empty: nothing is refused by mistake."""
    try:
        compiled = sql_of(read.queryset())
    except Exception:  # noqa: BLE001  generated nonsense
        assume(False)
    assume(compiled != "empty")
    assert not refusal_of(read.queryset()) or "always empty" in refusal_of(read.queryset())


FIXED = (
    "Author.objects.filter(name='a').order_by('name')[:3]",
    "Author.objects.filter(Q(name__in=['a', 'b']) | ~Q(books__status=1)).select_related('publisher')",
    "Book.objects.annotate(n=Count('tags', filter=Q(tags__name='a'), distinct=True)).filter(n__gt=1)",
    "Book.objects.filter(pk__in={1, 2, 3}).only('title')",
    "Book.objects.annotate(h=fn.ExtractHour('published')).values('h').distinct()",
    "Book.objects.filter(Exists(Author.objects.filter(pk=OuterRef('author'), name='a'))).defer('title', 'data')",
    "Book.objects.filter(price=Decimal('1.00'), data={'a': {'b': 1}}, published=datetime(2020, 1, 1, tzinfo=UTC))",
    "Node.objects.filter(parent=UUID('00000000-0000-0000-0000-000000000001')).union(Node.objects.all())",
)

_IN_ANOTHER_PROCESS = """
import django, sys
django.setup()
from tests.queries.strategies import build
from everfresh.queries.plan import plan
from everfresh.tables import forget_tables
for line in sys.stdin.read().splitlines():
    print(plan(build(line).query, "default", "rows", None).wanted.key.partition(":")[2])
"""


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_another_process_finds_the_same_key(seed: str) -> None:
    """The seed of Python's hashes, and so the order of sets, is in no key."""
    environment = {**os.environ, "PYTHONHASHSEED": seed, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    found = subprocess.run(
        [sys.executable, "-c", _IN_ANOTHER_PROCESS],
        input="\n".join(FIXED),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    # The namespace is the test's own.
    assert found == [key_of(build(code)).partition(":")[2] for code in FIXED]


# What other caches got wrong, and what might go wrong


def test_one_text_with_a_comma_is_not_two_texts() -> None:
    """``['a, b']`` and ``['a', 'b']``: the text of the SQL with its parameters put in would be the same."""
    differ(
        Author.objects.filter(name__in=["a, b"]),
        Author.objects.filter(name__in=["a", "b"]),
        Author.objects.filter(name__in=["a', 'b"]),
        Author.objects.filter(name__in=["a"]).filter(name__in=["b"]),
    )


def test_values_of_unlike_types_are_unlike() -> None:
    """``1``, ``'1'``, ``True``, ``1.0`` and ``Decimal(1)`` are equal in Python, or look it."""
    differ(*(Book.objects.annotate(x=Value(value)) for value in (1, "1", True, 1.0, Decimal(1), Decimal("1.0"), b"1")))
    differ(*(Everything.objects.filter(json=value) for value in (1, "1", True, 1.0, [1], ["1"], {"a": 1}, {"a": "1"})))
    differ(*(Everything.objects.filter(json__a=value) for value in (1, "1", True, 1.5, [1], None)))
    differ(*(Author.objects.filter(name=Value(value)) for value in ("a", b"a")))


def test_an_output_field_is_part_of_the_key() -> None:
    """It decides casts, and how the rows are read."""
    kinds = (
        models.IntegerField(),
        models.FloatField(),
        models.TextField(),
        models.DecimalField(max_digits=8, decimal_places=2),
    )
    differ(*(Book.objects.annotate(x=Value(1, output_field=kind)) for kind in kinds))
    differ(*(Book.objects.annotate(x=fn.Cast("pages", kind)) for kind in kinds))
    differ(
        *(
            Book.objects.annotate(x=fn.Cast("pages", models.DecimalField(max_digits=digits, decimal_places=places)))
            for digits, places in [(8, 2), (8, 3), (9, 2)]
        )
    )
    differ(*(Book.objects.annotate(x=fn.Cast("title", models.CharField(max_length=size))) for size in (1, 2)))


def test_long_json_values_differ_in_their_last_character() -> None:
    """Psycopg 3 shows only the first 40 characters of a JSON parameter: another tenant's rows."""
    long = "tenant " * 20
    for lookup in ("data", "data__a", "data__a__b", *(["data__contains"] if DB != "sqlite" else [])):
        differ(*(Book.objects.filter(**{lookup: {"who": long + end}}) for end in "ab"))
        differ(*(Book.objects.filter(**{lookup: [long, end]}) for end in (1, 2, "1")))
    differ(Book.objects.filter(data__a="x"), Book.objects.filter(data__b="x"), Book.objects.filter(data__a__0="x"))
    differ(*(Book.objects.annotate(x=Value({"who": long + end}, models.JSONField())) for end in "ab"))


def test_text_that_looks_like_sql_is_text() -> None:
    """Placeholders, quotes and comments mean nothing in a parameter."""
    texts = (
        "%s",
        "%%s",
        "?",
        "' OR 1=1 --",
        "'' OR 1=1 --",
        "\\' OR 1=1",
        "a",
        "'a'",
        '"a"',
        "NULL",
        "",
        " ",
        "1) OR (1=1",
    )
    differ(*(Author.objects.filter(name=text) for text in texts))
    differ(
        *(
            Author.objects.filter(name=text, bio=other)
            for text, other in [("a", "b"), ("a', 'b", ""), ("", "a', 'b"), ("ab", "")]
        )
    )
    differ(Author.objects.none() | Author.objects.filter(name="NULL"), Author.objects.filter(name__isnull=True))


def in_zones(make: Callable[[], QuerySet[Any]]) -> list[str]:
    """The keys of one queryset in several zones."""
    keys = []
    for zone in (UTC, ZoneInfo("Asia/Tokyo"), ZoneInfo("America/New_York"), timezone(timedelta(hours=1))):
        with django_timezone.override(zone):
            keys.append(key_of(make()))
    return keys


@pytest.mark.parametrize(
    "code",
    [
        "Book.objects.annotate(x=fn.Trunc('published', 'day'))",
        "Book.objects.annotate(x=fn.ExtractHour('published'))",
        "Book.objects.filter(published__date=date(2020, 1, 1))",
        "Book.objects.filter(published__hour=1)",
        "Book.objects.filter(published__year=2020)",
        "Book.objects.order_by('published__hour')",
        "Book.objects.values('published__date')",
        "Book.objects.datetimes('published', 'day')",
        "Author.objects.filter(books__in=Book.objects.filter(published__date=date(2020, 1, 1)))",
    ],
)
def test_the_current_time_zone_is_part_of_the_key_where_it_is_part_of_the_sql(code: str) -> None:
    """Days and hours are those of the time zone in force."""
    keys = in_zones(lambda: build(code))

    assert len(keys) == len(set(keys))


def test_the_current_time_zone_is_in_no_other_key() -> None:
    """A moment is the same everywhere."""
    assert len(set(in_zones(lambda: Book.objects.filter(published__gt=datetime(2020, 1, 1, tzinfo=UTC))))) == 1


def test_two_zones_of_one_name_are_two_zones() -> None:
    """The bounds of a year come from the offset, whatever the zone is called."""
    keys = set()
    for hours in (1, 2):
        with django_timezone.override(timezone(timedelta(hours=hours), "HERE")):
            keys.add(key_of(Book.objects.filter(published__year=2020)))

    assert len(keys) == 2


def test_a_zone_that_is_given_is_part_of_the_key() -> None:
    """``tzinfo`` of Trunc and Extract."""
    zones = (None, UTC, ZoneInfo("UTC"), ZoneInfo("Asia/Tokyo"), timezone(timedelta(hours=9)))
    differ(*(Book.objects.annotate(x=fn.Trunc("published", "day", tzinfo=zone)) for zone in zones))
    differ(*(Book.objects.annotate(x=fn.ExtractHour("published", tzinfo=zone)) for zone in zones))


def test_moments_of_unlike_zones() -> None:
    """An hour is not another one, though its digits are."""
    zones = (UTC, timezone(timedelta(hours=1)), ZoneInfo("Asia/Tokyo"))
    differ(*(Book.objects.filter(published=datetime(2020, 1, 1, tzinfo=zone)) for zone in zones))
    differ(
        Book.objects.filter(published__date=date(2020, 1, 1)), Book.objects.filter(published__date__gt=date(2020, 1, 1))
    )
    differ(Everything.objects.filter(time=time(1)), Everything.objects.filter(time=time(1, 0, 1)))


def test_decimals_of_unlike_scale_are_not_mixed_up() -> None:
    """``1``, ``1.0``, ``10`` and ``0.1``."""
    differ(*(Book.objects.annotate(x=Value(Decimal(text))) for text in ("1", "1.0", "1.00", "10", "0.1", "-0", "0")))


def test_function_template_and_extras_are_part_of_the_key() -> None:
    """All that a Func may be given."""
    differ(
        *(
            Book.objects.annotate(x=Func(F("title"), output_field=models.TextField(), **given))
            for given in (
                {"function": "LOWER"},
                {"function": "UPPER"},
                {"function": "LOWER", "template": "%(function)s(%(expressions)s || 'a')"},
                {"function": "LOWER", "template": "%(function)s(%(expressions)s || 'b')"},
                {"function": "LOWER", "template": "%(function)s(%(expressions)s || %(what)s)", "what": "'a'"},
                {"function": "LOWER", "template": "%(function)s(%(expressions)s || %(what)s)", "what": "'b'"},
                {"function": "LOWER", "arg_joiner": "||"},
            )
        )
    )


def _local(function: str) -> type[Func]:
    class Local(Func):
        pass

    Local.function = function
    return Local


class Named(Func):
    """A function of a class that can be imported."""

    function = "LOWER"


def test_classes_made_in_functions_are_refused() -> None:
    """Two of one name may mean different SQL, and a key would not show it."""
    refused(Author.objects.annotate(x=_local("LOWER")("name")), "no importable name")
    refused(Author.objects.annotate(x=_local("UPPER")("name")), "no importable name")
    assert key_of(Author.objects.annotate(x=Named("name")))


def test_what_has_only_an_address_is_refused() -> None:
    """Functions and objects: the next process, or the next minute, would give their address to another."""
    refused(Author.objects.annotate(x=Func("name", function="LOWER", what=lambda: 1)), "no stable bytes")
    refused(Author.objects.annotate(x=Func("name", function="LOWER", what=object())), "no stable bytes")


class Status(models.IntegerChoices):
    ONE = 1
    TWO = 2


def test_enums() -> None:
    """A choice is the value it stands for, or another key; never the key of another value."""
    differ(Book.objects.filter(status=Status.ONE), Book.objects.filter(status=Status.TWO))
    assert key_of(Book.objects.filter(status=Status.ONE)) == key_of(Book.objects.filter(status=1))


def test_strings_in_disguise_are_strings() -> None:
    """Safe and lazy text is sent as the text it is."""
    expected = key_of(Author.objects.filter(name="a"))

    for text in (SafeString("a"), gettext_lazy("a")):
        assert expected == key_of(Author.objects.filter(name=text))
    differ(Author.objects.filter(name=gettext_lazy("a")), Author.objects.filter(name=gettext_lazy("b")))


def test_lazy_numbers_are_numbers() -> None:
    """What is behind the promise counts, with its type."""
    differ(*(Book.objects.annotate(x=Value(value, models.JSONField())) for value in (lazy(lambda: 5, int)(), "5")))


def test_lazy_objects_are_their_objects() -> None:
    """``request.user`` is one."""
    author = Author(pk=1)

    assert key_of(Book.objects.filter(author=author)) == key_of(
        Book.objects.filter(author=SimpleLazyObject(lambda: author))
    )


def test_default_ordering_and_class_are_part_of_the_key() -> None:
    """The same rows in another order, or as another class, are another answer."""
    differ(
        Book.objects.all(),
        SignedBook.objects.all(),
        Book.objects.order_by(),
        Book.objects.order_by("-id"),
        Book.objects.reverse(),
    )


def test_the_forms_have_keys_of_their_own() -> None:
    """A number is no list."""
    keys = {key_of(Book.objects.all(), form) for form in ("rows", "count", "exists")}

    assert len(keys) == 3


def test_databases_have_keys_of_their_own() -> None:
    """The same question to another database is another question."""
    assert key_of(Book.objects.all()) != key_of(Book.objects.all(), using="other")


@pytest.mark.parametrize(
    "changes",
    [
        {"USER": "somebody_else"},
        {"TIME_ZONE": "Asia/Tokyo"},
        {"OPTIONS": {"options": "-c search_path=tenant"}},
    ],
)
def test_aliases_of_one_database_that_see_it_differently_have_keys_of_their_own(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user, a time zone, a search path: rows may be other ones, and mean other things."""
    default, other = connections["default"].settings_dict, connections["other"].settings_dict
    for name in ("HOST", "PORT", "NAME", "USER", "TIME_ZONE", "OPTIONS"):
        monkeypatch.setitem(other, name, default[name])
    forget_tables()
    try:
        assert key_of(Book.objects.all()) == key_of(Book.objects.all(), using="other")

        for name, value in changes.items():
            monkeypatch.setitem(other, name, value)
        forget_tables()

        assert key_of(Book.objects.all()) != key_of(Book.objects.all(), using="other")
    finally:
        monkeypatch.undo()
        forget_tables()


def test_raw_sql_and_extra_are_refused() -> None:
    """Nobody knows what they read."""
    refused(Book.objects.annotate(x=RawSQL("SELECT 1", ())), "raw SQL")
    refused(Book.objects.extra(where=["1 = 1"]), "ExtraWhere")
    refused(Book.objects.extra(select={"x": "1"}), r"extra\(\)")
    refused(Book.objects.extra(tables=["library_author"]), r"extra\(\)")
    refused(Book.objects.filter(pk__in=RawSQL("SELECT id FROM library_book", ())), "raw SQL")


def test_slices() -> None:
    """Each slice is another answer."""
    rows = Book.objects.order_by("pk")
    differ(rows, rows[:1], rows[:2], rows[1:2], rows[1:])


@pytest.mark.skipif(DB != "postgresql", reason="only PostgreSQL has them")
def test_arrays_and_ranges() -> None:
    """Bounds and their kinds count."""
    from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange

    from tests.library.models import Measured

    differ(*(Measured.objects.filter(numbers=value) for value in ([1, 2], [12], [2, 1], [])))
    differ(*(Measured.objects.filter(numbers__contains=value) for value in ([1, 2], [12], [2, 1])))
    ranges = [
        NumericRange(1, 2),
        NumericRange(1, 2, "[]"),
        NumericRange(1, None),
        NumericRange(None, 2),
        NumericRange(empty=True),
    ]
    differ(*(Measured.objects.filter(span=value) for value in ranges))
    day = datetime(2020, 1, 1, tzinfo=UTC)
    differ(
        Measured.objects.filter(when=DateTimeTZRange(day, day + timedelta(1))),
        Measured.objects.filter(when=DateTimeTZRange(day, day + timedelta(2))),
    )


def test_unlike_uuids_and_bytes() -> None:
    """Values whose text might be cut or shared."""
    differ(*(Node.objects.filter(pk=UUID(int=number)) for number in (1, 2)))
    differ(*(Everything.objects.filter(binary=value) for value in (b"a", b"b", b"")))
    differ(Book.objects.filter(Q(title="a") | Q(pages=1)), Book.objects.filter(Q(title="a") & Q(pages=1)))
