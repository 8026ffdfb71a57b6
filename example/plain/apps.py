from django.apps import AppConfig
from django.db.models import QuerySet


class PlainConfig(AppConfig):
    """Stands in for Everfresh."""

    name = "example.plain"

    def ready(self):
        """Let queries say ``.cache()``, to no effect."""
        QuerySet.cache = lambda queryset: queryset
