"""Classes with declared fields and a key made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = ["Declared", "Field"]


class Field:
    """One thing that a node's key is made of: an argument of the class, and an attribute of its instances."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        # Instances have the value in their own dictionary; what is asked of the class is the field.
        return self


class Declared:
    """What nodes of all kinds have in common.

    Fields and the options of ``class Meta`` are inherited, one by one, from however many parents. ``name = None`` takes
    an inherited field away. A class whose own Meta says ``abstract = True`` is there to be inherited from.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _options: ClassVar[Mapping[str, Any]] = {}
    _known_options: ClassVar[frozenset[str]] = frozenset({"abstract"})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        names = dict.fromkeys(name for each in reversed(cls.__mro__) for name in vars(each))
        cls._fields = tuple(name for name in names if isinstance(getattr(cls, name, None), Field))
        for name in cls._fields:
            if any(not isinstance(vars(each).get(name), Field | None) for each in cls.__mro__):
                raise TypeError(f"A field of {cls.__name__} cannot be called {name!r}: that name is taken.")
        options: dict[str, Any] = {}
        for each in reversed(cls.__mro__):
            options |= _said_by(each)
        if unknown := options.keys() - cls._known_options:
            raise TypeError(
                f"The Meta of {cls.__name__} has no option {min(unknown)!r}; "
                f"it takes {', '.join(sorted(cls._known_options))}."
            )
        cls._options = options

    def __init__(self, **given: Any) -> None:
        for name in given:
            if name not in self._fields:
                raise TypeError(f"{type(self).__name__} has no field {name!r}; {self._has()}.")
        for name in self._fields:
            if name not in given:
                raise self._lacks(name)
        vars(self).update(given)

    def key(self) -> str:
        """The name, made of the values of the fields.

        Raises:
            NotImplementedError: where the class does not say how.
        """
        raise NotImplementedError(f"{type(self).__name__} has no key(): it is to return a string made of its fields.")

    def __str__(self) -> str:
        key = self.key()
        if not isinstance(key, str):
            raise TypeError(f"key() of {type(self).__name__} is to return a string, not {key!r}.")
        return key

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={vars(self)[name]!r}" for name in self._fields)
        return f"{type(self).__name__}({given})"

    def _lacks(self, name: str) -> TypeError:
        return TypeError(f"{type(self).__name__} needs a value for its field {name!r}; {self._has()}.")

    @classmethod
    def _has(cls) -> str:
        return f"its fields are {', '.join(cls._fields)}" if cls._fields else "it has none"


def _said_by(cls: type) -> dict[str, Any]:
    """The options of the class's own Meta, and of what that inherits; but a child of an abstract class is concrete."""
    meta = vars(cls).get("Meta")
    said = {name: getattr(meta, name) for name in dir(meta) if not name.startswith("_")} if meta else {}
    return {**said, "abstract": bool(meta) and vars(meta).get("abstract", False)}
