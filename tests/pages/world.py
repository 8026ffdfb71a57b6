"""A small atlas, its pages, and every way to change it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.test import Client

from example.atlas.models import City, Continent, Country

__all__ = ["FEW_ROWS", "FIRST", "PAGES", "WRITES", "cities", "fill", "show", "write"]

CONTINENTS = ("EU", "AS")
COUNTRIES = ("NL", "BE", "JP", "KR", "XX")
FIRST = 10**9
"""Keys from here on are given by us, where no sequence of the database gets to."""

NAMES = ("Aa", "<b>", "Ω & co", "x" * 30)
PAGES = ("/", *(f"/continents/{code}/" for code in CONTINENTS), *(f"/countries/{iso}/" for iso in COUNTRIES))


def fill() -> None:
    """Two continents, four countries and eight cities; one country more is known by its code."""
    with transaction.atomic():
        for model in (City, Country, Continent):
            model.objects.all().delete()
        for code in CONTINENTS:
            Continent.objects.create(code=code, name=f"Continent {code}")
        for at, iso in enumerate(COUNTRIES[:4]):
            country(iso, CONTINENTS[at // 2])
        for at in range(8):
            city(pk=FIRST + at + 1, country_id=COUNTRIES[at % 4], population=1000 * (at + 1)).save()
        Country.objects.get(iso="NL").neighbours.add("BE")


def country(iso: str, continent: str) -> Country:
    """A new one."""
    return Country.objects.create(
        iso=iso, iso3=f"{iso}X", name=f"Country {iso}", capital="C", continent_id=continent, population=10000, area=1
    )


def city(**columns: Any) -> City:
    """One that is not saved."""
    plain = {"name": f"City {columns.get('pk')}", "timezone": "UTC", "latitude": 0, "longitude": 0, "population": 100}
    return City(**{**plain, **columns})


def show(client: Client, page: str) -> tuple[int, str]:
    """The status and the text of a page."""
    response = client.get(page)
    return response.status_code, response.content.decode()


def cities() -> list[City]:
    """All, as somebody who changes them reads them: not from the cache."""
    return list(City.objects.order_by("pk").nocache())


# Each write is called with dice, and does nothing where there is nothing to write to.

Write = Callable[[random.Random], object]


def _city(dice: random.Random) -> City | None:
    found = cities()
    return dice.choice(found) if found else None


def _iso(dice: random.Random) -> str | None:
    found = list(Country.objects.order_by("pk").values_list("pk", flat=True).nocache())
    return dice.choice(found) if found else None


def _country(dice: random.Random) -> Country | None:
    return Country.objects.nocache().filter(pk=_iso(dice)).first()


def save_city(dice: random.Random) -> None:
    """``save()``, of all columns or of one."""
    if found := _city(dice):
        found.population = dice.randint(0, 9999)
        found.name = dice.choice([found.name, *NAMES])
        found.save(update_fields=dice.choice([None, ["population"]]))


def save_deferred(dice: random.Random) -> None:
    """``save()`` of an instance that was loaded in part."""
    found = City.objects.only("name").nocache().order_by("name", "pk").first()
    if found:
        found.name = dice.choice(NAMES)
        found.save()


def move_city(dice: random.Random) -> None:
    """Into another country."""
    if (found := _city(dice)) and (iso := _iso(dice)):
        found.country_id = iso
        found.save()


def change_key(dice: random.Random) -> None:
    """The primary key of a city is another one."""
    if found := _city(dice):
        City.objects.filter(pk=found.pk).update(id=found.pk + 100 + dice.randint(0, 1000000))


def make_capital(dice: random.Random) -> None:
    """``update()`` of one row."""
    if found := _city(dice):
        City.objects.filter(pk=found.pk).update(is_capital=not found.is_capital)


def grow(dice: random.Random) -> None:
    """``update(F())`` over a relation."""
    City.objects.filter(country__continent=dice.choice(CONTINENTS)).update(population=F("population") + 1)


def bulk_create(dice: random.Random) -> None:
    """Several at once."""
    if iso := _iso(dice):
        City.objects.bulk_create([city(name=name, country_id=iso, population=dice.randint(0, 5000)) for name in NAMES])


def upsert(dice: random.Random) -> None:
    """``bulk_create(update_conflicts)``: rows that come or change."""
    if found := _city(dice):
        new = [city(pk=pk, country_id=found.country_id, name=dice.choice(NAMES)) for pk in (found.pk, FIRST + 77)]
        target = {} if connection.vendor == "mysql" else {"unique_fields": ["id"]}
        City.objects.bulk_create(new, update_conflicts=True, update_fields=["name", "country"], **target)


def bulk_update(dice: random.Random) -> None:
    """Several at once, to different values."""
    found = cities()
    for each in found:
        each.population = dice.randint(0, 9999)
        each.timezone = dice.choice(["UTC", "CET"])
    City.objects.bulk_update(dice.sample(found, len(found) // 2), ["population", "timezone"])


def found_city(dice: random.Random) -> None:
    """``create()`` by a relation."""
    if found := _country(dice):
        found.cities.create(name="New", population=dice.randint(0, 9999), timezone="CET", latitude=0, longitude=0)


def delete_city(dice: random.Random) -> None:
    """``delete()`` of an instance."""
    if found := _city(dice):
        found.delete()


def delete_cities(dice: random.Random) -> None:
    """``delete()`` of a queryset."""
    City.objects.filter(population__lt=dice.randint(0, 3000)).delete()


def delete_country(dice: random.Random) -> None:
    """With its cities and borders, by cascade."""
    Country.objects.filter(pk=_iso(dice)).delete()


def create_country(dice: random.Random) -> None:
    """One whose code is free, by whatever way."""
    free = sorted(set(COUNTRIES) - set(Country.objects.values_list("pk", flat=True).nocache()))
    if free and Continent.objects.nocache().exists():
        code = dice.choice(list(Continent.objects.order_by("pk").values_list("pk", flat=True).nocache()))
        country(dice.choice(free), code)


def rename_country(dice: random.Random) -> None:
    """``save()``, and another order on the page of its continent."""
    if found := _country(dice):
        found.name = f"{dice.choice(NAMES)}{found.pk}"
        found.languages = dice.choice([[], ["nl"], ["nl", "fr"]])
        found.save()


def move_country(dice: random.Random) -> None:
    """To the other continent, by the relation's manager."""
    target = Continent.objects.nocache().filter(pk=dice.choice(CONTINENTS)).first()
    if target and (found := _country(dice)):
        target.countries.add(found, bulk=dice.choice([True, False]))


