"""Rows that carry counters which only grow: what a reader may not see less of is known without asking anyone."""

from __future__ import annotations

from django.db import models


class Counter(models.Model):
    """``n`` is one more with every write."""

    shard = models.IntegerField(db_index=True)
    n = models.BigIntegerField(default=0)

    class Meta:
        app_label = "counting"


class Holder(models.Model):
    """Points to a counter, for joins."""

    counter = models.ForeignKey(Counter, models.CASCADE, related_name="holders")

    class Meta:
        app_label = "counting"


class Step(models.Model):
    """One row for each insert; their number only grows."""

    counter = models.ForeignKey(Counter, models.CASCADE, related_name="steps")

    class Meta:
        app_label = "counting"
