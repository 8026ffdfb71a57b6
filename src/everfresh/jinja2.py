"""Template fragments for Jinja2: ``extensions=["everfresh.jinja2.FragmentExtension"]``.

Jinja2 resolves names when it compiles a template, so what a fragment uses from outside is read off its text: every name
in it, and in what it includes, that it does not bind itself. The rest is as in Django's templates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from jinja2 import Environment, TemplateNotFound, TemplateSyntaxError, Undefined, nodes
from jinja2.ext import Extension
from jinja2.meta import find_referenced_templates, find_undeclared_variables
from jinja2.parser import Parser
from jinja2.runtime import Context

from everfresh.fragments import MISSING, Fragment, Note, Wanted, lifetime, render, texts
from everfresh.keys import digest, encode

__all__ = ["FragmentExtension"]

_OPTIONS = ("timeout", "grace", "tags", "depends_on", "using", "any_language", "any_timezone")
_OWN = frozenset({"caller", "kwargs", "self", "super", "varargs"})
"""Names that Jinja2 itself gives to a block or a macro."""

_GLOBAL = "everfresh.jinja2: what the environment gives to every template"
"""In place of its value, which need not have a name: it is as much the template's own as its text."""

_ANYTHING = "*"
"""In place of names that only the rendering can tell."""


_texts: WeakKeyDictionary[Environment, dict[str, tuple[str, str, Callable[[], bool]]]] = WeakKeyDictionary()
"""The texts that were included, by environment and name: each with its digest, and whether it is still the same."""


def _always() -> bool:
    return True


class FragmentExtension(Extension):
    """The tag ``fragment``.

    Usage::

        {% fragment "city", city, timeout=600 %}
            {{ city.name }}: {% for museum in city.museums.all() %}{{ museum }} {% endfor %}
        {% endfragment %}

    After the name come the values that it varies by, and the options of the tag for Django's templates, with values:
    ``any_language=true``. Dependencies record themselves; what is used from outside is found out.
    """

    tags = {"fragment"}

    def parse(self, parser: Parser) -> nodes.Node:
        """The call that renders the fragment, with its body as a macro of the names that it uses from outside."""
        line = next(parser.stream).lineno
        if self.environment.is_async:
            parser.fail("A fragment cannot be rendered where enable_async is on.", line)
        given = list(_arguments(parser))
        if not given or given[0][0] or not isinstance(given[0][1], nodes.Const):
            parser.fail('A fragment needs a name, as in {% fragment "city", city %}.', line)
        name = str(given[0][1].value)
        vary = [value for keyword, value in given[1:] if not keyword]
        options = {keyword: value for keyword, value in given if keyword}
        if unknown := sorted(options.keys() - {*_OPTIONS}):
            parser.fail(f"A fragment takes {', '.join(_OPTIONS)}, not {unknown[0]}.", line)
        body = parser.parse_statements(("name:endfragment",), drop_needle=True)
        for block in nodes.Template(body).find_all(nodes.Block):
            parser.fail(
                f"The fragment {name!r} holds the block {block.name!r}, which each page may fill in its own way. "
                "Write the fragment inside of the block.",
                line,
            )
        names, source, included = self._used(body)
        fragment = {
            "name": name,
            "source": digest(encode((parser.name or "", repr(given), source))),
            "included": included,
            "answered": sorted({each.name for value in vary for each in _names_in(value)}),
        }
        used = [nodes.Name(each, "load", lineno=line) for each in names if each != _ANYTHING]
        call = self.call_method(
            "_render",
            [
                nodes.ContextReference(),
                nodes.Const(fragment),
                nodes.List(vary),
                nodes.Dict([nodes.Pair(nodes.Const(keyword), value) for keyword, value in options.items()]),
                nodes.Const(_ANYTHING in names),
                nodes.Dict([nodes.Pair(nodes.Const(each.name), each) for each in used]),
            ],
            lineno=line,
        )
        parameters = [nodes.Name(each.name, "param", lineno=line) for each in used]
        return nodes.CallBlock(call, parameters, [], body, lineno=line)

    def _used(self, body: list[nodes.Node]) -> tuple[list[str], str, dict[str, str]]:
        """The names that *body* uses from outside, sorted; its text; and the texts of what it includes, as digests."""
        # Without globals, for one that a context overrides is a name like any other.
        bare = self.environment.overlay()
        bare.globals = {}
        names: set[str] = set()
        included: dict[str, str] = {}
        whole = nodes.Template(body, lineno=1)
        whole.set_environment(bare)
        left = [whole]
        while left:
            tree = left.pop()
            names |= find_undeclared_variables(tree)
            for each in find_referenced_templates(tree):
                if each is None:
                    names.add(_ANYTHING)
                elif each not in included and self.environment.loader is not None:
                    text, included[each] = self._text(each)
                    left.append(bare.parse(text, each))
        return sorted(names - _OWN), repr(whole), included

    def _text(self, place: str) -> tuple[str, str]:
        """The text of a template as it is now, and a digest of it; both are empty where there is none."""
        assert self.environment.loader is not None  # noqa: S101
        text, digested, is_current = _texts.setdefault(self.environment, {}).get(place, ("", "", bool))
        if not is_current():
            try:
                text, _, up_to_date = self.environment.loader.get_source(self.environment, place)
            except TemplateNotFound:
                return "", ""
            digested = digest(encode(text))
            is_current = (self.environment.auto_reload and up_to_date) or _always
            _texts[self.environment][place] = text, digested, is_current
        return text, digested

    def _render(
        self,
        context: Context,
        fragment: Mapping[str, Any],
        vary: list[Any],
        options: Mapping[str, Any],
        uses_anything: bool,
        used: Mapping[str, Any],
        caller: Callable[..., str],
    ) -> str:
        given = {name: _known(value) for name, value in options.items()}
        try:
            wanted = Wanted(
                vary=tuple(map(_known, vary)),
                timeout=lifetime(given.get("timeout")),
                grace=lifetime(given.get("grace")),
                tags=texts(given.get("tags")),
                depends_on=texts(given.get("depends_on")),
                using=str(given.get("using") or ""),
                surroundings=("jinja2", bool(context.eval_ctx.autoescape)),
            )
        except (TypeError, ValueError) as error:
            raise TemplateSyntaxError(f"The fragment {fragment['name']!r} got {error}", 1, context.name) from error
        included = fragment["included"]
        # Loaders of compiled templates have no texts; one who has no texts has none that change.
        with suppress(RuntimeError):
            included = {place: self._text(place)[1] for place in included}
        # One that was changed after this template was compiled: nobody has looked at which names it uses.
        uses_anything = uses_anything or included != fragment["included"]
        whole = Fragment(
            name=fragment["name"],
            source=digest(encode((fragment["source"], included))),
            answered=frozenset(fragment["answered"]),
            by_language=not given.get("any_language"),
            by_time_zone=not given.get("any_timezone"),
        )
        return render(whole, wanted, _Names(context, used, caller, uses_anything=uses_anything))


