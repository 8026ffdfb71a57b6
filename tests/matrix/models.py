"""What the library has no example of: a foreign key to something else than the primary key.

They belong to the library app, whose tables are made without migrations from the models known by then.
"""

from __future__ import annotations

from django.db import models


class Account(models.Model):
    handle = models.CharField(max_length=20, unique=True)

    class Meta:
        app_label = "library"


class Letter(models.Model):
    """Points to an account by its handle."""

    owner = models.ForeignKey(Account, models.CASCADE, to_field="handle", related_name="letters")
    text = models.CharField(max_length=20)

    class Meta:
        app_label = "library"
