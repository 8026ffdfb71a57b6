"""Values of columns: one name for what SQL calls equal, none where Python cannot know (DESIGN section 3)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import models
from django.db.models import F, Value
from django.db.models.functions import Upper
from django.test.utils import isolate_apps

from everfresh import tables
from everfresh.tables import Uncertain, canonical

NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("value", [F("other"), Value("a"), Upper(Value("a"))])
@pytest.mark.parametrize("field", [models.TextField(), models.IntegerField()])
def test_expressions(field: models.Field[Any, Any], value: object) -> None:
    """What an expression will be, only the database knows."""
    with pytest.raises(Uncertain):
        canonical(field, value)


def test_moments() -> None:
    """One moment has one name, in whatever zone it is given."""
    field = models.DateTimeField()
    elsewhere = NOON.astimezone(timezone(timedelta(hours=3)))

    assert repr(canonical(field, NOON)) == repr(canonical(field, elsewhere)) == repr(NOON)


def test_moments_without_a_zone() -> None:
    """Where USE_TZ asks for a zone, Django puts the zone in force into what has none, texts and dates included."""
    for value in (NOON.replace(tzinfo=None), NOON.date(), "2020-01-01", 1):
        with pytest.raises(Uncertain):
            canonical(models.DateTimeField(), value)


def test_moments_for_dates() -> None:
    """The date of a moment depends on the zone in force."""
    assert date(2020, 1, 1) == canonical(models.DateField(), "2020-01-01")
    with pytest.raises(Uncertain):
        canonical(models.DateField(), NOON)


@isolate_apps("tests.library")
def test_collations() -> None:
    """A column under a collation of its own may call equal what Python does not."""

    class Collated(models.Model):
        plain = models.CharField(max_length=9)
        loose = models.CharField(max_length=9, db_collation="nocase")

        class Meta:
            app_label = "library"

    meta = Collated._meta
    assert tables._has_canonical_values(meta.get_field("plain"), "sqlite")
    assert not tables._has_canonical_values(meta.get_field("loose"), "sqlite")
    assert not tables._has_canonical_values(meta.get_field("plain"), "mysql")
