"""What changes in the atlas, by every way Django has to change it. Nothing here knows of a cache at all."""

from django.db import connection, transaction
from django.db.models import F

from example.atlas.models import City, Country


def count_city(pk: int, population: int) -> None:
    """The census counted one city: ``save()``."""
    city = City.objects.filter(pk=pk).first()
    if city is not None:
        city.population = population
        city.save()


def count_country(iso: str, population: int) -> None:
    """The census counted a country: ``save(update_fields=…)``."""
    country = Country.objects.get(iso=iso)
    country.population = population
    country.save(update_fields=["population"])


def grow_towns(iso: str, below: int) -> None:
    """The small towns of a country grew by a hundredth: ``update(F())``."""
    towns = City.objects.filter(country=iso, population__lt=below)
    towns.update(population=F("population") + F("population") / 100)


def count_largest(iso: str, percent: int) -> None:
    """The census counted the twenty largest cities of a country: ``bulk_update()``."""
    cities = list(City.objects.filter(country=iso).order_by("-population", "id")[:20])
    for city in cities:
        city.population = city.population * percent // 100
    City.objects.bulk_update(cities, ["population"])


def correct_timezone(old: str, new: str) -> None:
    """A time zone was renamed: SQL by hand."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE atlas_city SET timezone = %s WHERE timezone = %s", [new, old])


def found_town(iso: str, name: str, population: int) -> None:
    """A new town: ``create()``."""
    country = Country.objects.get(iso=iso)
    country.cities.create(name=name, population=population, timezone="UTC", latitude=0, longitude=0)


def merge_town(pk: int) -> None:
    """A town became a part of its country's largest city: ``delete()`` and ``save()``, both or neither."""
    with transaction.atomic():
        town = City.objects.select_for_update().filter(pk=pk, is_capital=False).first()
        if town is None:
            return
        others = City.objects.select_for_update().filter(country=town.country_id).exclude(pk=pk)
        largest = others.order_by("-population", "id").first()
        if largest is not None:
            largest.population += town.population
            largest.save(update_fields=["population"])
            town.delete()


def toggle_border(iso: str, other: str) -> None:
    """Two countries became neighbours, or ceased to be: ``add()`` and ``remove()``."""
    country = Country.objects.get(iso=iso)
    neighbour = Country.objects.get(iso=other)
    if country.neighbours.filter(pk=neighbour.pk).exists():
        country.neighbours.remove(neighbour)
    else:
        country.neighbours.add(neighbour)
