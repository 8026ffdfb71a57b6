"""What the templates of the atlas ask for by themselves."""

from django import template
from django.utils.html import format_html

from example.atlas import pages

register = template.Library()
register.filter("totals", pages.totals)
register.filter("ranking", pages.ranking)
register.simple_tag(pages.blurb, name="blurb")


@register.filter
def largest(country):
    """The largest cities of a country."""
    return country.cities.order_by("-population", "id")[: pages.LARGEST]


@register.filter
def strong(text):
    """Text that stands out."""
    return format_html("<strong>{}</strong>", text)
