"""Views whose responses are kept for as long as running them would give the same.

What a view reads from the database records itself. What it asks its request for is watched: where that is not in the
key, the response is the visitor's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial, wraps
from types import MethodType
from typing import Any, Final, Protocol, overload

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.request import HttpHeaders

from everfresh.conf import seconds
from everfresh.exceptions import Unencodable
from everfresh.given import canonical
from everfresh.names import invalidate_label
from everfresh.queries.terms import ModelName
from everfresh.recorded import aread_recorded, read_recorded
from everfresh.views.requests import Declared
from everfresh.views.visits import Memo, Options, Visit, avisitor_of, awaited, visitor_of

__all__ = ["MemoizedView", "memoize_view"]


class MemoizedView(Protocol):
    """A view whose responses are cached."""

    def __call__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """What the view responds."""
        ...

    def invalidate_all(self, *, using: str | None = None) -> int:
        """Drop all its responses; returns how many were current. See `everfresh.names.invalidate_label`."""
        ...


@overload
def memoize_view(timeout: Callable[..., Any]) -> MemoizedView: ...


@overload
def memoize_view(
    timeout: float | timedelta | None = None,
    *,
    headers: Iterable[str] = (),
    cookies: Iterable[str] = (),
    user: bool = False,
    query: bool | Iterable[str] = True,
    key: Callable[..., Any] | None = None,
    tags: Iterable[str] = (),
    grace: float | timedelta | None = None,
    depends_on: Iterable[ModelName] = (),
    label: str | None = None,
) -> Callable[[Callable[..., Any]], MemoizedView]: ...


def memoize_view(
    timeout: Callable[..., Any] | float | timedelta | None = None,
    *,
    headers: Iterable[str] = (),
    cookies: Iterable[str] = (),
    user: bool = False,
    query: Any = True,
    key: Any = None,
    tags: Iterable[str] = (),
    grace: float | timedelta | None = None,
    depends_on: Iterable[ModelName] = (),
    label: Any = None,
) -> Any:
    """A view whose responses to GET are kept, for each URL and whatever else is named here, and are never stale.

    What the view, or the template that it returns, reads by querysets records itself: a write that changes it drops the
    response. What they use of the request and is not named here is found out, and the response is not stored; a warning
    of the logger ``everfresh`` says what to write.

    Args:
        timeout: seconds or a timedelta; ``None`` is for ever. Or the view, where the decorator is used without options.
        headers: of the request, that the response depends on.
        cookies: that the response depends on. The session's cookie stands for all that is in the session.
        user: is there a response for each user? Those who are not logged in are one.
        query: which parameters of the query string count: ``True`` is all, ``False`` none, or their names.
        key: called with what the view is called with; what it returns tells responses apart, too.
        tags: names to be invalidated by, with ``everfresh.invalidate_tags``.
        grace: seconds or a timedelta for which an old response may be served while another request computes it anew.
        depends_on: models, or their labels, whose every write drops the response: for what the view reads by raw SQL
            and other ways that cannot be followed.
        label: what the view is called; by default where it is found, ``app.views.name``.

    Raises:
        TypeError: for an option of another kind, and for a view that has no name by which it can be found.
        ValueError: for a negative timeout.
    """
    if callable(timeout):
        return memoize_view()(timeout)
    wanted = _texts("headers", headers)
    _see("headers", headers, "cookie" not in map(str.lower, wanted), "no Cookie; name cookies in cookies=")
    _see("user", user, isinstance(user, bool), "True, for a response for each user, or False")
    _see("key", key, key is None or (callable(key) and not iscoroutinefunction(key)), "a function that is not async")
    _see("label", label, label is None or (isinstance(label, str) and label != ""), "a text that is not empty")
    declared = Declared(
        headers=tuple(map(HttpHeaders.to_wsgi_name, wanted)),
        cookies=_texts("cookies", cookies),
        parameters=None if query is True else frozenset(_texts("query", query or ())),
        user=user,
    )
    options = Options(
        timeout=seconds(timeout),
        grace=seconds(grace),
        declared=declared,
        varies=(*wanted, *(["Cookie"] if declared.cookies or user else [])),
        key=key,
        tags=_texts("tags", tags),
        depends_on=_several("depends_on", depends_on),
    )
    return partial(_decorated, options=options, label=label)


def _see(option: str, given: object, is_right: bool, takes: str) -> None:
    if not is_right:
        raise TypeError(f"{option} is {given!r}; it takes {takes}.")


def _several(option: str, given: Any) -> tuple[Any, ...]:
    _see(option, given, not isinstance(given, str) and isinstance(given, Iterable), f"a list, as in [{given!r}]")
    return tuple(given)


def _texts(option: str, given: Any) -> tuple[str, ...]:
    texts = _several(option, given)
    _see(option, given, all(isinstance(each, str) for each in texts), "a list of names")
    return texts


def _decorated(view: Any, *, options: Options, label: str | None) -> Any:
    if not callable(view):
        raise TypeError(f"memoize_view decorates views, not {view!r}.")
    if label is None and (getattr(view, "__module__", ""), getattr(view, "__name__", "")) == _STAND_IN:
        return view
    owner = _owner(view)
    initial = _initial(view) if label is None else None
    memo = Memo(view, options, label or _label(view, owner), owner, initial)

    if iscoroutinefunction(view) or getattr(owner, "view_is_async", False):

        @wraps(view)
        async def memoized(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            visit = Visit(memo, request, args, kwargs)
            if not visit.is_wanted() or not visit.is_named(await avisitor_of(request, options.declared)):
                return await awaited(view(request, *args, **kwargs))
            return visit.response(await aread_recorded(visit.computation, visit.acompute))

    else:

        @wraps(view)
        def memoized(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            visit = Visit(memo, request, args, kwargs)
            if not visit.is_wanted() or not visit.is_named(visitor_of(request, options.declared)):
                return view(request, *args, **kwargs)
            return visit.response(read_recorded(visit.computation, visit.compute))

    vars(memoized)["invalidate_all"] = partial(invalidate_label, memo.label)
    return memoized


# What a view is called

_STAND_IN: Final = ("django.utils.decorators", "dummy")
"""What ``method_decorator`` decorates to see which attributes that gives; it is never called."""


def _owner(view: Any) -> Any:
    """The instance whose method *view* is; ``None`` where it is none."""
    while True:
        if isinstance(view, partial):
            # By which method_decorator() binds.
            view = view.func
        elif isinstance(view, MethodType):
            return view.__self__
        elif hasattr(view, "__wrapped__"):
            view = view.__wrapped__
        else:
            return None


def _label(view: Any, owner: Any) -> str:
    """Where it is found.

    Raises:
        TypeError: where that is not known.
    """
    found = getattr(view, "view_class", None) or view
    label = f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', '<locals>')}"
    if owner is not None:
        cls = owner if isinstance(owner, type) else type(owner)
        label = f"{cls.__module__}.{cls.__qualname__}.{getattr(view, '__name__', '<locals>')}"
    if "<locals>" in label or "<lambda>" in label:
        raise TypeError(f"{view!r} cannot be found by a name of its own; give memoize_view a label=.")
    return label


def _initial(view: Any) -> Any:
    """What names the arguments of ``as_view()``.

    Raises:
        TypeError: where nothing does.
    """
    try:
        return canonical(getattr(view, "view_initkwargs", {}))
    except Unencodable as error:
        raise TypeError(f"as_view() was given {error}, which has no stable key; give memoize_view a label=.") from None