def count_country(dice: random.Random) -> None:
    """``update()`` of what no list is ordered by."""
    Country.objects.filter(pk=_iso(dice)).update(population=dice.randint(1, 99999))


def rename_continent(dice: random.Random) -> None:
    """``save()`` of what is published whole."""
    if found := Continent.objects.nocache().filter(pk=dice.choice(CONTINENTS)).first():
        found.name = dice.choice(NAMES)[:20]
        found.save()


def toggle_continent(dice: random.Random) -> None:
    """A continent comes, or goes with all its countries."""
    code = dice.choice(CONTINENTS)
    if dice.random() < 0.5:
        Continent.objects.get_or_create(code=code, defaults={"name": code})
    else:
        Country.objects.filter(continent=code).delete()
        Continent.objects.filter(pk=code).delete()


def change_borders(dice: random.Random) -> None:
    """``add()``, ``remove()``, ``set()``, ``clear()``."""
    one, other = _country(dice), _country(dice)
    if one and other:
        match dice.randint(0, 3):
            case 0:
                one.neighbours.add(other)
            case 1:
                one.neighbours.remove(other)
            case 2:
                one.neighbours.set([other])
            case _:
                one.neighbours.clear()


def by_hand(dice: random.Random) -> None:
    """SQL."""
    with connection.cursor() as cursor:
        match dice.randint(0, 2):
            case 0:
                cursor.execute("UPDATE atlas_city SET name = %s WHERE population > %s", ["sql", dice.randint(0, 9999)])
            case 1:
                cursor.execute("DELETE FROM atlas_city WHERE population > %s", [dice.randint(4000, 9999)])
            case _:
                cursor.executemany("UPDATE atlas_country SET population = %s WHERE iso = %s", [(7, "NL"), (8, "JP")])


def swap(dice: random.Random) -> None:
    """Two cities change places, each of them by a write of its own."""
    found = cities()
    if len(found) > 1:
        one, other = dice.sample(found, 2)
        for each, like in ((one, other), (other, one)):
            City.objects.filter(pk=each.pk).update(country_id=like.country_id, name=like.name)


WRITES: dict[str, Write] = {
    each.__name__: each
    for each in (
        save_city,
        save_deferred,
        move_city,
        change_key,
        make_capital,
        grow,
        bulk_create,
        upsert,
        bulk_update,
        found_city,
        delete_city,
        delete_cities,
        delete_country,
        create_country,
        rename_country,
        move_country,
        count_country,
        rename_continent,
        toggle_continent,
        change_borders,
        by_hand,
        swap,
    )
}

FEW_ROWS = ["save_city", "save_deferred", "make_capital", "found_city", "delete_city", "count_country", "move_city"]
"""Those that most pages have nothing to do with."""


def write(name: str, seed: int) -> None:
    """Do one of `WRITES`; the same *seed* on the same rows is the same write."""
    WRITES[name](random.Random(seed))
