"""``{% fragment %}`` for contenders that have none: what is inside is rendered."""

from __future__ import annotations

from typing import Any

from django import template

register = template.Library()


class Fragment(template.Node):
    """What is inside."""

    def __init__(self, nodelist: template.NodeList) -> None:
        self.nodelist = nodelist

    def render(self, context: template.Context) -> Any:
        """Render it."""
        return self.nodelist.render(context)


@register.tag
def fragment(parser: template.base.Parser, _: template.base.Token) -> Fragment:
    """Up to ``{% endfragment %}``."""
    nodelist = parser.parse(["endfragment"])
    parser.delete_first_token()
    return Fragment(nodelist)
