"""What a view asks its request for, found out by watching it: what is in a response must be in its key.

While the view runs, its request answers as ever, from stand-ins that note what is asked of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, QueryDict
from django.http.request import HttpHeaders
from django.utils.functional import SimpleLazyObject

__all__ = ["Declared", "watched"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the key of a view's responses holds of a request, besides its method, scheme, host and path."""

    headers: tuple[str, ...] = ()
    """As ``META`` calls them: ``HTTP_ACCEPT``."""

    cookies: tuple[str, ...] = ()
    parameters: frozenset[str] | None = None
    """Of the query string; ``None``: all."""

    user: bool = False

    @property
    def session(self) -> bool:
        """Does it hold what is in the session?"""
        return settings.SESSION_COOKIE_NAME in self.cookies


@contextmanager
def watched(request: HttpRequest, declared: Declared, *, is_async: bool) -> Iterator[Mapping[str, str]]:
    """Note what is asked of *request* in the block.

    The request is one for GET that names no conditions, so that what it is answered with is good for every request of
    the same key. After the block it is what it was, with what the view has written to it.

    Returns:
        what is not *declared*, in words, each with what to write instead; complete after the block.
    """
    asked: dict[str, str] = {}
    watch = _Watch(request, declared, asked)
    names = {"user", "auser"} if is_async else {"user"}
    stand_ins = watch.stand_ins(names if declared.user else set())
    own = vars(request)
    was = {name: own[name] for name in stand_ins if name in own}
    own.update(stand_ins)
    for name in _DERIVED:
        own.pop(name, None)
    session = getattr(request, "session", None) if declared.session else None
    was_modified = getattr(session, "modified", False)
    if session is not None:
        session.modified = False
    try:
        # Whatever tells them is in the key with them.
        request.get_host()
        request.scheme  # noqa: B018
        watch.is_learning = False
        yield asked
    finally:
        for name, stand_in in stand_ins.items():
            if own.get(name) is stand_in:
                del own[name]
                own.update({name: was[name]} if name in was else {})
            # Not isinstance(): it asks the value's __class__, which makes a lazy object take notice.
            if type(stand_in) is _NotingDict:
                stand_in.write_back()
        if session is not None:
            if session.modified:
                asked["it changed the session"] = "Do so in a view that is not cached."
            session.modified = session.modified or was_modified


_DERIVED: Final = ("accepted_types", "accepted_types_by_precedence")
"""What a request remembers of its headers: to be asked for again."""

_CONDITIONS: Final = frozenset(
    {"HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_IF_RANGE", "HTTP_IF_UNMODIFIED_SINCE"}
)
"""Headers that are answered from what is stored."""

_HELD: Final = frozenset(
    {
        "CONTENT_TYPE",
        "GATEWAY_INTERFACE",
        "PATH_INFO",
        "REQUEST_METHOD",
        "SCRIPT_NAME",
        "SERVER_NAME",
        "SERVER_PORT",
        "SERVER_SOFTWARE",
    }
)
"""Of ``META``, what every key holds, or what is the server's and not the visitor's."""

_SCOPE_HELD: Final = frozenset({"asgi", "path", "root_path", "scheme", "type"})


class _Watch:
    """One request, while it is watched."""

    def __init__(self, request: HttpRequest, declared: Declared, asked: dict[str, str]) -> None:
        self.request = request
        self.declared = declared
        self.asked = asked
        self.is_learning = True
        """Is what is asked for now held by the key?"""
        self._learned: set[str] = set()

    def stand_ins(self, known: set[str]) -> dict[str, Any]:
        """What the attributes of the request are to be, but those *known*."""
        own = vars(self.request)
        meta = _NotingDict(self.request.META, self._meta)
        # The headers as they are when the view begins, but for the conditions.
        for name in _CONDITIONS:
            dict.pop(meta, name, None)
        dict.__setitem__(meta, "REQUEST_METHOD", "GET")
        found: dict[str, Any] = {
            "method": "GET",
            "META": meta,
            "headers": _NotingHeaders(meta, own.get("headers"), self._meta),
            "COOKIES": _NotingDict(self.request.COOKIES, self._cookie),
        }
        if "environ" in own:
            found["environ"] = meta
        if "scope" in own:
            found["scope"] = _NotingDict(own["scope"], self._scope)
        if self.declared.parameters is not None:
            found["GET"] = _NotingQuery.of(self.request.GET, self._parameter)
        if "session" in own and not self.declared.session:
            way_out = f'Leave it out, or write cookies=("{settings.SESSION_COOKIE_NAME}",).'
            found["session"] = SimpleLazyObject(partial(self._take, own["session"], "it used the session", way_out))
        if "_stream" in own:
            # Without a length, as over HTTP/2, nobody knows whether there is one before it is read.
            found["_stream"] = SimpleLazyObject(
                partial(self._take, own["_stream"], "it read the body", "Take what it says from the query.")
            )
        if "user" in own and "user" not in known:
            found["user"] = SimpleLazyObject(partial(self._take, own["user"], *_USER))
        if "auser" in own and "auser" not in known:
            found["auser"] = partial(self._auser, own["auser"])
        return found

    def _take(self, value: Any, what: str, way_out: str) -> Any:
        self.asked.setdefault(what, way_out)
        return value

    async def _auser(self, ask: Callable[[], Any]) -> Any:
        self.asked.setdefault(*_USER)
        return await ask()

    def _meta(self, name: str | None) -> None:
        if name is None:
            self.asked.setdefault("it read all headers", "Read those that you need by their names, and declare them.")
        elif self.is_learning:
            self._learned.add(name)
        elif name not in self._learned and not self._holds(name):
            self.asked.setdefault(*_described(name))

    def _holds(self, name: str) -> bool:
        if name == "QUERY_STRING":
            return self.declared.parameters is None
        is_servers = name.startswith("wsgi.") and name != "wsgi.input"
        return is_servers or name in _HELD or name in _CONDITIONS or name in self.declared.headers

    def _scope(self, name: str | None) -> None:
        if not self.is_learning and name not in _SCOPE_HELD:
            what = "all of it" if name is None else repr(name)
            self.asked.setdefault(f"it read of request.scope {what}", "Use the attributes of the request.")

    def _cookie(self, name: str | None) -> None:
        if name is None:
            self.asked.setdefault("it read all cookies", "Read those that you need by their names, and declare them.")
        elif name not in self.declared.cookies:
            self.asked.setdefault(
                f"it read the cookie {name!r}", f'Leave it out, or add it to cookies=, as in cookies=("{name}",).'
            )

    def _parameter(self, name: str | None) -> None:
        if name is None:
            self.asked.setdefault(
                "it read all parameters of the query", "Read those that you need by their names, or leave out query=."
            )
        elif self.declared.parameters is not None and name not in self.declared.parameters:
            self.asked.setdefault(f"it read the parameter {name!r}", "Add it to query=.")


