"""Hypothesis strategies for querysets over the library, as Python text.

Text can be built twice, in two processes and with one literal changed, and a shrunk failure is a test to paste. What
the text may use is in `NAMES`; `build` turns it into a queryset.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cache, lru_cache
from types import CodeType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import (
    Avg,
    Case,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    FilteredRelation,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models import functions as fn
from hypothesis import strategies as st

from everfresh.policies import with_policy
from everfresh.queries.watching import EVERYTHING, Watch
from tests.library import models as library

__all__ = ["NAMES", "Asked", "asked", "build", "condition", "literal", "queryset"]

NAMES: dict[str, Any] = {
    **{
        each.__name__: each
        for each in (Avg, Case, Count, Exists, ExpressionWrapper, F, FilteredRelation, Max, Min, OuterRef, Prefetch, Q)
    },
    **{each.__name__: each for each in (Subquery, Sum, Value, When, Window, ContentType, ZoneInfo)},
    **{each.__name__: each for each in (Decimal, UUID, date, datetime, time, timedelta, timezone)},
    **{name: model for name, model in vars(library).items() if isinstance(model, type)},
    "UTC": UTC,
    "fn": fn,
    "models": models,
}


@lru_cache(maxsize=4096)
def _compiled(code: str) -> CodeType:
    return compile(code, code, "eval")


def build(code: str) -> Any:
    """What the text *code* says."""
    return eval(_compiled(code), dict(NAMES))


# The schema, as paths through relations

MODELS: tuple[type[models.Model], ...] = (
    library.Author,
    library.Book,
    library.Publisher,
    library.Tag,
    library.Tagging,
    library.Review,
    library.Place,
    library.Shop,
    library.Order,
    library.OrderLine,
    library.Node,
    library.Profile,
    library.SignedBook,
    library.Everything,
    library.Counted,
    *(getattr(library, name) for name in ("Shelf", "Slot", "Sticker") if hasattr(library, name)),
)

Path = tuple[str, Any]
"""A path in Django's words, and the field at its end."""


@cache
def _columns(model: type[models.Model]) -> tuple[Path, ...]:
    return tuple((field.name, field) for field in model._meta.concrete_fields if field.column is not None)


@cache
def _relations(model: type[models.Model]) -> tuple[Path, ...]:
    """Every relation that can be followed, in any direction."""
    found = []
    for field in model._meta.get_fields():
        if not field.is_relation or field.related_model in (None, ContentType):
            continue
        found.append((field.name, field))
    return tuple(found)


@cache
def paths(model: type[models.Model], depth: int = 2) -> tuple[Path, ...]:
    """Every column within *depth* relations of *model*."""
    found = list(_columns(model))
    if depth:
        for name, relation in _relations(model):
            found += [(f"{name}__{path}", end) for path, end in paths(relation.related_model, depth - 1)]
    return tuple(found)


@cache
def _relation_paths(model: type[models.Model], depth: int = 2) -> tuple[Path, ...]:
    found = []
    for name, relation in _relations(model):
        found.append((name, relation))
        if depth > 1:
            found += [(f"{name}__{path}", end) for path, end in _relation_paths(relation.related_model, depth - 1)]
    return tuple(found)


@cache
def _forward(model: type[models.Model], depth: int = 2) -> tuple[str, ...]:
    """What select_related() can follow."""
    found = []
    for field in model._meta.get_fields():
        if not field.is_relation or field.related_model in (None, ContentType):
            continue
        if (field.concrete and not field.many_to_many) or field.one_to_one:
            found.append(field.name)
            if depth > 1:
                found += [f"{field.name}__{path}" for path in _forward(field.related_model, depth - 1)]
    return tuple(found)


# Values: few of them, so that they meet

