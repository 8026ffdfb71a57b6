"""``{% load cachesweeper_tags %}``: cache-sweeper's tag, over `everfresh.fragments`."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.models import Model
from django.template import Context, Library, Node, NodeList, TemplateSyntaxError, VariableDoesNotExist
from django.template.base import FilterExpression, Parser, Token, Variable

from everfresh.compat.cachesweeper.models import depend_on_rows, version_attribute
from everfresh.fragments import Fragment, Wanted, render
from everfresh.fragments.contexts import ContextAround, template_of
from everfresh.keys import digest, encode
from everfresh.templatetags.everfresh import parse_body, roots, surroundings

__all__ = ["CacheSweeperNode", "register"]

register = Library()


@register.tag
def cachesweeper(parser: Parser, token: Token) -> CacheSweeperNode:
    """Keep what the block renders to until the record is swept, or anything changes that it shows.

    Usage::

        {% load cachesweeper_tags %}
        {% cachesweeper comment 500 "detail" user.pk %}
            {{ comment }} has {{ comment.vote_set.count }} votes
        {% endcachesweeper %}

    ``using="updated_at"``, at the end: this attribute of the record is another one whenever the record is.

    Source: cache-sweeper's tag (CS-1).
    """
    tag, *bits = token.split_contents()
    using = None
    if bits and bits[-1].startswith("using="):
        using = parser.compile_filter(bits.pop().removeprefix("using="))
    if len(bits) < 3:
        raise TemplateSyntaxError(f"{tag!r} tag requires at least 3 arguments")
    model, seconds, *keys = map(parser.compile_filter, bits)
    nodelist, source = parse_body(parser, token, f"end{tag}")
    fragment = Fragment(
        name=tag,
        source=digest(encode((template_of(parser), source))),
        answered=frozenset(roots([model, *keys])),
    )
    return CacheSweeperNode(nodelist, fragment, model, seconds, keys, using)


class CacheSweeperNode(Node):
    """A fragment of a record in a template."""

    child_nodelists = ("nodelist",)

    def __init__(
        self,
        nodelist: NodeList,
        fragment: Fragment,
        model: FilterExpression,
        seconds: FilterExpression,
        keys: list[FilterExpression],
        using: FilterExpression | None,
    ) -> None:
        self.nodelist = nodelist
        self.fragment = fragment
        self.model = model
        self.seconds = seconds
        self.keys = keys
        self.using = using

    def render(self, context: Context) -> str:
        """What it renders to, from the cache where that is the same."""
        record = _known(self.model, context)
        if not isinstance(record, Model):
            raise TemplateSyntaxError(
                f'"cachesweeper" tag: model should be an instance of django.db.models.Model, got: {record!r}'
            )
        seconds = _known(self.seconds, context)
        if seconds is not None:
            try:
                seconds = int(seconds)
            except (TypeError, ValueError):
                raise TemplateSyntaxError(f'"cachesweeper" tag got a non-integer timeout value: {seconds!r}') from None
        keys = [each.resolve(context, ignore_failures=True) for each in self.keys]
        using = self.using.resolve(context) if self.using else version_attribute(record)
        try:
            wanted = Wanted(
                vary=(record, *keys),
                timeout=seconds,
                using=str.__str__(using or ""),
                surroundings=surroundings(context),
                before=None if using else partial(depend_on_rows, record),
            )
        except (TypeError, ValueError) as error:
            raise TemplateSyntaxError(f'"cachesweeper" tag got {error}') from error
        return render(self.fragment, wanted, ContextAround(context, self.nodelist))


def _known(expression: FilterExpression, context: Context) -> Any:
    """What *expression* stands for.

    Raises:
        TemplateSyntaxError: where it is no more than a variable that is not there.
    """
    if expression.filters or not isinstance(expression.var, Variable):
        return expression.resolve(context, ignore_failures=True)
    try:
        return expression.var.resolve(context)
    except VariableDoesNotExist:
        raise TemplateSyntaxError(f'"cachesweeper" tag got an unknown variable: {expression.var.var!r}') from None
