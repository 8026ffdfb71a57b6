"""The decorator."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import translate
from functools import partial
from time import monotonic
from types import CodeType
from typing import Any, ClassVar

from django.db.models import Model

from everfresh import names
from everfresh.compat.cacheme.conf import CACHEME
from everfresh.compat.cacheme.sources import listen_to_m2m, listen_to_model, whole
from everfresh.compat.cacheme.tags import Tags, drop_when_committed
from everfresh.functions import memoize
from everfresh.functions.calls import Call
from everfresh.keys import digest, encode
from everfresh.naming import entry_key
from everfresh.nodes import flat_tags
from everfresh.recorded import Computation
from everfresh.recording import Named
from everfresh.writing.invalidation import invalidate_tags

__all__ = ["CacheMe", "cacheme"]

logger = logging.getLogger("cacheme")

_CHUNK = 500


class Container:
    """What the functions given to the decorator get: the arguments of the call, and its result once it is there."""

    def __init__(self, call: Call, *result: Any) -> None:
        self._call = call
        self._result = result

    def __getattr__(self, name: str) -> Any:
        if name != "cacheme_result":
            return getattr(self._call, name)
        if not self._result:
            raise AttributeError(
                "cacheme_result is known after the call only. Name it in the function itself that invalid_keys= is "
                "given, not only in one that it calls."
            )
        return self._result[0]


class CacheMe:
    """``@cacheme(…)``: `everfresh.memoize`, by the names and with the prefix, tags and ``stale`` of cacheme.

    Source: CE-1 to CE-16.
    """

    tags: ClassVar[Tags] = Tags()

    def __init__(
        self,
        key: Callable[[Any], str] | None = None,
        invalid_keys: Callable[[Any], Any] | None = None,
        hit: Callable[[str, Any, Any], object] | None = None,
        miss: Callable[[str, Any], object] | None = None,
        tag: str | None = None,
        skip: bool | Callable[[Any], bool] = False,
        timeout: float | None = None,
        invalid_sources: Iterable[Any] | None = None,
        node: Callable[[Any], Any] | None = None,
        stale: bool | None = None,
        invalid_models: Iterable[type[Model]] = (),
        invalid_m2m_models: Iterable[type[Model]] = (),
        **kwargs: Any,
    ) -> None:
        if key is None and node is None:
            raise TypeError("cacheme takes key= or node=: a function of the call that names its result.")
        self.key = key
        self.invalid_keys = invalid_keys
        self.hit = hit
        self.miss = miss
        self.tag = tag
        self.skip = skip
        self.timeout = timeout
        self.invalid_sources = invalid_sources
        self.node = node
        self.stale = stale
        self.invalid_models = tuple(invalid_models)
        self.invalid_m2m_models = tuple(invalid_m2m_models)
        self.kwargs = kwargs
        self.link()

    # Sources

    def link(self) -> None:
        """Listen to everything that invalidates, once."""
        for model in self.invalid_models:
            listen_to_model(model)
        for through in self.invalid_m2m_models:
            listen_to_m2m(through)
        for source in self.collect_sources():
            self.connect(source)

    def collect_sources(self) -> Iterable[Any]:
        """What else invalidates; subclasses may find it elsewhere (CE-11)."""
        return self.invalid_sources or ()

    def connect(self, source: Any) -> None:
        """Listen to *source*; for subclasses, which know how (CE-11)."""

    # Functions

    def __call__(self, function: Callable[..., Any]) -> Any:
        """The decorated function."""
        target = function.__func__ if isinstance(function, classmethod | staticmethod) else function
        path = f"{target.__module__}.{target.__qualname__}"
        if self.node is None:
            for tag in [self.tag] if self.tag else [target.__name__, path]:
                self.tags.add(tag, self.tag or path)
        name = partial(_Call, self, target)
        # Two functions of one name and one key share their results, as they did.
        label = f"{function.__module__}.{function.__qualname__}"
        return memoize(node=name, timeout=self.timeout or None, skip=self._is_skipped, label=label)(function)

    def _is_skipped(self, call: Call) -> bool:
        if not CACHEME.ENABLE_CACHE:
            return True
        return bool(self.skip(Container(call))) if callable(self.skip) else bool(self.skip)

    # Invalidation

    @classmethod
    def create_invalidation(
        cls, key: str | None = None, invalid_key: Any = None, pattern: str | None = None, *, using: str | None = None
    ) -> None:
        """Invalidate one key, everything that depends on an invalid key, everything whose key matches, or all of it.

        Args:
            key: without the prefix.
            invalid_key: also an invalid node, or a list of both.
            pattern: of Redis, for keys with their prefix, up to their first ``>``. Nothing old is served of these.
            using: the database whose transaction it is part of; left out, the default one.

        Source: CE-14.
        """
        if key is not None:
            names.invalidate_name(f"{CACHEME.REDIS_CACHE_PREFIX}{key}", using=using)
        tags, _ = flat_tags(invalid_key, by="invalid_key=")
        invalidate_tags(*tags, using=using)
        if pattern is not None:
            _invalidate_pattern(pattern, using)

    # What Everfresh has its own ways for

    @classmethod
    def update_settings(cls, settings: Mapping[str, Any]) -> None:
        """Change settings of this process; they go before those of Django's ``CACHEME``."""
        CACHEME.updated.update(settings)

    @classmethod
    def set_connection(cls, connection: object) -> None:
        """Is not needed: results are where the ``EVERFRESH`` setting says."""