INTS = ("0", "1", "2", "3")
TEXTS = ("'a'", "'b'", "'A'", "''", "'a, b'", "'%s'")
DATES = ("date(2020, 1, 1)", "date(2020, 1, 2)", "date(2021, 6, 30)")
MOMENTS = (
    "datetime(2020, 1, 1, tzinfo=UTC)",
    "datetime(2020, 1, 1, 23, 30, tzinfo=UTC)",
    "datetime(2020, 1, 2, 0, 30, tzinfo=timezone(timedelta(hours=1)))",
    "datetime(2021, 6, 30, 12, tzinfo=UTC)",
)
DECIMALS = (
    "Decimal('1')",
    "Decimal('1.00')",
    "Decimal('2.50')",
    "Decimal('0')",
    "Decimal('-0.00')",
    "Decimal('1.005')",
)
UUIDS = tuple(f"UUID('00000000-0000-0000-0000-00000000000{digit}')" for digit in (1, 2, 3))
JSONS = ("{'a': 1}", "{'a': '1'}", "{'a': [1, 2]}", "{'b': None}", "[]", "'a'", "{}")
TIMES = ("time(9)", "time(10, 30)")
DURATIONS = ("timedelta(hours=1)", "timedelta(days=1)")

_KINDS: tuple[tuple[Any, str], ...] = (
    (models.BooleanField, "bool"),
    (models.DateTimeField, "moment"),
    (models.DateField, "date"),
    (models.TimeField, "time"),
    (models.DurationField, "duration"),
    (models.DecimalField, "decimal"),
    (models.FloatField, "float"),
    (models.UUIDField, "uuid"),
    (models.JSONField, "json"),
    (models.BinaryField, "binary"),
    (models.GenericIPAddressField, "ip"),
    ((models.CharField, models.TextField), "text"),
    ((models.IntegerField, models.AutoField), "int"),
)

_VALUES: dict[str, tuple[str, ...]] = {
    "int": INTS,
    "text": TEXTS,
    "date": DATES,
    "moment": MOMENTS,
    "decimal": DECIMALS,
    "uuid": UUIDS,
    "json": JSONS,
    "time": TIMES,
    "duration": DURATIONS,
    "bool": ("True", "False"),
    "float": ("0.5", "1.0", "2"),
    "binary": ("b''", "b'a'"),
    "ip": ("'127.0.0.1'", "'::1'"),
}

_ORDERED = ("gt", "gte", "lt", "lte")
_LOOKUPS: dict[str, tuple[str, ...]] = {
    "int": ("exact", "exact", "in", *_ORDERED, "range", "isnull"),
    "text": ("exact", "exact", "in", "iexact", "contains", "icontains", "startswith", "endswith", "regex", "isnull"),
    "date": ("exact", "in", "year", "month", "week_day", *_ORDERED, "isnull"),
    "moment": ("exact", "in", "date", "year", "hour", "gte", "lt", "isnull"),
    "decimal": ("exact", "exact", "in", *_ORDERED, "isnull"),
    "uuid": ("exact", "in", "isnull"),
    "json": ("exact", "a", "a__0", "has_key", "isnull", "a__isnull"),
    "time": ("exact", "hour", "lt", "isnull"),
    "duration": ("exact", "gt", "isnull"),
    "bool": ("exact", "isnull"),
    "float": ("exact", "gt", "isnull"),
    "binary": ("exact",),
    "ip": ("exact", "isnull"),
}
_VALUE_OF_LOOKUP: dict[str, tuple[str, ...]] = {
    "isnull": ("True", "False"),
    "year": ("2020", "2021"),
    "month": ("1", "6"),
    "week_day": ("1", "4"),
    "hour": ("0", "9", "23"),
    "date": DATES,
    "has_key": ("'a'", "'b'"),
    "a": ("1", "'1'", "[1, 2]"),
    "a__0": ("1", "2"),
    "a__isnull": ("True", "False"),
    "regex": ("'^a'", "'b$'"),
}


def kind_of(field: Any) -> str:
    """The kind of values that the column of *field* holds."""
    while field.is_relation:
        field = field.target_field
    field = field.output_field if getattr(field, "generated", False) else field
    return next(kind for classes, kind in _KINDS if isinstance(field, classes))


