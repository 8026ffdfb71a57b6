"""Which columns of a query's rows are whole rows of a model, and which are not.

A list that points to rows keeps only what no row entry has: the keys, and what the query computed. The rest is put
back into its place from row entries, so that the rows look as if the query had given them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Field, ForeignKey, Model
from django.db.models.sql.compiler import SQLCompiler

from everfresh.exceptions import Uncacheable
from everfresh.queries.replay import Rows

__all__ = ["Layout", "Part", "layout_of"]


@dataclass(frozen=True, slots=True)
class Part:
    """Columns that are one row of *model*."""

    model: type[Model]
    positions: tuple[int, ...]
    """Of the model's concrete fields, in their order."""

    key: int
    """Position of the column that names the row: its primary key, or the foreign key that points to it."""

    python_key: Callable[[Any], Any]
    """From what the database gives in that column to what Django makes of it."""

    own_key: int
    """Position of its primary key."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one query."""

    width: int
    parts: tuple[Part, ...]
    """The model's own row first; each before those that hang on it."""

    rest: tuple[int, ...]
    """Positions of the key of the first part and of what is no part of any row."""

    def keys(self, part: Part, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """What Django calls the row that each of *rows* has in *part*; ``None`` where it has none."""
        return [None if row[part.key] is None else part.python_key(row[part.key]) for row in rows]

    def pointers(self, rows: Rows) -> Rows:
        """What a list keeps of *rows*."""
        return [tuple([row[at] for at in self.rest]) for row in rows]

    def blank(self, pointers: Rows) -> list[list[Any]]:
        """Rows that have only what a list keeps."""
        rows: list[list[Any]] = []
        for pointer in pointers:
            row: list[Any] = [None] * self.width
            for at, value in zip(self.rest, pointer, strict=True):
                row[at] = value
            rows.append(row)
        return rows

    def put(self, part: Part, row: list[Any], stored: tuple[Any, ...]) -> None:
        """Put the stored row of a model where it belongs in *row*."""
        for at, value in zip(part.positions, stored, strict=True):
            row[at] = value

    def stored(self, part: Part, row: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The row of a model that is part of *row*; ``None`` where an outer join found none."""
        return None if row[part.own_key] is None else tuple([row[at] for at in part.positions])


def layout_of(compiler: SQLCompiler) -> Layout:
    """The layout of the rows of a compiler that is set up. It is worked out once for each compiler.

    Raises:
        Uncacheable: where the rows cannot be put together from rows of models.
    """
    layout: Layout | None = compiler.__dict__.get("_everfresh_layout")
    if layout is None:
        layout = compiler.__dict__["_everfresh_layout"] = _layout(compiler)
    return layout


def _layout(compiler: SQLCompiler) -> Layout:
    made: Any = compiler
    if made.klass_info is None:
        raise Uncacheable("it selects no instances")
    columns = [expression for expression, _, _ in made.select]
    parts = tuple(_parts(compiler, columns, made.klass_info, None))
    covered = {at for part in parts for at in part.positions}
    rest = (parts[0].key, *(at for at in range(len(columns)) if at not in covered))
    return Layout(len(columns), parts, rest)


def _parts(
    compiler: SQLCompiler, columns: Sequence[Any], info: Mapping[str, Any], parent: Mapping[str, int] | None
) -> Iterator[Part]:
    model: type[Model] = info["model"]
    positions = tuple(info["select_fields"])
    attnames = {columns[at].target.attname: at for at in positions}
    if list(attnames) != [field.attname for field in model._meta.concrete_fields]:
        raise Uncacheable(f"it defers fields of {model._meta.label}")
    if len(model._meta.pk_fields) > 1:
        raise Uncacheable(f"{model._meta.label} has a primary key of several columns")
    own_key = attnames[model._meta.pk.attname]
    if parent is None:
        key = own_key
    else:
        key = parent[_link(info).attname]
    yield Part(model, positions, key, _python_value(compiler, columns[key]), own_key)
    for related in info.get("related_klass_infos", ()):
        yield from _parts(compiler, columns, related, attnames)


def _link(info: Mapping[str, Any]) -> Field[Any, Any]:
    field: Any = info["field"]
    if info["reverse"] or info["from_parent"] or not isinstance(field, ForeignKey):
        raise Uncacheable(f"select_related() follows {field.name!r}, which is no foreign key")
    if field.target_field != info["model"]._meta.pk:
        raise Uncacheable(f"{field} points to another column than the primary key")
    return field


def _python_value(compiler: SQLCompiler, column: Any) -> Callable[[Any], Any]:
    made: Any = compiler
    converters = made.get_converters([column])
    if not converters:
        return lambda value: value

    def convert(value: Any) -> Any:
        [[converted]] = made.apply_converters([[value]], converters)
        return converted

    return convert
