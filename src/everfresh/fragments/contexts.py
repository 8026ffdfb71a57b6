"""The context of a Django template, watched: which names a part of the template uses from outside of that part.

Django looks a name up layer by layer, the innermost first. A layer that is put below what the part binds itself, and
above everything else, is asked for exactly the names that come from outside. The texts of templates that the part
includes come from outside, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from django.template import Context, Node, NodeList, Template, TemplateDoesNotExist
from django.template.base import Parser
from django.template.context import RenderContext
from django.template.loader_tags import BLOCK_CONTEXT_KEY, BlockNode
from django.utils.functional import SimpleLazyObject

from everfresh.fragments.rendering import MISSING, TEXT, Note
from everfresh.keys import digest

__all__ = ["ContextAround", "namespace_of", "template_of"]


class ContextAround:
    """What is around a part of a Django template (see `everfresh.fragments.rendering.Surroundings`)."""

    def __init__(self, context: Context, nodelist: NodeList) -> None:
        self._context = context
        self._nodelist = nodelist

    def get(self, name: str) -> Any:
        """What *name* stands for around the part; of a loop its counters, as ``forloop.parentloop.counter``."""
        if name.startswith(TEXT):
            return self._text(name.removeprefix(TEXT))
        root, *path = name.split(".")
        value = self._context.get(root, MISSING)
        for each in path:
            value = value.get(each, MISSING) if isinstance(value, dict) else MISSING
        return _comparable(value, self._context)

    def render(self, note: Note | None) -> str:
        """Render the part, calling *note* for what it uses. What it binds is not known after it."""
        context = self._context
        if note is None:
            with context.push():
                return self._nodelist.render(context)
        layers, request, state = context.dicts[:], vars(context).get("request"), context.render_context
        around = type(state), vars(state).get(_NOTE)
        watched = _Watched(context, note)
        context.dicts += [watched, {}]
        context.dicts[0] = _Bottom(layers[0], context, len(layers))
        if request is not None:
            context.request = _WatchedRequest(request, note)  # type: ignore[attr-defined]
        vars(state)[_NOTE] = self._noting_texts(note, around[1])
        state.__class__ = _WatchedState
        try:
            return self._nodelist.render(context)
        finally:
            state.__class__, vars(state)[_NOTE] = around
            context.dicts[:] = layers
            if request is not None:
                context.request = request  # type: ignore[attr-defined]

    def _noting_texts(self, note: Note, around: Callable[[str], None] | None) -> Callable[[str], None]:
        seen = set()

        def noting(template: str) -> None:
            if around is not None:
                around(template)
            if template not in seen:
                seen.add(template)
                note(f"{TEXT}{template}", _text(self._context, template))

        return noting

    def _text(self, template: str) -> Any:
        if (around := vars(self._context.render_context).get(_NOTE)) is not None:
            around(template)
        return _text(self._context, template)


def namespace_of(context: Context) -> str:
    """The namespace of the URL of *context*'s request, from which ``{% url %}`` takes what it is to find first."""
    request = vars(context).get("request")
    found = getattr(request, "current_app", None) or getattr(getattr(request, "resolver_match", None), "namespace", "")
    return str(found or "")


def template_of(place: Node | Parser | Template) -> str:
    """The name of the template in which *place* stands; empty where it has none."""
    # The name may have been written in another template, and be marked as safe to show.
    return str.__str__(str(getattr(place.origin, "template_name", None) or ""))


def _text(context: Context, template: str) -> Any:
    """What tells the text of *template* from any other; `MISSING` where there is none."""
    try:
        source = context.template.engine.get_template(template).source  # type: ignore[union-attr]
    except TemplateDoesNotExist:
        return MISSING
    return _digest(str(source))


@lru_cache(maxsize=1024)
def _digest(source: str) -> str:
    return digest(source.encode())


_NOTE = "_everfresh_note"


class _WatchedState(RenderContext):
    """The state of a rendering, which every template passes that is included."""

    def push_state(self, template: Any, isolated_context: bool = True) -> AbstractContextManager[None]:
        name = template_of(template)
        if name:
            vars(self)[_NOTE](name)
        return super().push_state(template, isolated_context)


