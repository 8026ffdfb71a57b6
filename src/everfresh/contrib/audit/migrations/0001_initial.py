"""The table of the audit log."""

from __future__ import annotations

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes it."""

    initial = True
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(
            name="Invalidation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "at",
                    models.DateTimeField(
                        db_index=True, default=django.utils.timezone.now, editable=False, verbose_name="when"
                    ),
                ),
                ("by", models.CharField(editable=False, max_length=255, verbose_name="who")),
                ("what", models.JSONField(default=dict, editable=False, verbose_name="what")),
                ("database", models.CharField(blank=True, editable=False, max_length=100, verbose_name="database")),
                ("count", models.PositiveBigIntegerField(editable=False, null=True, verbose_name="named results")),
                (
                    "user",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "invalidation",
                "verbose_name_plural": "invalidations",
                "ordering": ["-at", "-pk"],
                "default_permissions": ("add", "view", "delete"),
            },
        ),
    ]