def literal(field: Any) -> st.SearchStrategy[str]:
    """A value for *field*, as text."""
    return st.sampled_from(_VALUES[kind_of(field)])


@st.composite
def _lookup(draw: Any, model: type[models.Model], depth: int, prefix: str = "") -> str:
    """``path__lookup=value``."""
    path, field = draw(st.sampled_from(paths(model, draw(st.integers(0, depth)))))
    kind = kind_of(field)
    name = draw(st.sampled_from(_LOOKUPS[kind]))
    if field.is_relation and name not in ("exact", "in", "isnull"):
        name = "exact"
    pool = _VALUE_OF_LOOKUP.get(name, _VALUES[kind])
    if name in ("in", "range"):
        size = 2 if name == "range" else draw(st.integers(1, 3))
        value = f"[{', '.join(draw(st.sampled_from(pool)) for _ in range(size))}]"
    else:
        value = draw(st.sampled_from(pool))
    if name == "exact":
        same = [other for other, end in _columns(model) if kind_of(end) == kind and not end.is_relation]
        if same and not prefix and draw(st.integers(0, 9)) == 0:
            value = f"F({draw(st.sampled_from(same))!r})"
        name = path
    else:
        name = f"{path}__{name}"
    return f"{prefix}{name}={value}"


@st.composite
def _relation_lookup(draw: Any, model: type[models.Model]) -> str:
    """A relation that is there or not."""
    path, _ = draw(st.sampled_from(_relation_paths(model, 2)))
    return f"{path}__isnull={draw(st.booleans())}"


@st.composite
def _inner(draw: Any, model: type[models.Model], depth: int) -> tuple[str, type[models.Model]]:
    """A queryset that refers to the row of *model* around it, or not."""
    other = draw(st.sampled_from(MODELS))
    links = [(name, "pk") for name, field in _columns(other) if field.is_relation and field.related_model is model] + [
        ("pk", name) for name, field in _columns(model) if field.is_relation and field.related_model is other
    ]
    text = f"{other.__name__}.objects.all()"
    if links:
        ours, theirs = draw(st.sampled_from(links))
        text = f"{other.__name__}.objects.filter({ours}=OuterRef({theirs!r}))"
    if depth and draw(st.booleans()):
        text += f".{draw(st.sampled_from(['filter', 'exclude']))}({draw(condition(other, depth - 1))})"
    return text, other


def condition(model: type[models.Model], depth: int = 2) -> st.SearchStrategy[str]:
    """What goes into ``filter()``: a tree of Q objects."""
    leaf = st.one_of(
        _lookup(model, 2),
        _lookup(model, 1),
        _lookup(model, 0),
        _relation_lookup(model) if _relations(model) else _lookup(model, 0),
    )
    quoted = leaf.map(lambda text: f"Q({text})")
    if depth:
        exists = _inner(model, depth - 1).map(lambda inner: f"Exists({inner[0]})")
        quoted = st.one_of(quoted, quoted, quoted, exists, _in_queryset(model, depth - 1))

    return st.one_of(leaf, quoted, _tree(quoted))


@st.composite
def _tree(draw: Any, leaf: st.SearchStrategy[str]) -> str:
    """Conditions put together, some of them turned round."""
    found = draw(leaf)
    for other in draw(st.lists(leaf, max_size=3)):
        found = f"({found} {draw(st.sampled_from('&&||^'))} {other})"
        if draw(st.integers(0, 3)) == 0:
            found = f"~{found}"
    return found


@st.composite
def _in_queryset(draw: Any, model: type[models.Model], depth: int) -> str:
    targets = [(name, field.related_model) for name, field in _relations(model)]
    targets = [target for target in targets if not target[1]._meta.is_composite_pk]
    if not targets:
        return f"Q({draw(_lookup(model, 0))})"
    name, other = draw(st.sampled_from(targets))
    text = f"{other.__name__}.objects.filter({draw(condition(other, depth))})"
    if draw(st.booleans()):
        text += f".values({other._meta.pk.name!r})"
    return f"Q({name}__in={text})"


# Expressions


