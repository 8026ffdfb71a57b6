"""Calls of functions: what a function is called, what it was given, and what a call is called.

A *label* is for people and for what is said of all results of a function; an *identity* tells functions apart in keys.
A *name* is for people too: it is by names that results are listed and found.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from inspect import BoundArguments, Parameter, Signature, signature
from types import CodeType, FunctionType
from typing import Any

from everfresh.exceptions import Unencodable
from everfresh.given import as_given, canonical, note_given
from everfresh.keys import digest, encode
from everfresh.queries.classes import class_path

__all__ = [
    "Arguments",
    "Call",
    "arguments",
    "describe",
    "identify",
    "name_arguments",
    "noted_arguments",
    "signature_of",
]

_LONGEST = 200
"""Characters of a name."""


class Call:
    """What a function was called with: each argument by its name, those left out too.

    ``call.self``, ``call.limit``; what ``*args`` and ``**kwargs`` take is under their names. In a function without
    them, ``call.args`` and ``call.kwargs`` are all that the function is given.

    Source: cacheme's container (CE-1).
    """

    __slots__ = ("_bound", "_name")

    def __init__(self, bound: BoundArguments) -> None:
        bound.apply_defaults()
        self._bound = bound
        self._name: Any = None

    def __getattr__(self, name: str) -> Any:
        bound: BoundArguments = object.__getattribute__(self, "_bound")
        if name in bound.arguments:
            return bound.arguments[name]
        if name in ("args", "kwargs"):
            return getattr(bound, name)
        raise AttributeError(f"The call has no argument {name!r}: it has {', '.join(bound.arguments) or 'none'}.")

    def __repr__(self) -> str:
        return f"<Call {', '.join(f'{name}={value!r}' for name, value in self._bound.arguments.items())}>"


Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]
"""Those by position, and those by name."""


def arguments(call: Call) -> Arguments:
    """What the function was called with."""
    return call._bound.args, call._bound.kwargs


def noted_arguments(call: Call) -> Arguments:
    """What to compute with while a recording runs, which depends on the rows among it from here on."""
    args, kwargs = arguments(call)
    note_given([args, kwargs])
    return tuple(map(as_given, args)), {name: as_given(value) for name, value in kwargs.items()}


def name_arguments(label: str, call: Call) -> dict[str, Any]:
    """What names the arguments of *call* in a key.

    Raises:
        TypeError: for one that has no name; it says which, and what to do.
    """
    named: dict[str, Any] = {}
    parameters = call._bound.signature.parameters
    for name, value in call._bound.arguments.items():
        # What is given by name is given in any order.
        by_name = parameters[name].kind is Parameter.VAR_KEYWORD
        try:
            named[name] = canonical(dict(sorted(value.items())) if by_name else value)
            encode(named[name])
        except Unencodable as error:
            raise TypeError(
                f"{label}() cannot be cached by its argument {name!r}: it is, or holds, {error}, which has no stable "
                f"key. Say what tells the calls apart: memoize(key=lambda call: ...)."
            ) from None
    return named


# Functions


def signature_of(function: Callable[..., Any]) -> Signature:
    """The parameters of *function*."""
    if sys.version_info >= (3, 14):
        # Annotations are evaluated when they are asked for, and may name what only type checkers import.
        from annotationlib import Format

        return signature(function, annotation_format=Format.FORWARDREF)
    return signature(function)


def identify(function: Callable[..., Any]) -> tuple[str, Any]:
    """The label of *function*, and its identity, which `everfresh.keys.encode` takes.

    Of a function inside another one there may be many. They are told apart by what they are made of, and by those of
    their free variables that have a name in keys. What a decorator has made is one of them, whatever it is called.
    """
    module, qualname = function.__module__, function.__qualname__
    label = f"{module}.{qualname}"
    if isinstance(owner := getattr(function, "__self__", None), type):
        # A class method, which its subclasses have under the same name.
        return label, (module, qualname, class_path(owner))
    if not isinstance(function, FunctionType) or "<" not in qualname + function.__code__.co_qualname:
        return label, (module, qualname)
    free = dict(_free_variables(function, frozenset()))
    identity = (module, qualname, _code(function.__code__), *free.items())
    return describe(label, free) if free and "<" in qualname else label, identity


def _free_variables(function: FunctionType, seen: frozenset[int]) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            # Not assigned yet, as the function itself.
            continue
        # What stands in the place of a function, as a memoized one, is told by the function.
        inner = value if isinstance(value, FunctionType) else getattr(value, "__wrapped__", value)
        if isinstance(inner, FunctionType):
            if id(inner) not in seen:
                free = tuple(_free_variables(inner, seen | {id(inner)}))
                yield name, ("function", f"{inner.__module__}.{inner.__qualname__}", _code(inner.__code__), *free)
            continue
        try:
            named = canonical(value)
            encode(named)
        except Unencodable as error:
            raise TypeError(
                f"{function.__module__}.{function.__qualname__}() uses {name!r} of the function around it, which is, "
                f"or holds, {error}: nothing in its keys would tell it from others made there. Give it a label= of its "
                f"own."
            ) from None
        yield name, named


def _code(code: CodeType) -> str:
    return digest(encode([code.co_code, list(code.co_names), [_constant(each) for each in code.co_consts]]))


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return "code", _code(value)
    try:
        return canonical(value)
    except Unencodable:
        # An ellipsis or a slice, by itself or in a tuple.
        return repr(value)


# Words


def describe(label: str, named: Mapping[str, Any]) -> str:
    """A call in words: short, printable, and as a rule unlike any other's.

    Args:
        label: the function's.
        named: the arguments, as `canonical` names them.
    """
    words = f"{label}({', '.join(f'{name}={_words(value)}' for name, value in named.items())})"
    if len(words) <= _LONGEST:
        return words
    unlike = digest(encode([label, *named.items()]))
    return f"{words[: _LONGEST - len(unlike) - 1]}~{unlike}"


def _words(named: Any) -> str:
    kind = type(named)
    if kind is not tuple:
        if issubclass(kind, Enum):
            return f"{kind.__name__}.{named._name_}"
        if kind is memoryview:
            return f"memoryview~{digest(encode(named))}"
        return repr(named) if kind in _LITERALS else str(named)
    word, *items = named
    if word == "row":
        return f"{items[1]} {', '.join(map(_words, items[3:]))}"
    if word == "class":
        return str(items[0])
    if word == "safe":
        # As the text, so that who invalidates by name need not know which of the two a template has passed.
        return repr(items[0])
    if word in _BRACKETS:
        opening, closing = _BRACKETS[word]
        return f"{opening}{', '.join(map(_words, items))}{closing}"
    if word == "builtins.dict":
        pairs = zip(items[::2], items[1::2], strict=True)
        return f"{{{', '.join(f'{_words(key)}: {_words(value)}' for key, value in pairs)}}}"
    return f"{word}~{digest(encode(named))}"


_LITERALS = frozenset({bool, bytes, float, int, str, type(None)})
_BRACKETS = {"list": ("[", "]"), "tuple": ("(", ")"), "set": ("{", "}"), "frozenset": ("{", "}")}
