"""The pages of the atlas. What they show is remembered in parts, and nothing here says what any part depends on."""

from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from everfresh import memoize, memoize_view
from example.atlas.models import City, Continent, Country

LARGEST = 5
"""Cities of the world on its page, and of a country on the page of its continent."""


@memoize
def totals(country):
    """How many cities a country has, and how many people live in them."""
    found = country.cities.aggregate(cities=Count("pk"), people=Sum("population"))
    return {"cities": found["cities"], "people": found["people"] or 0}


@memoize
def ranking(continent):
    """The countries of a continent, the most people in cities first: names and numbers."""
    counted = [(country.name, totals(country)["people"]) for country in continent.countries.all()]
    return sorted(counted, key=lambda each: (-each[1], each[0]))


@memoize
def blurb(country):
    """A country in one sentence."""
    others = sorted(country.neighbours.values_list("name", flat=True))
    around = f"borders on {', '.join(others)}" if others else "has no neighbours"
    return f"{country.name} lies in {country.continent.name} and {around}."


@memoize_view()
def world(request: HttpRequest) -> HttpResponse:
    """All continents, and the largest cities of the world."""
    return render(
        request,
        "atlas/world.html",
        {
            "continents": Continent.objects.order_by("name", "code"),
            "table": Continent.objects.annotate(people=Sum("countries__population")).order_by("-people", "code"),
            "zones": City.objects.order_by("timezone").values("timezone").annotate(cities=Count("pk")),
            "largest": City.objects.select_related("country__continent").order_by("-population", "id")[:LARGEST],
        },
    )


def continent(request: HttpRequest, code: str) -> HttpResponse:
    """A continent, its countries, and their largest cities."""
    found = get_object_or_404(Continent, code=code)
    return render(
        request,
        "atlas/continent.html",
        {
            "continents": Continent.objects.order_by("name", "code"),
            "continent": found,
            "countries": found.countries.order_by("name"),
        },
    )


def country(request: HttpRequest, iso: str) -> HttpResponse:
    """A country with all that belongs to it, which is loaded before any fragment begins."""
    countries = Country.objects.select_related("continent").prefetch_related("neighbours", "cities")
    found = get_object_or_404(countries, iso=iso)
    return render(
        request,
        "atlas/country.html",
        {
            "continents": Continent.objects.order_by("name", "code"),
            "country": found,
            "names": list(found.cities.order_by("name", "pk").values_list("name", flat=True)),
            "neighbours": found.neighbours.count(),
        },
    )