def _of_kind(model: type[models.Model], kind: str, depth: int) -> list[str]:
    return [path for path, field in paths(model, depth) if kind_of(field) == kind and field.column is not None]


@st.composite
def _scalar(draw: Any, model: type[models.Model], depth: int) -> str:
    """An expression with one value for each row."""
    ints = _of_kind(model, "int", depth) or ["pk"]
    texts = _of_kind(model, "text", depth)
    moments = _of_kind(model, "moment", depth)
    dates = _of_kind(model, "date", depth)
    number = st.sampled_from(ints).map(lambda path: f"F({path!r})")
    simple = [
        number,
        st.tuples(number, st.sampled_from("+-*"), number).map(" ".join),
        st.tuples(number, st.sampled_from(INTS)).map(lambda pair: f"{pair[0]} + {pair[1]}"),
        st.sampled_from(
            [
                "Value(1)",
                "Value('1')",
                "Value(1, models.FloatField())",
                "Value(True)",
                "Value(None, models.TextField())",
            ]
        ),
        st.tuples(number, number).map(lambda pair: f"fn.Coalesce({pair[0]}, {pair[1]})"),
        number.map(lambda text: f"fn.Cast({text}, models.CharField(max_length=20))"),
        number.map(lambda text: f"fn.Cast({text}, models.IntegerField())"),
        number.map(lambda text: f"ExpressionWrapper({text} * 2, models.BigIntegerField())"),
        st.tuples(condition(model, 0), st.sampled_from(INTS)).map(
            lambda pair: f"Case(When({pair[0]}, then=Value({pair[1]})), default=Value(9))"
        ),
    ]
    if texts:
        text = st.sampled_from(texts).map(lambda path: f"F({path!r})")
        simple += [
            text,
            text.map(lambda each: f"fn.Lower({each})"),
            text.map(lambda each: f"fn.Length({each})"),
            st.tuples(text, text).map(lambda pair: f"fn.Concat({pair[0]}, Value('a'), {pair[1]})"),
        ]
    zones = st.sampled_from(["", ", tzinfo=UTC", ", tzinfo=ZoneInfo('Asia/Tokyo')"])
    if moments:
        moment = st.sampled_from(moments)
        simple += [
            st.tuples(moment, st.sampled_from(["day", "month", "hour"]), zones).map(
                lambda drawn: f"fn.Trunc({drawn[0]!r}, {drawn[1]!r}{drawn[2]})"
            ),
            st.tuples(moment, zones).map(lambda drawn: f"fn.ExtractHour({drawn[0]!r}{drawn[1]})"),
            st.tuples(moment, zones).map(lambda drawn: f"fn.TruncDate({drawn[0]!r}{drawn[1]})"),
        ]
    if dates:
        simple.append(st.sampled_from(dates).map(lambda path: f"fn.ExtractYear({path!r})"))
    if depth:
        simple.append(_subquery(model))
        simple.append(_inner(model, 1).map(lambda inner: f"Exists({inner[0]})"))
    return draw(st.one_of(*simple))


@st.composite
def _subquery(draw: Any, model: type[models.Model]) -> str:
    text, other = draw(_inner(model, 1))
    column = draw(st.sampled_from([name for name, field in _columns(other) if kind_of(field) == "int"] or ["pk"]))
    if column == "pk" and other._meta.is_composite_pk:
        column = "position"
    inner = f"Subquery({text}.order_by('pk').values({column!r})[:1])"
    return draw(st.sampled_from([inner, f"fn.Coalesce({inner}, Value(0))", f"({inner} + 1)"]))


@st.composite
def _aggregate(draw: Any, model: type[models.Model]) -> str:
    path = draw(st.sampled_from([path for path, _ in _relation_paths(model, 2)] + ["pk"]))
    if path == "pk" and model._meta.is_composite_pk:
        return "Count('*')"
    numbers = [each for each in _of_kind(model, "int", 2) if "__" in each] or ["pk"]
    options = draw(st.sampled_from(["", "", ", distinct=True"]))
    if draw(st.integers(0, 3)) == 0:
        options += f", filter=Q({draw(_lookup(model, 2))})"
    function = draw(st.sampled_from(["Count", "Count", "Sum", "Max", "Min"]))
    if function == "Count":
        return f"Count({path!r}{options})"
    if function in ("Max", "Min"):
        options = options.replace(", distinct=True", "")
    return f"{function}({draw(st.sampled_from(numbers))!r}{options})"


