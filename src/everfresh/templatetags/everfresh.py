"""``{% load everfresh %}``: template fragments that are never stale."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.template import Context, Library, Node, NodeList, TemplateSyntaxError
from django.template.base import FilterExpression, Parser, Token, Variable
from django.template.loader_tags import BlockNode

from everfresh.fragments import Fragment, Wanted, lifetime, render, texts
from everfresh.fragments.contexts import ContextAround, namespace_of, template_of
from everfresh.keys import digest, encode

__all__ = ["FragmentNode", "parse_body", "register", "roots", "surroundings"]

register = Library()

_KEYWORD = re.compile(r"(\w+)=(.+)", re.DOTALL)
_NUMBER = re.compile(r"\d+(\.\d+)?|None")
_KEYWORDS = ("timeout", "grace", "tags", "depends_on", "using")
_FLAGS = ("any_language", "any_timezone")


@register.tag
def fragment(parser: Parser, token: Token) -> FragmentNode:
    """Keep what the block renders to until something that it shows changes.

    Usage::

        {% load everfresh %}
        {% fragment "city" city %}
            {{ city.name }}: {% for museum in city.museums.all %}{{ museum }} {% endfor %}
        {% endfragment %}

    After the name comes what it varies by: any number of expressions. A number or ``None`` directly after the name is
    the time in seconds that it may live at most; left out, it is for ever. ``timeout=`` takes an expression.

    ``grace=60``: for so many seconds an old rendering may be shown while another request renders it anew.
    ``tags=expression``: a name, or a list of names, for ``everfresh.invalidate_tags()``.
    ``depends_on=expression``: the label of a model, or a list of labels, whose every write drops it: for raw SQL.
    ``using="updated_at"``: the first of what it varies by is an instance, and this attribute of it changes whenever it
    does.
    ``any_language``, ``any_timezone``: it is the same in all languages, or in all time zones.

    Source: cache-sweeper's tag (CS-1), and Django's ``{% cache %}``.
    """
    tag, *bits = token.split_contents()
    if not bits:
        raise TemplateSyntaxError(f'{tag!r} tag requires a name, as in {{% {tag} "city" city %}}.')
    name, *bits = bits
    written = _Written(parser, tag)
    for at, bit in enumerate(bits):
        written.read(bit, is_first=at == 0)
    nodelist, source = parse_body(parser, token, f"end{tag}")
    return FragmentNode(
        nodelist,
        Fragment(
            name=name[1:-1] if name[0] in "\"'" and name[-1] == name[0] else name,
            source=digest(encode((template_of(parser), source))),
            answered=frozenset(roots(written.vary)),
            by_language="any_language" not in written.flags,
            by_time_zone="any_timezone" not in written.flags,
        ),
        written.vary,
        written.options,
    )


def parse_body(parser: Parser, token: Token, end: str) -> tuple[NodeList, tuple[object, ...]]:
    """The nodes up to the tag called *end*, and what tells their text from any other.

    Raises:
        TemplateSyntaxError: where a ``{% block %}`` is among them.
    """
    before = parser.tokens[:]
    nodelist = parser.parse((end,))
    parser.delete_first_token()
    for block in nodelist.get_nodes_by_type(BlockNode):
        # Its text is another one on each page that overrides it, and nothing here knows which.
        raise TemplateSyntaxError(
            f"{token.split_contents()[0]!r} tag holds the block {block.name!r}, which each page may fill in its own "  # type: ignore[attr-defined]
            "way. Write the fragment inside of the block."
        )
    body = before[len(parser.tokens) :]
    return nodelist, tuple((each.token_type.value, each.contents) for each in (*body, token))


@dataclass
class _Written:
    """What stands in a tag after its name."""

    parser: Parser
    tag: str
    vary: list[FilterExpression] = field(default_factory=list)
    options: dict[str, FilterExpression] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)

    def read(self, bit: str, *, is_first: bool) -> None:
        """Take the next one."""
        if bit in _FLAGS:
            self.flags.add(bit)
        elif is_first and _NUMBER.fullmatch(bit):
            self.options["timeout"] = self.parser.compile_filter(bit)
        elif found := _KEYWORD.fullmatch(bit):
            self._option(*found.groups())
        else:
            self.vary.append(self.parser.compile_filter(bit))

    def _option(self, name: str, value: str) -> None:
        if name not in _KEYWORDS:
            raise TemplateSyntaxError(f"{self.tag!r} tag got {name}=, but takes {', '.join(_KEYWORDS)}.")
        if name in self.options:
            raise TemplateSyntaxError(f"{self.tag!r} tag got {name} twice.")
        self.options[name] = self.parser.compile_filter(value)


def roots(expressions: Iterable[FilterExpression]) -> Iterator[str]:
    """The names that a tag speaks for by its expressions."""
    for expression in expressions:
        arguments = [argument for _, given in expression.filters for _, argument in given]
        for each in (expression.var, *arguments):
            if isinstance(each, Variable) and each.lookups:
                yield each.lookups[0]


class FragmentNode(Node):
    """A fragment in a template."""

    child_nodelists = ("nodelist",)

    def __init__(
        self,
        nodelist: NodeList,
        fragment: Fragment,
        vary: list[FilterExpression],
        options: dict[str, FilterExpression],
    ) -> None:
        self.nodelist = nodelist
        self.fragment = fragment
        self.vary = vary
        self.options = options

    def render(self, context: Context) -> str:
        """What it renders to, from the cache where that is the same."""
        given = {name: _resolve(expression, context) for name, expression in self.options.items()}
        vary = tuple(_resolve(each, context) for each in self.vary)
        try:
            wanted = Wanted(
                vary=vary,
                timeout=lifetime(given.get("timeout")),
                grace=lifetime(given.get("grace")),
                tags=texts(given.get("tags")),
                depends_on=texts(given.get("depends_on")),
                using=str.__str__(given.get("using") or ""),
                surroundings=surroundings(context),
            )
        except (TypeError, ValueError) as error:
            raise TemplateSyntaxError(f"'fragment' tag of {self.fragment.name!r} got {error}") from error
        return render(self.fragment, wanted, ContextAround(context, self.nodelist))


def surroundings(context: Context) -> tuple[object, ...]:
    """What tells the renderings of a template apart besides the names that it uses."""
    return "django", context.autoescape, context.use_l10n, context.use_tz, namespace_of(context)


def _resolve(expression: FilterExpression, context: Context) -> Any:
    return expression.resolve(context, ignore_failures=True)