_USER: Final = ("it used request.user", "Leave the user out, or write user=True.")


def _described(name: str) -> tuple[str, str]:
    """What it is to read *name* of ``META``, and what to write instead."""
    if name.startswith("CSRF_COOKIE"):
        return "it used the CSRF token", "Fetch the token, or the form, by a request of its own."
    if name == "QUERY_STRING":
        return "it read the query string", "Leave out query=, so that all of it counts."
    if (header := HttpHeaders.parse_header_name(name)) is not None:
        return f"it read the header {header}", f'Leave it out, or add it to headers=, as in headers=("{header}",).'
    return f"it read {name!r} of request.META", "Leave out of the page what is of one visitor or of one server."


# Stand-ins. What they inherit from C knows nothing of what a subclass overrides, so every way to ask is named here.

_Note = Callable[[str | None], None]
"""Called with what is asked for; ``None``: all of it."""


class _Noting:
    """What tells what is asked of it."""

    _note: _Note | None = None
    _original: Any = None

    def _asked(self, name: str | None) -> None:
        if self._note is not None:
            self._note(name)
        if isinstance(self._original, _Noting):
            # A view within a view: what this one asks for, the outer one does.
            self._original._asked(name)


def _one(base: type, method: str) -> Callable[..., Any]:
    def ask(self: Any, name: Any, *args: Any, **kwargs: Any) -> Any:
        self._asked(name)
        return getattr(base, method)(self, name, *args, **kwargs)

    return ask


def _all(base: type, method: str) -> Callable[..., Any]:
    def ask(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._asked(None)
        return getattr(base, method)(self, *args, **kwargs)

    return ask


class _NotingDict(_Noting, dict[str, Any]):
    """A dict of which it is noted what is read."""

    def __init__(self, original: dict[str, Any], note: _Note) -> None:
        # Not dict(original): that asks one that notes for all.
        super().__init__(dict.items(original))
        self._note = note
        self._original = original

    def write_back(self) -> None:
        """Do to the original what was done to this one; what was put into it for the view stays here."""
        unseen = _CONDITIONS | {"REQUEST_METHOD"}
        original: dict[str, Any] = self._original
        for name in {*dict.keys(original)} - {*dict.keys(self)} - unseen:
            dict.pop(original, name)
        dict.update(original, {name: value for name, value in dict.items(self) if name not in unseen})


class _NotingHeaders(_Noting, HttpHeaders):
    """Headers of which it is noted which are read."""

    def __init__(self, meta: dict[str, Any], original: HttpHeaders | None, note: _Note) -> None:
        super().__init__(dict(dict.items(meta)))
        self._original = original
        self._note = lambda name: note(name and self.to_wsgi_name(name))


class _NotingQuery(_Noting, QueryDict):
    """Parameters of which it is noted which are read. Its copies do not tell."""

    @classmethod
    def of(cls, original: QueryDict, note: _Note) -> _NotingQuery:
        """One with the content of *original*."""
        query = cls("", mutable=True, encoding=original.encoding)
        # Not original.lists(): that asks one that notes for all.
        for name, values in dict.items(original):
            query.setlist(name, list(values))
        query._mutable = original._mutable
        query._original = original
        query._note = note
        return query


_ONE: Final = ("__contains__", "__getitem__", "get", "pop", "setdefault")
_ALL: Final = (
    *("__eq__", "__iter__", "__len__", "__ne__", "__or__", "__repr__", "__reversed__", "__ror__"),
    *("copy", "items", "keys", "popitem", "values"),
)
for _class, _base, _ones, _alls in (
    (_NotingDict, dict, _ONE, _ALL),
    (_NotingHeaders, HttpHeaders, ("__getitem__",), ("__iter__", "__len__", "__repr__")),
    (_NotingQuery, QueryDict, (*_ONE, "getlist"), (*_ALL, "__copy__", "__deepcopy__", "dict", "lists", "urlencode")),
):
    for _name in _ones:
        setattr(_class, _name, _one(_base, _name))
    for _name in _alls:
        setattr(_class, _name, _all(_base, _name))
