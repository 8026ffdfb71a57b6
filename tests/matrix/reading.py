"""How a reading is made comparable, and how one sees where it came from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync
from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist
from django.db import connections
from django.db.models import Model, QuerySet

from everfresh.events import Event, Outcome, Read, listening

__all__ = ["Reader", "Seen", "answer", "plain", "watching"]


class Reader:
    """Gives a shape its querysets: with ``.cache()`` where *explicit*, else as they are."""

    def __init__(self, *, explicit: bool = False) -> None:
        self.explicit = explicit

    def __call__(self, model: type[Model], using: str | None = None) -> QuerySet[Any]:
        queryset = model._default_manager.using(using)
        return self.of(queryset)

    def of(self, queryset: Any) -> Any:
        """*queryset* (or manager) itself, cached as this reader does it."""
        return queryset.cache() if self.explicit else queryset.all()


def answer(shape: Callable[[Reader], Any], reader: Reader) -> object:
    """What *shape* reads, as plain values in which every difference shows."""
    try:
        found = async_to_sync(shape)(reader) if inspect.iscoroutinefunction(shape) else shape(reader)
        return plain(list(found) if isinstance(found, QuerySet) else found)
    except (ObjectDoesNotExist, MultipleObjectsReturned) as error:
        return "raised", type(error).__qualname__


def plain(value: Any, path: tuple[Model, ...] = ()) -> object:
    """*value* with its types spelled out: two are equal only when no user could tell them apart."""
    kind = type(value)
    if value is None or kind in (bool, int, str, bytes):
        return kind.__name__, value
    if kind is float:
        return "float", repr(value)
    if kind is Decimal:
        return "Decimal", str(value)
    if isinstance(value, memoryview):
        return "memoryview", value.tobytes()
    if isinstance(value, datetime):
        return kind.__name__, value.isoformat(), repr(value.tzinfo)
    if isinstance(value, date | time):
        return kind.__name__, value.isoformat()
    if isinstance(value, Model):
        return _instance(value, path)
    if isinstance(value, dict):
        return kind.__name__, [(plain(key, path), plain(item, path)) for key, item in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return kind.__name__, getattr(value, "_fields", None), [plain(item, path) for item in value]
    if isinstance(value, QuerySet):
        return plain(list(value), path)
    return kind.__qualname__, repr(value)


def _instance(instance: Model, path: tuple[Model, ...]) -> object:
    """Every loaded field and annotation, and every relation that came along."""
    name = type(instance).__qualname__
    if any(instance is above for above in path):
        return name, "again", plain(instance.pk)
    path = (*path, instance)
    held = {key: value for key, value in vars(instance).items() if key not in ("_state", "_prefetched_objects_cache")}
    return (
        name,
        instance._state.db,
        instance._state.adding,
        sorted((key, plain(value, path)) for key, value in held.items()),
        sorted((key, plain(value, path)) for key, value in instance._state.fields_cache.items()),
        sorted((key, plain(value, path)) for key, value in vars(instance).get("_prefetched_objects_cache", {}).items()),
    )


@dataclass
class Seen:
    """What happened while one was watching."""

    reads: list[Read] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

    @property
    def only_hits(self) -> bool:
        """Was everything answered from the cache, without a statement?"""
        return bool(self.reads) and not self.statements and all(read.outcome is Outcome.HIT for read in self.reads)

    def __str__(self) -> str:
        said = [f"{read.outcome.value} {read.label} {read.reason}".strip() for read in self.reads]
        return f"reads: {said}; statements: {self.statements}"


@contextmanager
def watching() -> Iterator[Seen]:
    """Note each read that could use the cache, and each statement on any database."""
    seen = Seen()

    def note(event: Event) -> None:
        if isinstance(event, Read):
            seen.reads.append(event)

    def execute(run: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        seen.statements.append(str(sql))
        return run(sql, params, many, context)

    with ExitStack() as stack:
        stack.enter_context(listening(note))
        for alias in connections:
            stack.enter_context(connections[alias].execute_wrapper(execute))
        yield seen
