"""What the atlas asks of its tables. Nothing here but ``.cache()`` knows of a cache.

Countries are cached by the settings, whatever the query. Lists of cities are cached where ``.cache()`` says so, and
``get()``, ``count()``, ``exists()`` and ``aggregate()`` of cities by the settings again.
"""

from typing import Any

from django.db.models import Count, Max, Prefetch, Q, Sum
from django.http import HttpRequest

from example.atlas import pages
from example.atlas.models import City, Continent, Country

MILLION = 1_000_000


def country_page(iso: str) -> dict[str, Any]:
    """A country, its continent and its numbers."""
    country = Country.objects.select_related("continent").get(iso=iso)
    return {
        "country": country,
        "neighbours": country.neighbours.count(),
        "cities": country.cities.count(),
        "large cities": country.cities.filter(population__gte=MILLION).count(),
    }


def city_page(pk: int) -> City | None:
    """One city."""
    try:
        return City.objects.get(pk=pk)
    except City.DoesNotExist:
        return None


def country_card(iso3: str) -> dict[str, Any]:
    """A published country by its other code, and what a method of its own computes."""
    country = Country.cached.get(iso3=iso3)
    return {"country": country, "urban": country.urban_share()}


def continents() -> list[Continent]:
    """All of them."""
    return list(Continent.cached.all())


def city_cards(iso: str) -> list[City]:
    """The fifty largest cities of a country and the country itself, each from an entry of its own row."""
    cities = City.objects.filter(country=iso).select_related("country")
    return list(cities.order_by("-population", "id")[:50].cache(rows=True))


def top_cities(iso: str) -> list[City]:
    """The ten largest cities of a country."""
    return list(City.objects.filter(country=iso).order_by("-population", "id")[:10].cache())


def cities_called(name: str) -> list[City]:
    """All cities of a name, each with its country."""
    return list(City.objects.filter(name=name).select_related("country").order_by("id").cache())


def cities_next_door(iso: str) -> list[City]:
    """The cities of a million people and more in the countries around this one."""
    cities = City.objects.filter(country__neighbours=iso, population__gte=MILLION)
    return list(cities.order_by("-population", "id").cache())


def urban_population(iso: str) -> dict[str, Any]:
    """How many people live in the cities of a country."""
    return City.objects.filter(country=iso).aggregate(
        people=Sum("population"), largest=Max("population"), capitals=Count("id", filter=Q(is_capital=True))
    )


def has_metropolis(iso: str) -> bool:
    """Has a country a city of ten million people?"""
    return City.objects.filter(country=iso, population__gte=10 * MILLION).exists()


def timezones(iso: str) -> list[str]:
    """The time zones of a country."""
    zones = City.objects.filter(country=iso).values_list("timezone", flat=True)
    return list(zones.distinct().order_by("timezone").cache())


def continent_table(code: str) -> list[dict[str, Any]]:
    """The countries of a continent with numbers that the database computes."""
    countries = Country.objects.filter(continent=code)
    countries = countries.annotate(towns=Count("cities"), urban=Sum("cities__population"))
    return list(countries.order_by("name").values("name", "population", "towns", "urban"))


def continent_map(code: str) -> dict[str, Any]:
    """A continent, its countries, their neighbours and their capitals."""
    capitals = Prefetch("cities", City.objects.filter(is_capital=True).order_by("id"), to_attr="capitals")
    neighbours = Prefetch("neighbours", Country.objects.order_by("name"))
    countries = Country.objects.filter(continent=code).prefetch_related(neighbours, capitals)
    return {"continent": Continent.objects.get(code=code), "countries": list(countries.order_by("name").cache())}


def continent_html(code: str) -> str:
    """The page of a continent, of fragments in fragments."""
    return pages.continent(HttpRequest(), code).content.decode()
