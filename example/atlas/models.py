from django.db import models
from django.db.models import Sum

from everfresh import CachedTable, CacheModel, cached_method


class Continent(CachedTable):
    """One of seven, all of which are one entry."""

    code = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=20)

    def __str__(self):
        return self.name


class Country(CacheModel):
    """A country and the numbers the atlas prints of it: in the cache as soon as it is saved."""

    iso = models.CharField(max_length=2, primary_key=True)
    iso3 = models.CharField(max_length=3, unique=True)
    name = models.CharField(max_length=100, unique=True)
    capital = models.CharField(max_length=100)
    continent = models.ForeignKey(Continent, models.PROTECT, related_name="countries")
    neighbours = models.ManyToManyField("self")
    population = models.PositiveBigIntegerField()
    area = models.FloatField(help_text="km²")
    currency = models.CharField(max_length=3)
    languages = models.JSONField(default=list)

    class Meta:
        verbose_name_plural = "countries"

    def __str__(self):
        return self.name

    def publish(self):
        """Travellers know its code of three letters."""
        super().publish()
        self.publish_by("iso3")

    @cached_method
    def urban_share(self):
        """How many of its people, in percent, live in the cities of this atlas."""
        people = self.cities.aggregate(people=Sum("population"))["people"] or 0
        return 100 * people // max(self.population, 1)


class City(models.Model):
    """A city or town; the primary key of a real one is its number in geonames.org."""

    name = models.CharField(max_length=200, db_index=True)
    country = models.ForeignKey(Country, models.CASCADE, related_name="cities")
    is_capital = models.BooleanField(default=False)
    population = models.PositiveIntegerField()
    timezone = models.CharField(max_length=40)
    latitude = models.FloatField()
    longitude = models.FloatField()

    class Meta:
        verbose_name_plural = "cities"
        indexes = [models.Index(fields=["country", "-population"], name="city_by_size")]

    def __str__(self):
        return self.name