cacheme = CacheMe


class _Call:
    """One call of a decorated function: how its result is cached."""

    def __init__(self, cacheme: CacheMe, function: Callable[..., Any], call: Call) -> None:
        self.cacheme = cacheme
        self.function = function
        self.call = call
        self.container = Container(call)
        self.node = None if cacheme.node is None else cacheme.node(self.container)
        self.key = ""
        self.started = 0.0

    def named(self, computation: Computation) -> Computation:
        computation = replace(computation, grace=CACHEME.grace(self.cacheme.stale))
        by_result = False
        if self.node is not None:
            computation = self.node.named(computation)
        else:
            by_result = _asks_for_result(self.cacheme.invalid_keys)
            tags, also = ((), ()) if by_result else self._invalid_keys(self.container)
            text = f"{CACHEME.REDIS_CACHE_PREFIX}{_text(self.cacheme.key, self.container)}"
            models = [*self.cacheme.invalid_models, *self.cacheme.invalid_m2m_models]
            computation = replace(
                computation,
                key=entry_key("f", digest(encode((computation.key, text)))),
                label=self.cacheme.tag or f"{self.function.__module__}.{self.function.__qualname__}",
                name=text,
                tags=(*tags, *map(whole, models)),
                also=(*computation.also, *also),
            )
        self.key = computation.name
        if by_result or logger.isEnabledFor(logging.DEBUG):
            computation = replace(computation, result_tags=partial(self._after, by_result=by_result))
        return computation

    def hit(self, key: str, result: Any) -> object:
        if self.cacheme.hit is not None:
            return self.cacheme.hit(key, result, self.container)
        return self.node.hit(key, result) if self.node is not None else None

    def miss(self, key: str) -> object:
        self.started = monotonic()
        if self.cacheme.miss is not None:
            return self.cacheme.miss(key, self.container)
        return self.node.miss(key) if self.node is not None else None

    def _after(self, result: Any, *, by_result: bool) -> tuple[str, ...]:
        """Once it is computed: what tags depend on the result."""
        logger.debug('[CACHEME FUNC LOG] key: "%s", time: %s ms', self.key, (monotonic() - self.started) * 1000)
        if not by_result:
            return ()
        tags, also = self._invalid_keys(Container(self.call, result))
        if also:
            raise TypeError(
                f"invalid_keys= of {self.function.__qualname__} gave rows of a model to depend on after the call. They "
                f"must be known before: without cacheme_result."
            )
        return tags

    def _invalid_keys(self, container: Container) -> tuple[tuple[str, ...], tuple[Named, ...]]:
        if self.cacheme.invalid_keys is None:
            return (), ()
        return flat_tags(self.cacheme.invalid_keys(container), by=f"invalid_keys= of {self.function.__qualname__}")


def _text(key: Callable[[Any], str] | None, container: Container) -> str:
    text = None if key is None else key(container)
    if not isinstance(text, str):
        raise TypeError(f"key= of cacheme gave {text!r}, where a key is a string.")
    return str.__str__(text)


def _asks_for_result(function: Callable[..., Any] | None) -> bool:
    """Must *function* be called after the decorated one?

    Tags that are known before are better: nothing is lost when other tags move while the result is computed.
    """
    if function is None:
        return False
    waiting: list[Any] = [getattr(function, "__code__", None)]
    while waiting:
        code = waiting.pop()
        if not isinstance(code, CodeType) or "cacheme_result" in code.co_names:
            # Of what is no function nobody knows.
            return True
        waiting += [each for each in code.co_consts if isinstance(each, CodeType)]
    return False


# Patterns


def _invalidate_pattern(pattern: str, using: str | None) -> None:
    matches = re.compile(translate(re.sub(r"\\(.)|\[\^", _as_fnmatch, pattern))).match
    found: dict[str, set[str]] = {}
    for label in names.labels():
        for key, name in names.listed(label):
            if matches(name) or matches(name.partition(">")[0]):
                found.setdefault(name, set()).add(key)
    matching = list(found)
    for at in range(0, len(matching), _CHUNK):
        chunk = matching[at : at + _CHUNK]
        names.invalidate_name(*chunk, using=using)
        drop_when_committed([key for name in chunk for key in found[name]], using)


def _as_fnmatch(match: re.Match[str]) -> str:
    """What Redis writes its own way, as Python writes it."""
    escaped: str | None = match[1]
    if escaped is None:
        return "[!"
    return f"[{escaped}]" if escaped in "*?[" else escaped
