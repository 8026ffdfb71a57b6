from django.apps import AppConfig
from django.db.models import QuerySet


class PlainConfig(AppConfig):
    """Stands in for Everfresh."""

    name = "example.plain"

    def ready(self):
        """Let queries say ``.cache()`` and models publish themselves, to no effect."""
        from everfresh import CacheModel

        QuerySet.cache = lambda queryset, **_: queryset
        CacheModel.publish = CacheModel.publish_by = lambda *_: None