@st.composite
def _window(draw: Any, model: type[models.Model]) -> str:
    number = draw(st.sampled_from(_of_kind(model, "int", 0) or ["pk"]))
    function = draw(st.sampled_from([f"Sum({number!r})", "Count('*')", "fn.Rank()", f"Max({number!r})"]))
    by = draw(st.sampled_from([f"F({name!r})" for name, _ in _columns(model)]))
    order = f", order_by=[F({number!r})]" if "Rank" in function or draw(st.booleans()) else ""
    return f"Window({function}, partition_by=[{by}]{order})"


# Querysets


@dataclass(frozen=True)
class Asked:
    """A read: a queryset's text, and what is asked of it."""

    code: str
    form: str = "rows"
    """``rows``, or the text of a method's call."""

    ordered: bool = False
    """Is the order of the rows decided by the query?"""

    watch: Watch = EVERYTHING
    """Which conditions its cached answer watches."""

    rows: bool = False
    """Is it cached as a list that points to rows?"""

    def queryset(self) -> QuerySet[Any]:
        """The queryset, built anew."""
        found: QuerySet[Any] = build(self.code)
        return found

    def cached(self, queryset: Any) -> Any:
        """*queryset*, cached."""
        return with_policy(queryset.cache(*self.watch.fields, rows=self.rows), watch=self.watch)

    def run(self, queryset: Any) -> Any:
        """The answer, through *queryset*."""
        if self.form == "rows":
            return list(queryset)
        return eval(_compiled(f"queryset.{self.form}"), {**NAMES, "queryset": queryset})

    def __str__(self) -> str:
        text = self.code if self.form == "rows" else f"{self.code}.{self.form}"
        return text if self.watch == EVERYTHING else f"{text}  # {self.watch}, rows={self.rows}"


@st.composite
def _base(draw: Any, model: type[models.Model], depth: int) -> str:
    """A queryset with filters."""
    text = f"{model.__name__}.objects"
    steps = draw(st.lists(st.sampled_from(["filter", "filter", "exclude"]), max_size=2))
    for step in steps:
        text += f".{step}({draw(condition(model, depth))})"
    return text if steps else f"{text}.all()"


