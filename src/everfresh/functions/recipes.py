"""What is said of a memoized function, and what follows for each call of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from inspect import Parameter, Signature
from typing import Any, Protocol

import django
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import router

from everfresh.conf import seconds, settings
from everfresh.exceptions import Uncacheable
from everfresh.functions.calls import Call, arguments, describe, identify, name_arguments, signature_of
from everfresh.keys import digest, encode
from everfresh.naming import entry_key, tag_names
from everfresh.nodes import flat_tags
from everfresh.queries.terms import ModelName, any_write
from everfresh.recorded import Computation
from everfresh.recording import Named

__all__ = ["Name", "Recipe", "TagsGiven", "declared"]

TagsGiven = str | Iterable[Any] | Callable[[Call], Any] | Callable[[Call, Any], Any] | None
"""Names, or a function that gives them."""


class Name(Protocol):
    """What says of one call how its result is cached, in the place of key and tags: a `everfresh.nodes.Node`."""

    def named(self, computation: Computation) -> Computation:
        """*computation*, whose key is the function's own, under a name."""

    def hit(self, key: str, result: Any) -> object:
        """It comes from the cache."""

    def miss(self, key: str) -> object:
        """It is about to be computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is said of one function."""

    function: Callable[..., Any]
    signature: Signature
    label: str
    identity: Any
    """What tells the function from others in keys."""

    key: Callable[[Call], str] | None
    node: Callable[[Call], Name] | None
    """In the place of *key*."""

    tags: Callable[[Call], Any] | None
    result_tags: Callable[[Call, Any], Any] | None
    timeout: float | None
    """Seconds; ``None`` is for ever."""

    grace: float | None
    """Seconds; ``None``: nothing old is served."""

    skip: bool | Callable[[Call], bool]
    on_hit: Callable[[str, Any, Call], object] | None
    on_miss: Callable[[str, Call], object] | None
    depends_on: tuple[ModelName, ...] | None
    """``None``: nothing was said of what cannot be followed."""

    is_generator: bool

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        key: Callable[[Call], str] | None,
        node: Callable[[Call], Name] | None,
        tags: TagsGiven,
        timeout: float | timedelta | None,
        grace: float | timedelta | None,
        depends_on: Iterable[ModelName] | None,
        label: str | None,
        on_hit: Callable[[str, Any, Call], object] | None,
        on_miss: Callable[[str, Call], object] | None,
        **said: Any,
    ) -> Recipe:
        """What is said of *function*, as people say it."""
        if node is not None:
            if key is not None:
                raise TypeError(f"memoize of {function.__qualname__} takes key= or node=, not both: a node has a key.")
            on_hit = on_hit or (lambda name, result, call: _name(call, node).hit(name, result))
            on_miss = on_miss or (lambda name, call: _name(call, node).miss(name))
        found, identity = (label, label) if label is not None else identify(function)
        by_result = callable(tags) and _takes_two(tags)
        return cls(
            function=function,
            signature=signature_of(function),
            label=found,
            identity=identity,
            key=key,
            node=node,
            on_hit=on_hit,
            on_miss=on_miss,
            tags=None if by_result else _gives(tags),
            result_tags=tags if by_result else None,  # type: ignore[arg-type]
            timeout=seconds(timeout),
            grace=seconds(grace),
            depends_on=None if depends_on is None else tuple(depends_on),
            **said,
        )

    def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        """The call with these arguments."""
        return Call(self.signature.bind(*args, **kwargs))

    def is_skipped(self, call: Call) -> bool:
        """Has *call* nothing to do with the cache?"""
        return bool(self.skip(call)) if callable(self.skip) else self.skip

    def name(self, call: Call) -> str:
        """What the result of *call* is called.

        Raises:
            TypeError: when it has no key.
        """
        return self._names(call)[0] if self.node is None else self.computation(call).name

    def computation(self, call: Call) -> Computation:
        """How the result of *call* is cached.

        Raises:
            TypeError: when it has no key, or a tag is no string.
            ImproperlyConfigured: when it is to depend on a model that the settings exclude.
        """
        name, key = self._names(call) if self.node is None else ("", digest(encode(self.identity)))
        tags, also = ((), ()) if self.tags is None else self._flat(self.tags(call))
        computation = Computation(
            key=entry_key("f", key),
            label=self.label,
            name=name,
            timeout=self.timeout,
            grace=self.grace,
            tags=tags,
            also=(*declared(self.label, self.depends_on or ()), *also),
            is_declared=self.depends_on is not None,
            result_tags=None if self.result_tags is None else partial(self._result_tags, call),
            refresh_later=partial(self._refresh_later, call) if _has_tasks() else None,
        )
        return computation if self.node is None else _name(call, self.node).named(computation)

    def _names(self, call: Call) -> tuple[str, str]:
        if self.key is None:
            named = name_arguments(self.label, call)
            return describe(self.label, named), digest(encode([self.identity, *named.items()]))
        text = self.key(call)
        if not isinstance(text, str) or not text:  # type: ignore[redundant-expr]
            raise TypeError(f"key= of {self.label} gave {text!r}, where it takes a text that is not empty.")
        text = str.__str__(text)
        return text.encode("utf-8", "backslashreplace").decode(), digest(encode([self.identity, text]))

    def _result_tags(self, call: Call, result: Any) -> tuple[str, ...]:
        assert self.result_tags is not None  # noqa: S101
        tags, also = self._flat(self.result_tags(call, result))
        if also:
            raise TypeError(
                f"tags= of {self.label} gave rows of a model to depend on after the call. They must be known before: "
                f"tags=lambda call: ..."
            )
        return tags

    def _flat(self, given: Any) -> tuple[tuple[str, ...], tuple[Named, ...]]:
        return flat_tags(given, by=f"tags= of {self.label}")

    def _refresh_later(self, call: Call, lease: bytes) -> bool:
        from everfresh.functions.refreshing import enqueue, find

        path = f"{self.function.__module__}:{self.function.__qualname__}"
        return getattr(find(path), "_recipe", None) is self and enqueue(path, arguments(call), lease)


def declared(label: str, depends_on: Iterable[ModelName]) -> Iterator[Named]:
    """The clauses of what any write to one of the models makes stale that *label* names in its ``depends_on=``.

    Raises:
        ImproperlyConfigured: when the settings exclude one of them.
    """
    for given in depends_on:
        model = apps.get_model(given) if isinstance(given, str) else given
        try:
            clauses = any_write([model], router.db_for_read(model))
        except Uncacheable as refusal:
            raise ImproperlyConfigured(
                f"depends_on= of {label} names {model._meta.label}: {refusal.reason}. Take it out of "
                f"EVERFRESH['EXCLUDE'] and MODELS, or out of depends_on."
            ) from None
        yield from clauses.named(tag_names(clauses.names))


def _name(call: Call, node: Callable[[Call], Name]) -> Name:
    """What *node* gives for *call*, which is asked for it once."""
    if call._name is None:
        call._name = node(call)
    name: Name = call._name
    return name


def _has_tasks() -> bool:
    return settings().refresh_tasks is not None and django.VERSION >= (6, 0)


def _gives(tags: Any) -> Callable[[Call], Any] | None:
    if tags is None or callable(tags):
        return tags  # type: ignore[no-any-return]
    kept = tags if isinstance(tags, str) or not isinstance(tags, Iterable) else tuple(tags)
    return lambda _call: kept


def _takes_two(function: Callable[..., Any]) -> bool:
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    needed = [
        each
        for each in signature_of(function).parameters.values()
        if each.kind in positional and each.default is Parameter.empty
    ]
    return len(needed) > 1
