"""The tag of Everfresh without Everfresh: what is in it is rendered."""

from django import template

register = template.Library()


@register.tag
def fragment(parser, token):
    """Render the block."""
    nodelist = parser.parse((f"end{token.split_contents()[0]}",))
    parser.delete_first_token()
    return nodelist