@st.composite
def queryset(draw: Any, of: type[models.Model] | None = None, *, unions: bool = True) -> tuple[str, bool]:
    """The text of a queryset, and whether its order is decided."""
    model = of or draw(st.sampled_from((*MODELS, library.Author, library.Book, library.Book)))
    text = draw(_base(model, 2))
    names = [name for name, field in _columns(model) if field.column is not None]
    annotated: list[str] = []
    grouped = False
    shape = draw(st.sampled_from(["plain"] * 4 + ["annotate"] * 4 + ["aggregate"] * 2 + ["window", "group", "related"]))
    if shape == "annotate":
        for at in range(draw(st.integers(1, 2))):
            text += f".annotate(x{at}={draw(_scalar(model, 1))})"
            annotated.append(f"x{at}")
    elif shape == "aggregate":
        text += f".annotate(x0={draw(_aggregate(model))})"
        annotated.append("x0")
        if draw(st.booleans()):
            text += f".filter({draw(st.sampled_from(['x0__gt=0', 'x0=1', 'Q(x0__gt=1) | Q(pk=1)', '~Q(x0=0)']))})"
    elif shape == "window":
        text += f".annotate(x0={draw(_window(model))})"
        annotated.append("x0")
        if draw(st.booleans()):
            one, other = (draw(_lookup(model, 0)) for _ in range(2))
            text += draw(st.sampled_from([".filter(x0=1)", f".filter(Q({one}, x0=1) | Q({other}, x0=2))"]))
    elif shape == "group":
        by = draw(st.sampled_from([path for path, _ in paths(model, 1)]))
        text += f".values({by!r}).annotate(x0={draw(_aggregate(model))})"
        grouped = True
    elif shape == "related" and _relations(model):
        path, field = draw(st.sampled_from(_relations(model)))
        inner = draw(_lookup(field.related_model, 0, f"{path}__"))
        text += f".annotate(r=FilteredRelation({path!r}, condition=Q({inner})))"
        then = draw(_lookup(field.related_model, 0, "r__"))
        text += f".{draw(st.sampled_from(['filter', 'exclude']))}({then})"
        if draw(st.booleans()):
            text += ".annotate(x0=Count('r'))"
    if not grouped and draw(st.integers(0, 2)) == 0:
        text += f".filter({draw(condition(model, 1))})"
    if not grouped:
        text += draw(_output(model, names, annotated))
    union = unions and not grouped and draw(st.integers(0, 9)) == 0
    if union:
        how = draw(st.sampled_from(["union", "intersection", "difference"]))
        values = draw(st.sampled_from(["", f".values_list({names[-1]!r})"]))
        text = f"{draw(_base(model, 1))}.order_by(){values}"
        every = ", all=True" if how == "union" and draw(st.booleans()) else ""
        text += f".{how}({draw(_base(model, 1))}.order_by(){values}{every})"
        return text, False
    if grouped:
        return text + ".order_by()", False
    return draw(_order(model, text, annotated))


@st.composite
def _output(draw: Any, model: type[models.Model], names: list[str], annotated: list[str]) -> str:
    """Which columns come back, and how."""
    path = draw(st.sampled_from([path for path, _ in paths(model, 2)]))
    fields = ", ".join(
        map(repr, dict.fromkeys([*draw(st.lists(st.sampled_from(names), min_size=1, max_size=2)), path]))
    )
    plain = [name for name in names if name != model._meta.pk.name]
    related = _forward(model)
    choices: list[str] = [""] * 3 + [
        f".values({fields})",
        f".values_list({fields})",
        f".values_list({path!r}, flat=True)",
        f".values({fields}).distinct()",
        ".distinct()",
    ]
    if plain and not model._meta.is_composite_pk:
        choices += [f".only({draw(st.sampled_from(plain))!r})", f".defer({draw(st.sampled_from(plain))!r})"]
    if related:
        choices += [f".select_related({draw(st.sampled_from(related))!r})"] * 2
    if annotated:
        choices.append(f".values_list({annotated[0]!r}, {names[0]!r})")
    return draw(st.sampled_from(choices))


@st.composite
def _order(draw: Any, model: type[models.Model], text: str, annotated: list[str]) -> tuple[str, bool]:
    way = draw(st.integers(0, 3))
    if way == 0:
        return text, False
    key = draw(
        st.sampled_from(
            [repr(path) for path, _ in paths(model, 2)]
            + [f"F({path!r}).desc(nulls_last=True)" for path, _ in paths(model, 1)]
            + [repr(f"-{name}") for name in annotated] * 5
        )
    )
    text += f".order_by({key}, 'pk')" if way > 1 else ".order_by('pk')"
    if way == 3:
        text += draw(st.sampled_from(["[:2]", "[1:3]", ".reverse()[:1]", "[:10]"]))
    # Rows joined to many others come several times over, and nothing decides which copy is first.
    return text, False


FORMS = (*["rows"] * 5, "count()", "exists()", "aggregate(n=Count('pk'))", "aggregate(Max('pk'), Min('pk'))", "first()")


@st.composite
def asked(draw: Any, of: type[models.Model] | None = None) -> Asked:
    """A read."""
    code, ordered = draw(queryset(of))
    form = draw(st.sampled_from(FORMS))
    if form == "first()" and (
        "union(" in code or "intersection(" in code or "difference(" in code or code.endswith("]")
    ):
        form = "count()"
    return Asked(code, form, ordered)
