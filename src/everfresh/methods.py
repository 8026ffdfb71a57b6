"""Methods of models whose results are kept: in the cache, or in a column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import wraps
from inspect import Parameter, signature
from typing import Any, TypeVar, overload

from django.core.exceptions import ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model, QuerySet

from everfresh.conf import seconds
from everfresh.exceptions import Unencodable
from everfresh.given import as_given, canonical, note_given
from everfresh.keys import digest, encode
from everfresh.naming import entry_key, tag_names
from everfresh.policies import cache
from everfresh.queries.terms import ModelName, any_write
from everfresh.recorded import Computation, read_recorded, reason_to_bypass
from everfresh.recording import current_recording

__all__ = ["cached_method", "decorated", "denormalized_field", "needs_no_arguments", "recompute"]

_F = TypeVar("_F", bound=Callable[..., Any])

AUTO_PUBLISH = "_cached_method_auto_publish"
_TARGET = "_cached_method_target"
_TIMEOUT = "_cached_method_timeout"
_DEPENDS_ON = "_cached_method_depends_on"


@overload
def cached_method(target: _F) -> _F: ...


@overload
def cached_method(
    target: None = None,
    *,
    auto_publish: bool = False,
    timeout: float | timedelta | None = None,
    depends_on: Iterable[ModelName] = (),
) -> Callable[[_F], _F]: ...


def cached_method(
    target: Callable[..., Any] | None = None,
    *,
    auto_publish: bool = False,
    timeout: float | timedelta | None = None,
    depends_on: Iterable[ModelName] = (),
) -> Any:
    """A method of a model whose result is kept for each row and each set of arguments, and is never stale.

    What it reads by querysets records itself: a write that changes it drops the result. On a miss the method runs on
    the row as it is in the database, not on what was done to this instance since.

    Args:
        target: the method, where the decorator is used without arguments.
        auto_publish: compute it anew as soon as a save is committed, so that the first call after it asks nothing.
        timeout: seconds or a timedelta; ``None`` is for ever.
        depends_on: models, or their labels, whose every write drops the result: for what it reads by raw SQL and other
            ways that cannot be followed.

    Raises:
        TypeError: when called with an argument that has no stable key.

    Source: cachemodel's ``@cached_method`` (CM-14, CM-H5).
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def method(self: Model, *args: Any, **kwargs: Any) -> Any:
            return _read(self, method, args, kwargs, fresh=False)

        vars(method).update(
            {
                "_cached_method": True,
                AUTO_PUBLISH: auto_publish,
                _TARGET: function,
                _TIMEOUT: seconds(timeout),
                _DEPENDS_ON: tuple(depends_on),
            }
        )
        return method

    return decorate if target is None else decorate(target)


def recompute(instance: Model, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Compute the cached method called *name* now, and put the result in the place of the stored one.

    Raises:
        AttributeError: when it is no cached method.
    """
    method = getattr(type(instance), name, None)
    if not getattr(method, "_cached_method", False):
        raise AttributeError(f"method '{name}' is not a cached_method.")
    return _read(instance, method, args, kwargs, fresh=True)


def needs_no_arguments(method: Any) -> bool:
    """Can it be called with the instance alone?"""
    _, *others = signature(getattr(method, _TARGET)).parameters.values()
    variable = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return all(other.default is not Parameter.empty or other.kind in variable for other in others)


def _read(instance: Model, method: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, fresh: bool) -> Any:
    function = getattr(method, _TARGET)
    if instance.pk is None or reason_to_bypass():
        return function(instance, *args, **kwargs)

    def compute() -> Any:
        row: Any = _row(instance)
        note_given((args, kwargs))
        return function(row, *map(as_given, args), **{name: as_given(each) for name, each in kwargs.items()})

    label = f"{type(instance)._meta.label}.{function.__name__}()"
    key = entry_key("m", _key(instance, function, args, kwargs))
    declared = any_write(getattr(method, _DEPENDS_ON), instance._state.db or DEFAULT_DB_ALIAS)
    also = declared.named(tag_names(declared.names))
    computation = Computation(
        key=key,
        label=label,
        timeout=getattr(method, _TIMEOUT),
        also=tuple(also),
        is_declared=bool(getattr(method, _DEPENDS_ON)),
    )
    return read_recorded(computation, compute, fresh=fresh).value


def _row(instance: Model) -> Model:
    """The row of *instance* as it is: what it was when it was loaded may be of long ago."""
    queryset: QuerySet[Any] = type(instance)._base_manager.using(instance._state.db or DEFAULT_DB_ALIAS)
    try:
        row: Model = cache(queryset, rows=True).get(pk=instance.pk)
    except ObjectDoesNotExist:
        if (recording := current_recording()) is not None:
            # What is in memory alone is nobody else's.
            recording.moved = True
        return instance
    return row


def _key(instance: Model, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    bound = signature(function).bind(instance, *args, **kwargs)
    bound.apply_defaults()
    _, *given = bound.arguments.items()
    named = (type(instance)._meta.label_lower, function.__name__, instance._state.db, instance.pk)
    try:
        return digest(encode((*named, canonical(given))))
    except Unencodable as error:
        raise TypeError(f"{function.__qualname__}() was called with {error}, which has no stable key.") from None


def denormalized_field(name: str) -> Callable[[_F], _F]:
    """A method whose result is kept in the column *name*: set on each save, and whenever the row is published.

    Raises:
        TypeError: when used without the name of a field.

    Source: cachemodel's ``@denormalized_field`` (CM-15).
    """
    if not isinstance(name, str):
        raise TypeError("You must pass a field name to @denormalized_field")

    def decorate(function: _F) -> _F:
        vars(function)["_denormalized_field"] = name
        return function

    return decorate


def decorated(model: type[Model], attribute: str) -> Iterator[tuple[str, Any]]:
    """The methods of *model* that carry a true *attribute*, by name.

    Source: cachemodel's ``find_fields_decorated_with`` (CM-16).
    """
    for name in dir(model):
        found = next((vars(each)[name] for each in model.__mro__ if name in vars(each)), None)
        if getattr(found, attribute, None):
            yield name, found
