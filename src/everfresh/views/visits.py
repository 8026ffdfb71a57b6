"""One request to a memoized view: what names its response, how that is made, and what becomes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, Final
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.urls import get_urlconf
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language

from everfresh.bounded import Bounded
from everfresh.events import Outcome, Read, emit
from everfresh.exceptions import Unencodable
from everfresh.functions.recipes import declared
from everfresh.given import canonical, note_given, settled
from everfresh.keys import digest, encode
from everfresh.naming import entry_key
from everfresh.queries.terms import ModelName
from everfresh.reading import Answer
from everfresh.recorded import Computation
from everfresh.recording import current_recording
from everfresh.views.requests import Declared, watched
from everfresh.views.responses import Stored, conditional, reason_not_to_store, rebuilt, stored

__all__ = ["Memo", "Options", "Visit", "avisitor_of", "awaited", "visitor_of"]

log = logging.getLogger("everfresh")

_warned: Bounded[tuple[str, str], bool] = Bounded(1_024)
"""Views, and what was said of them: once is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was said at the decorator."""

    timeout: float | None
    grace: float | None
    declared: Declared
    varies: tuple[str, ...]
    """What responses vary on, as other caches are told."""

    key: Callable[..., Any] | None
    tags: tuple[str, ...]
    depends_on: tuple[ModelName, ...]


@dataclass(frozen=True, slots=True)
class Memo:
    """A view, and how its responses are kept."""

    view: Callable[..., Any]
    options: Options
    label: str
    owner: Any
    initial: Any

    def state(self) -> dict[str, Any]:
        """What a class-based view holds besides its request."""
        held = getattr(self.owner, "__dict__", {}).items() if not isinstance(self.owner, type) else ()
        return {
            name: value
            for name, value in held
            if name not in ("request", "args", "kwargs") and getattr(value, "__self__", None) is not self.owner
        }

    def warn(self, reason: str, way_out: str) -> None:
        """Say why a response is not stored, the first time."""
        if not _warned.get((self.label, reason)):
            _warned[self.label, reason] = True
            log.warning("%s is not cached: %s. %s", self.label, reason, way_out)


# Who asks


@dataclass(frozen=True, slots=True)
class _Visitor:
    """Whom a response is for, as far as that is in its key."""

    users: tuple[Any, ...] = ()
    session: dict[str, Any] | None = None


def visitor_of(request: HttpRequest, declared: Declared) -> _Visitor:
    """Whom the response to *request* is for."""
    users: tuple[Any, ...] = (settled(getattr(request, "user", None)),) if declared.user else ()
    session = getattr(request, "session", None) if declared.session else None
    return _Visitor(users, None if session is None else dict(session.items()))


async def avisitor_of(request: HttpRequest, declared: Declared) -> _Visitor:
    """See `visitor_of`."""
    users: tuple[Any, ...] = ()
    if declared.user:
        if hasattr(request, "auser"):
            users = (await request.auser(),)
            # Where request.user looks first: it is the same one, and need not be asked for again.
            vars(request).setdefault("_cached_user", users[0])
        users = (*users, await sync_to_async(settled)(getattr(request, "user", None)))
    session = getattr(request, "session", None) if declared.session else None
    return _Visitor(users, None if session is None else dict(await session.aitems()))


async def awaited(response: Any) -> Any:
    """*response*, awaited where it is to be: some views of asynchronous classes answer at once."""
    return await response if isawaitable(response) else response


# One request

_PERMISSIONS: Final = ("_group_perm_cache", "_perm_cache", "_user_perm_cache")
"""What a user remembers of the database besides its row."""


@dataclass(slots=True)
class Visit:
    """One call of a memoized view."""

    memo: Memo
    request: HttpRequest
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    visitor: _Visitor = field(init=False)
    computation: Computation = field(init=False)
    around: Any = field(default_factory=current_recording)
    made: Any = None
    """What the view returned, if it ran."""

    is_watched: bool = False
    """Did it run as for everybody?"""

    def is_wanted(self) -> bool:
        """Is it one that may be answered from the cache?

        Raises:
            TypeError: when it is not called with a request.
        """
        if not isinstance(self.request, HttpRequest):
            raise TypeError(
                f"{self.memo.label} was called with {type(self.request).__name__} in place of a request; decorate "
                f"methods by method_decorator(memoize_view(...)), or decorate what as_view() returns."
            )
        # Not META.get(): a view around this one would be taken to have asked for it.
        length = dict.get(self.request.META, "CONTENT_LENGTH")
        # Whoever is around this one may have read a body whose length was not told.
        is_empty = length in (None, "", "0") and not getattr(self.request, "_body", b"")
        return self.request.method in ("GET", "HEAD") and is_empty

    def is_named(self, visitor: _Visitor) -> bool:
        """Is there a key for it? If so, `computation` is set.

        Raises:
            ImproperlyConfigured: when it is to depend on a model that the settings exclude.
        """
        memo, options = self.memo, self.memo.options
        self.visitor = visitor
        try:
            key, name = self._key()
        except Unencodable as error:
            reason, way_out = f"it is called with {error}, which has no stable key", "Pass values, or saved rows."
        except DisallowedHost:
            # Which host names may be kept is for ALLOWED_HOSTS to say; what becomes of the others, for the view.
            reason, way_out = "its host is not allowed", "See ALLOWED_HOSTS."
        else:
            self.computation = Computation(
                key=entry_key("v", key),
                label=memo.label,
                name=name,
                timeout=options.timeout,
                grace=options.grace,
                tags=options.tags,
                also=tuple(declared(memo.label, options.depends_on)),
                is_declared=bool(options.depends_on),
            )
            return True
        memo.warn(reason, way_out)
        emit(Read(Outcome.BYPASS, reason, memo.label))
        return False

    def _key(self) -> tuple[str, str]:
        """What names the response in the store, and to people.

        Raises:
            Unencodable: where the view is called with something that nothing names.
            DisallowedHost: where the request's host is none of this project's.
        """
        request, memo, options = self.request, self.memo, self.memo.options
        held = options.declared
        query = sorted(
            (name, values) for name, values in request.GET.lists() if held.parameters is None or name in held.parameters
        )
        told_apart = (
            (memo.label, memo.initial, memo.state()),
            (request.scheme, request.get_host(), request.path, request.path_info, request.META.get("CONTENT_TYPE")),
            (query, self.args, dict(self.kwargs)),
            (held.headers, [request.META.get(name) for name in held.headers]),
            (held.cookies, [request.COOKIES.get(name) for name in held.cookies]),
            (self.visitor.users, self.visitor.session),
            get_language() if django_settings.USE_I18N else None,
            get_current_timezone_name() if django_settings.USE_TZ else None,
            str(get_urlconf()),
            options.key(request, *self.args, **self.kwargs) if options.key is not None else None,
        )
        text = f"?{urlencode(query, doseq=True)}" if query else ""
        return digest(encode(canonical(told_apart))), f"{memo.label} GET {request.path}{text}"

    def compute(self) -> Stored | None:
        """Run the view; ``None`` when what it returns is nobody else's."""
        if self._is_alone():
            self.made = self.memo.view(self.request, *self.args, **self.kwargs)
            return None
        before = self._begin()
        with watched(self.request, self.memo.options.declared, is_async=False) as asked:
            self.made = self.memo.view(self.request, *self.args, **self.kwargs)
            if _is_to_be_rendered(self.made):
                self.made = self.made.render()
        return self._end(asked, before)

    async def acompute(self) -> Stored | None:
        """See `compute`."""
        if self._is_alone():
            self.made = await awaited(self.memo.view(self.request, *self.args, **self.kwargs))
            return None
        before = await sync_to_async(self._begin)()
        with watched(self.request, self.memo.options.declared, is_async=True) as asked:
            self.made = await awaited(self.memo.view(self.request, *self.args, **self.kwargs))
            if _is_to_be_rendered(self.made):
                self.made = await sync_to_async(self.made.render)()
        return self._end(asked, before)

    def response(self, answer: Answer[Stored | None]) -> Any:
        """What the visitor gets."""
        if answer.value is None or answer.outcome in (Outcome.MISS, Outcome.BYPASS):
            return conditional(self.request, self.made) if self.is_watched else self.made
        return conditional(self.request, rebuilt(answer.value))

    def _is_alone(self) -> bool:
        """Is nothing kept of it here and now?"""
        recorded = current_recording()
        return recorded is None or recorded is self.around

    def _begin(self) -> int:
        """See to what was read before the view runs. Returns how much is depended on so far."""
        self.is_watched = True
        for user in self.visitor.users:
            for name in _PERMISSIONS:
                getattr(user, "__dict__", {}).pop(name, None)
        recorded = current_recording()
        before = 0 if recorded is None else len(recorded.clauses)
        note_given([*self.visitor.users, *self.memo.state().values(), *self.args, *self.kwargs.values()])
        return before

    def _end(self, asked: Mapping[str, str], before: int) -> Stored | None:
        recorded = current_recording()
        assert recorded is not None  # noqa: S101
        options = self.memo.options
        reason, way_out = next(iter(asked.items()), None) or _left_behind(self.request) or ("", "")
        if not reason:
            reason, way_out = reason_not_to_store(
                self.made,
                options.varies,
                is_private=options.declared.user,
                has_read=len(recorded.clauses) > before or bool(options.depends_on),
            )
        if reason:
            recorded.refused = reason
            self.memo.warn(reason, way_out)
            return None
        return stored(self.made, options.varies)


def _is_to_be_rendered(response: Any) -> bool:
    return callable(getattr(response, "render", None))


def _left_behind(request: HttpRequest) -> tuple[str, str] | None:
    """What the view has done that a hit would not do."""
    # Django's own, and django-csp's: true as soon as somebody has used it.
    if getattr(request, "_csp_nonce", None):
        return "it used the CSP nonce", "Keep the scripts in files, or allow them by their hashes."
    messages = getattr(request, "_messages", None)
    if getattr(messages, "used", False) or getattr(messages, "added_new", False):
        return "it showed or added messages", "Load them by a request of their own."
    return None
