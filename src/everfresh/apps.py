"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig

from everfresh.install import install

__all__ = ["EverfreshConfig"]


class EverfreshConfig(AppConfig):
    """``INSTALLED_APPS += ["everfresh"]`` is all it takes."""

    name = "everfresh"
    verbose_name = "Everfresh"

    def import_models(self) -> None:
        """Change Django before it is used."""
        # Before any model or module of the project asks for a queryset's .cache().
        install()
        super().import_models()

    def ready(self) -> None:
        """Register the system checks, and listen for what published models want to know."""
        from everfresh import checks  # noqa: F401
        from everfresh.models import connect_publishers

        connect_publishers()