class _Watched(dict[str, Any]):
    """The layer that everything from outside is looked up through; it holds what is to be used in place of that."""

    def __init__(self, context: Context, note: Note) -> None:
        super().__init__()
        self._context = context
        self._layers = context.dicts[:]
        self._note = note
        self._seen: set[str] = set()

    def __contains__(self, name: object) -> bool:
        if isinstance(name, str) and name not in self._seen:
            self._seen.add(name)
            value = self._outside(name)
            instead = self._instead(name, value)
            if instead is not value:
                self[name] = instead
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        # Somebody wants all there is, as flatten() does.
        return iter(self.keys())

    def keys(self) -> Any:
        for name in {name for layer in self._layers for name in layer}:
            _ = name in self
        return super().keys()

    def _outside(self, name: str) -> Any:
        return next((layer[name] for layer in reversed(self._layers) if name in layer), MISSING)

    def _instead(self, name: str, value: Any) -> Any:
        if name == "forloop":
            # A loop inside looks for the one outside, and seldom uses it.
            return _WatchedLoop(name, value, self._note)
        if name == "csrf_token" and value is not MISSING:
            # Whoever passes it on, as tags that include do, has not used it yet.
            return SimpleLazyObject(lambda: self._note(name, value))
        comparable = _comparable(value, self._context)
        instead = self._note(name, comparable)
        return value if comparable is not value else instead


class _Bottom(dict[str, Any]):
    """The lowest layer, where ``name in context`` begins to ask, unlike looking the name up."""

    def __init__(self, own: dict[str, Any], context: Context, depth: int) -> None:
        super().__init__(own)
        self._context = context
        self._depth = depth

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or any(name in layer for layer in self._context.dicts[: self._depth - 1 : -1])


class _WatchedLoop(dict[Any, Any]):
    """The variable of a loop outside: each of its counters is a name of its own."""

    def __init__(self, name: str, loop: object, note: Note) -> None:
        is_loop = isinstance(loop, dict)
        super().__init__(loop if is_loop else {})  # type: ignore[call-overload]
        self._name = name
        self._loop: dict[Any, Any] | None = loop if is_loop else None  # type: ignore[assignment]
        self._note = note

    def __contains__(self, key: object) -> bool:
        self._use(key)
        return super().__contains__(key)

    def __getitem__(self, key: Any) -> Any:
        if key == "parentloop":
            return _WatchedLoop(f"{self._name}.{key}", super().get(key), self._note)
        self._use(key)
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        if self._loop is not None:
            self._loop[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def get(self, key: Any, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())

    def __repr__(self) -> str:
        return repr(dict(self.items()))

    def keys(self) -> Any:
        return self._whole().keys()

    def values(self) -> Any:
        return self._whole().values()

    def items(self) -> Any:
        return self._whole().items()

    def _whole(self) -> dict[Any, Any]:
        whole = {} if self._loop is None else self._loop
        self._note(self._name, whole)
        return whole

    def _use(self, key: object) -> None:
        if isinstance(key, str):
            self._note(f"{self._name}.{key}", super().get(key, MISSING))
        elif self._loop is not None:
            # {% ifchanged %} keeps here, by itself, what it saw in the iteration before.
            self._note(self._name, _IterationBefore())


class _IterationBefore:
    """What a part would show depends on what it showed before, which nothing names."""


class _WatchedRequest(SimpleLazyObject):  # type: ignore[type-arg]
    """The request that tags find in a context. To look for the namespace of its URL is not yet to use it."""

    def __init__(self, request: Any, note: Note) -> None:
        super().__init__(lambda: note("request", request))
        self.__dict__["_request"] = request

    def __getattr__(self, name: str) -> Any:
        request = self.__dict__["_request"]
        if name == "current_app":
            return getattr(request, name)
        if name == "resolver_match":
            match = request.resolver_match
            # Not asked whether it is true: around an inner fragment, that would use the outer one's.
            return None if match is None else _WatchedMatch(self, match)
        return super().__getattr__(name)


class _WatchedMatch(SimpleLazyObject):  # type: ignore[type-arg]
    """What the request's URL was resolved to."""

    def __init__(self, request: _WatchedRequest, match: Any) -> None:
        super().__init__(lambda: request.path and match)
        self.__dict__["_match"] = match

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["_match"].namespace if name == "namespace" else super().__getattr__(name)


def _comparable(value: Any, context: Context) -> Any:
    """*value*; of the ``block`` of ``block.super``, the templates that it comes from."""
    # Not isinstance(): it has a lazy object made, to ask for its class.
    if issubclass(type(value), BlockNode):
        blocks = context.render_context.get(BLOCK_CONTEXT_KEY)
        above = [] if blocks is None else blocks.blocks[value.name]
        return (value.name, *(template_of(each) for each in above))
    return value
