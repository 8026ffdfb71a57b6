"""Who asks what, how often: a seeded mix, the same in every run of the same size."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from example.atlas import reads, writes
from example.atlas.models import City, Continent, Country

Draw = Callable[["Places"], tuple[Any, ...]]


@dataclass(frozen=True)
class Operation:
    """One thing that somebody does."""

    kind: str
    function: Callable[..., object]
    arguments: tuple[Any, ...]
    writes: bool

    def perform(self) -> object:
        """Do it."""
        return self.function(*self.arguments)

    def __str__(self) -> str:
        return f"{self.function.__name__}{self.arguments!r}"


@dataclass
class Ranked:
    """Things of which the n-th is asked for 1/n as often as the first (Zipf's law, as in most logs)."""

    things: list[Any]
    weights: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.weights = list(accumulate(1 / rank for rank in range(1, len(self.things) + 1)))

    def draw(self, dice: random.Random) -> Any:
        """One of them."""
        return dice.choices(self.things, cum_weights=self.weights)[0]


class Places:
    """What there is to ask for. The larger a place, the more often it is."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.continents = list(Continent.objects.order_by("code").values_list("code", flat=True))
        self.countries = Ranked(list(Country.objects.order_by("-population", "iso").values_list("iso", flat=True)))
        self.codes = dict(Country.objects.values_list("iso", "iso3"))
        cities = City.objects.order_by("-population", "id")
        self.cities = Ranked(list(cities.values_list("id", "name")))
        self.timezones = list(cities.order_by("timezone").values_list("timezone", flat=True).distinct())

    def continent(self) -> tuple[str]:
        """Any continent."""
        return (self.dice.choice(self.continents),)

    def country(self) -> tuple[str]:
        """A country, likely a large one."""
        return (self.countries.draw(self.dice),)

    def country_code(self) -> tuple[str]:
        """The code of three letters of one."""
        return (self.codes[self.countries.draw(self.dice)],)

    def nothing(self) -> tuple[()]:
        """What needs no place."""
        return ()

    def two_countries(self) -> tuple[str, str]:
        """Two different ones."""
        one, other = self.dice.sample(self.countries.things, 2)
        return one, other

    def city(self) -> tuple[int]:
        """A city, likely a large one."""
        return (self.cities.draw(self.dice)[0],)

    def city_name(self) -> tuple[str]:
        """The name of one."""
        return (self.cities.draw(self.dice)[1],)

    def town(self) -> tuple[int]:
        """Any city, so most likely a small one."""
        return (self.dice.choice(self.cities.things)[0],)

    def new_town(self) -> tuple[str, str, int]:
        """Where a town is founded, how it is called, and how many live there."""
        return (*self.country(), f"New {self.city_name()[0]}", self.number(1000, 100000))

    def two_timezones(self) -> tuple[str, str]:
        """A time zone and the name that it gets."""
        old = self.dice.choice(self.timezones)
        return old, self.dice.choice([f"{old} (new)", "UTC"])

    def number(self, low: int, high: int) -> int:
        """Any number from *low* to *high*."""
        return self.dice.randint(low, high)


#  kind -> (how often, what, of which)
READS: dict[str, tuple[int, Callable[..., object], Draw]] = {
    "country page": (20, reads.country_page, Places.country),
    "city by primary key": (20, reads.city_page, Places.city),
    "cities by name": (15, reads.cities_called, Places.city_name),
    "top ten of a country": (15, reads.top_cities, Places.country),
    "country card: published": (10, reads.country_card, Places.country_code),
    "top fifty: rows": (10, reads.city_cards, Places.country),
    "continents: one entry": (5, reads.continents, Places.nothing),
    "neighbours' large cities": (8, reads.cities_next_door, Places.country),
    "urban population": (8, reads.urban_population, Places.country),
    "a metropolis: exists": (5, reads.has_metropolis, Places.country),
    "time zones of a country": (5, reads.timezones, Places.country),
    "continent: annotations": (2, reads.continent_table, Places.continent),
    "continent: prefetches": (2, reads.continent_map, Places.continent),
}
WRITES: dict[str, tuple[int, Callable[..., object], Draw]] = {
    "save a city": (40, writes.count_city, lambda places: (*places.city(), places.number(1000, 20000000))),
    "save a country": (10, writes.count_country, lambda places: (*places.country(), places.number(1000, 10**9))),
    "update(F) towns": (10, writes.grow_towns, lambda places: (*places.country(), places.number(15000, 30000))),
    "bulk_update top 20": (10, writes.count_largest, lambda places: (*places.country(), places.number(99, 103))),
    "SQL by hand": (5, writes.correct_timezone, Places.two_timezones),
    "create a town": (10, writes.found_town, Places.new_town),
    "delete, save: atomic": (10, writes.merge_town, Places.town),
    "neighbours add, remove": (5, writes.toggle_border, Places.two_countries),
}


def workload(places: Places, operations: int, share_of_writes: float) -> Iterator[Operation]:
    """So many operations; *share_of_writes* is between 0 and 1."""
    for _ in range(operations):
        is_write = places.dice.random() < share_of_writes
        choices = WRITES if is_write else READS
        (kind,) = places.dice.choices(list(choices), [often for often, _, _ in choices.values()])
        _, function, draw = choices[kind]
        yield Operation(kind, function, draw(places), is_write)


def visits(places: Places, number: int) -> Iterator[Operation]:
    """So many looks at pages of continents, and between them somebody counts a city."""
    for _ in range(number):
        yield Operation("page", reads.continent_html, places.continent(), writes=False)
        yield Operation("save a city", writes.count_city, (*places.city(), places.number(1000, 20000000)), writes=True)
