"""Every place where Django is changed, and what stands there instead.

There are no others, unless a project asks :mod:`everfresh.compat.cachebot.monkey` for more.

================================================  ==================================================================
``QuerySet`` reads                                ask the read path first, where caching is asked for
``QuerySet`` async twins                         answer from this process at once, where it holds the answer
``Manager.get()``, foreign keys                   ask for the row by its key, where that is all they would ask
``QuerySet`` and ``BaseManager`` methods          ``cache()``, ``nocache()`` and the others below
``SQLInsertCompiler``, ``…Update…``, ``…Delete…``  record the rows they write
``CursorWrapper``                                 records the tables that raw SQL writes
``BaseDatabaseWrapper`` transactions              mark before COMMIT, done after it
================================================  ==================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Manager, QuerySet
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor
from django.db.models.manager import BaseManager
from django.db.models.sql.compiler import SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler
from django.db.models.sql.constants import NO_RESULTS, ROW_COUNT

from everfresh import awaiting, direct, policies, querysets
from everfresh.journal import journal_of
from everfresh.writing import capture, cursors, transactions

__all__ = ["install"]

_installed = False


def install() -> None:
    """Change Django, once in a process."""
    global _installed
    if _installed:
        return
    _installed = True
    _replace(QuerySet, _fetch_all, count, exists, aggregate, get, _clone, _prefetch_related_objects, __aiter__)
    direct.queryset_get = QuerySet.get
    for name, operation in awaiting.OPERATIONS.items():
        setattr(QuerySet, f"a{name}", awaiting.twin(getattr(QuerySet, f"a{name}"), name, operation))
    for name, method in {
        "cache": policies.cache,
        "nocache": policies.nocache,
        "clean": policies.clean,
        "reset": policies.reset,
        "execute": querysets.execute,
        "explain_cache": querysets.explain,
    }.items():
        setattr(QuerySet, name, method)
        setattr(BaseManager, name, _on_queryset(name, method))
    _replace(Manager, _get_by_manager, name="get")
    _replace(ForwardManyToOneDescriptor, get_object)
    _replace(SQLInsertCompiler, _insert, name="execute_sql")
    _replace(SQLUpdateCompiler, _update, name="execute_sql")
    if hasattr(SQLUpdateCompiler, "execute_returning_sql"):  # Django 6.0
        _replace(SQLUpdateCompiler, _update_returning, name="execute_returning_sql")
    _replace(SQLDeleteCompiler, _delete, name="execute_sql")
    _replace(CursorWrapper, _execute_with_wrappers, _execute, callproc)
    _replace(CursorWrapper, _of_driver, name="__getattr__")
    _replace(
        BaseDatabaseWrapper,
        connect,
        commit,
        rollback,
        close,
        set_autocommit,
        savepoint,
        savepoint_commit,
        savepoint_rollback,
    )


def _replace(owner: type, *stand_ins: Callable[..., Any], name: str = "") -> None:
    """Put each stand-in in the place of the method of its (or the given) name; its first argument is the original."""
    for stand_in in stand_ins:
        place = name or stand_in.__name__
        setattr(owner, place, _standing_in(getattr(owner, place), stand_in))


def _standing_in(original: Callable[..., Any], stand_in: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return stand_in(original, self, *args, **kwargs)

    return method


def _on_queryset(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def on_manager(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.get_queryset(), name)(*args, **kwargs)

    return on_manager


Original = Callable[..., Any]

# QuerySet


def _fetch_all(original: Original, self: Any) -> None:
    if self._result_cache is None and (policy := policies.wanted_policy(self, "fetch")):
        self._result_cache = querysets.cached_rows(self, policy)
    original(self)


def count(original: Original, self: Any) -> Any:
    if self._result_cache is None and (policy := policies.wanted_policy(self, "count")):
        return querysets.cached_count(self, policy, lambda: original(self))
    return original(self)


def exists(original: Original, self: Any) -> Any:
    if self._result_cache is None and (policy := policies.wanted_policy(self, "exists")):
        return querysets.cached_exists(self, policy, lambda: original(self))
    return original(self)


def aggregate(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    if (policy := policies.wanted_policy(self, "aggregate")) and not self.query.distinct_fields:
        try:
            expressions = {**{each.default_alias: each for each in args}, **kwargs}
        except (AttributeError, TypeError):
            # Django has its own words for that.
            return original(self, *args, **kwargs)
        return querysets.cached_aggregate(self, policy, lambda: original(self, *args, **kwargs), expressions)
    return original(self, *args, **kwargs)


def get(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    if policies.policy_of(self).action == "clean":
        if not args and len(kwargs) == 1 and (policy := policies.wanted_policy(self, "get")):
            direct.get(self, policy, *next(iter(kwargs.items())))
        # It finds nothing, and its nothing is no error.
        with suppress(self.model.DoesNotExist):
            original(self, *args, **kwargs)
        return None
    policy = policies.wanted_policy(self, "get")
    if policy and not args and len(kwargs) == 1:
        [(name, value)] = kwargs.items()
        if (found := direct.get(self, policy, name, value)) is not None:
            return found
    if bool(policy) is bool(policies.wanted_policy(self, "fetch")):
        return original(self, *args, **kwargs)
    # The rows it fetches are to be cached as a get() is, not as a list.
    return original(policies.with_policy(self, operation="get"), *args, **kwargs)


def _get_by_manager(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    if not args and len(kwargs) == 1:
        [(name, value)] = kwargs.items()
        if (found := direct.get_by_manager(self, Manager, policies.NOTHING_SAID, name, value)) is not None:
            return found
    return original(self, *args, **kwargs)


def get_object(original: Original, self: Any, instance: Any) -> Any:
    found = direct.get_related(self, instance)
    return original(self, instance) if found is None else found


def __aiter__(original: Original, self: Any) -> Any:  # noqa: N807  Django's
    return awaiting.iterate(original, self)


def _clone(original: Original, self: Any) -> Any:
    clone = original(self)
    if "_everfresh" in self.__dict__:
        clone.__dict__["_everfresh"] = self.__dict__["_everfresh"]
    return clone


def _prefetch_related_objects(original: Original, self: Any) -> None:
    policy = policies.wanted_policy(self, "fetch")
    token = policies.inherited.set(policy if policy and policy.on else None)
    try:
        original(self)
    finally:
        policies.inherited.reset(token)


# Compilers


def _insert(original: Original, self: Any, returning_fields: Any = None) -> Any:
    return capture.capture_insert(self, lambda: original(self, returning_fields))


def _update(original: Original, self: Any, result_type: Any) -> Any:
    # The number of rows is always wanted: it tells whether they are the rows that were read.
    kind = ROW_COUNT if result_type == NO_RESULTS else result_type
    return capture.capture_update(self, lambda: original(self, kind), _row_count)


def _update_returning(original: Original, self: Any, returning_fields: Any) -> Any:
    return capture.capture_update(self, lambda: original(self, returning_fields), len)


def _delete(original: Original, self: Any, result_type: Any = ROW_COUNT, **kwargs: Any) -> Any:
    kind = ROW_COUNT if result_type == NO_RESULTS else result_type
    return capture.capture_delete(self, lambda: original(self, kind, **kwargs), _row_count)


def _row_count(result: Any) -> Any:
    # A cursor, where CURSOR was asked for.
    return getattr(result, "rowcount", result)


# CursorWrapper


def _execute_with_wrappers(original: Original, self: Any, sql: Any, params: Any, many: bool, executor: Any) -> Any:
    return cursors.run_statement(self.db, sql, lambda: original(self, sql, params, many, executor))


def _execute(original: Original, self: Any, sql: Any, params: Any, *others: Any) -> Any:
    # Below the execute wrappers: whatever they made of the statement is what reaches the driver.
    ahead = journal_of(self.db).ahead
    if ahead is None or not ahead.leads(sql):
        return original(self, sql, params, *others)
    return ahead.send(self.cursor, sql, params, lambda text, given: original(self, text, given, *others))


def callproc(original: Original, self: Any, *args: Any, **kwargs: Any) -> Any:
    with cursors.written(self.db, None):
        return original(self, *args, **kwargs)


def _of_driver(original: Original, self: Any, name: str) -> Any:
    found = original(self, name)
    return cursors.wrap_unparsed(self.db, name, found) if name in cursors.UNPARSED else found


# BaseDatabaseWrapper


def connect(original: Original, self: Any) -> None:
    transactions.around_connect(self, lambda: original(self))


def commit(original: Original, self: Any) -> None:
    transactions.around_commit(self, lambda: original(self))


def rollback(original: Original, self: Any) -> None:
    transactions.around_rollback(self, lambda: original(self))


def close(original: Original, self: Any) -> None:
    transactions.around_close(self, lambda: original(self))


def set_autocommit(original: Original, self: Any, autocommit: bool, *args: Any, **kwargs: Any) -> None:
    transactions.around_set_autocommit(self, autocommit, lambda: original(self, autocommit, *args, **kwargs))


def savepoint(original: Original, self: Any) -> Any:
    return transactions.around_savepoint(self, lambda: original(self))


def savepoint_commit(original: Original, self: Any, sid: str) -> None:
    transactions.around_savepoint_commit(self, sid, lambda: original(self, sid))


def savepoint_rollback(original: Original, self: Any, sid: str) -> None:
    transactions.around_savepoint_rollback(self, sid, lambda: original(self, sid))
