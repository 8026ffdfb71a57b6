"""Django's own iterables, fed with rows that no cursor gave.

A queryset turns rows into instances, dicts or tuples in its iterable class, which asks the query for a compiler and the
compiler for rows. Handing it a compiler that already has them means that hits and misses build their results by the
same code as Django's, whatever its version and whoever wrote the iterable class. Lists of plain instances, which most
lists are, are made the short way (:mod:`everfresh.queries.hydration`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from django.db import connections
from django.db.models import QuerySet
from django.db.models.query import ModelIterable
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from everfresh.bounded import Bounded
from everfresh.queries.hydration import RowHydrator, hydrating, may_be_made

__all__ = ["Rows", "compiler_of", "detached", "query_rows", "replay"]

Rows = list[tuple[Any, ...]]
"""Database values, column by column, before Django's converters."""


def query_rows(queryset: QuerySet[Any]) -> Rows:
    """Ask the database for the rows of *queryset*."""
    compiler = queryset.query.get_compiler(queryset.db)
    return [tuple(row) for row in chain.from_iterable(compiler.execute_sql())]


_REMEMBERED = 256
"""Compilers that one connection keeps at hand."""


def replay(queryset: QuerySet[Any], rows: Callable[[], Rows], shape: str) -> list[Any]:
    """What *queryset* would have made of *rows*.

    Args:
        queryset: is not changed.
        rows: gives them as `query_rows` does, here or in another process. Not called when nobody wants them: an
            iterable class may ask other queries of its own.
        shape: queries of one shape select the same columns and convert them in the same way.
    """
    compiler = compiler_of(queryset, shape)
    asked: Any = queryset
    if asked._iterable_class is ModelIterable and not asked._known_related_objects and may_be_made(asked.model):
        hydrator = RowHydrator.of(compiler)
        if hydrator is not None:
            return hydrator.instances(asked.model, rows(), asked.db, getattr(asked, "_fetch_mode", None))
    stand_in = _QuerySet(queryset, _Query(queryset.query, _Compiler(compiler, rows)))
    return list(asked._iterable_class(stand_in))


def compiler_of(queryset: QuerySet[Any], shape: str) -> SQLCompiler:
    """A compiler of *queryset*, set up, that was perhaps made for another one of its *shape*."""
    # On the connection, whose time zone and converters it uses, and which one thread uses at a time.
    own = connections[queryset.db].__dict__
    remembered: Bounded[str, SQLCompiler] | None = own.get("_everfresh_compilers")
    if remembered is None:
        remembered = own["_everfresh_compilers"] = Bounded(_REMEMBERED)
    compiler = remembered.get(shape)
    if compiler is None:
        compiler = detached(queryset.query).get_compiler(queryset.db)
        compiler.setup_query()
        remembered[shape] = compiler
    return compiler


def detached(query: Query) -> Query:
    """A clone that shares nothing which compiling changes: Django's own clones share ``selected``."""
    own: Any = query.clone()
    if getattr(own, "selected", None) is not None:
        own.selected = dict(own.selected)
    own.combined_queries = tuple(detached(member) for member in own.combined_queries)
    return own  # type: ignore[no-any-return]


class _StandIn:
    """Everything of another object, but for what a subclass has of its own."""

    __slots__ = ("_other",)

    def __init__(self, other: object) -> None:
        self._other: Any = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._other, name)


class _Compiler(_StandIn):
    __slots__ = ("_rows",)

    def __init__(self, compiler: SQLCompiler, rows: Callable[[], Rows]) -> None:
        super().__init__(compiler)
        self._rows = rows

    @property
    def klass_info(self) -> Mapping[str, Any]:
        return hydrating(self._other.klass_info)

    def execute_sql(self, *_args: object, **_kwargs: object) -> list[Rows]:
        return [self._rows()]

    def results_iter(
        self, results: Any = None, tuple_expected: bool = False, **_chunks: object
    ) -> Iterator[tuple[Any, ...]]:
        found: Iterator[tuple[Any, ...]] = self._other.results_iter([self._rows()], tuple_expected=tuple_expected)
        return found


class _Query(_StandIn):
    __slots__ = ("_compiler",)

    def __init__(self, query: object, compiler: _Compiler) -> None:
        super().__init__(query)
        self._compiler = compiler

    def get_compiler(self, *_args: object, **_kwargs: object) -> _Compiler:
        return self._compiler


class _QuerySet(_StandIn):
    __slots__ = ("query",)

    def __init__(self, queryset: object, query: _Query) -> None:
        super().__init__(queryset)
        self.query = query