class _Names:
    """What is around a fragment (see `everfresh.fragments.Surroundings`): the names that its text uses."""

    def __init__(
        self, context: Context, used: Mapping[str, Any], caller: Callable[..., str], *, uses_anything: bool
    ) -> None:
        self._globals = context.environment.globals
        self._used = used
        self._caller = caller
        self._uses_anything = uses_anything

    def get(self, name: str) -> Any:
        """What *name* stands for around the fragment."""
        value = self._used.get(name, MISSING)
        if value is not MISSING and value is self._globals.get(name, MISSING):
            return _GLOBAL
        return MISSING if isinstance(value, Undefined) else value

    def render(self, note: Note | None) -> str:
        """Render the body with the values that *note* gives."""
        values = dict(self._used)
        if note is not None:
            if self._uses_anything:
                note(_ANYTHING, _AnyName())
            for name in values:
                known = self.get(name)
                instead = note(name, known)
                if known is not MISSING and known is not _GLOBAL:
                    values[name] = instead
        return self._caller(*values.values())


class _AnyName:
    """Whatever a template uses whose name is not known before."""


def _arguments(parser: Parser) -> Iterator[tuple[str, nodes.Expr]]:
    """What stands in the tag: each keyword, or an empty one, and its expression."""
    while parser.stream.current.type != "block_end":
        keyword = ""
        if parser.stream.current.type == "name" and parser.stream.look().type == "assign":
            keyword = parser.stream.expect("name").value
            parser.stream.skip()
        yield keyword, parser.parse_expression()
        if not parser.stream.skip_if("comma"):
            break


def _names_in(value: nodes.Expr) -> Iterator[nodes.Name]:
    if isinstance(value, nodes.Name):
        yield value
    yield from value.find_all(nodes.Name)


def _known(value: Any) -> Any:
    return None if isinstance(value, Undefined) else value
