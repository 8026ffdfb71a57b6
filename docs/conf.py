"""The manual's settings. `make docs` builds it with every warning an error."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import django
from django.conf import settings

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# Models can be imported only where there is a project.
settings.configure(INSTALLED_APPS=["everfresh"], USE_TZ=True)
django.setup()

project = "Everfresh"
author = "Everfresh contributors"
copyright = "2026, Everfresh contributors"  # noqa: A001
release = metadata.version("django-everfresh")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Everfresh {release}"
default_role = "any"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "description"
nitpick_ignore_regex = [
    # No inventories are fetched, so that the manual builds without a network.
    (r"py:.*", r"(django|collections|typing|types|datetime)\..*"),
    # Names as they stand in signatures and under "Raises".
    (r"py:.*", r"timedelta|ModelName|FieldError|FieldDoesNotExist|DoesNotExist|MultipleObjectsReturned"),
    # Type variables of our own, and what only makes the documented objects.
    (r"py:.*", r"everfresh\..*\._[A-Z]\w*|_P|Recipe|BoundArguments"),
    # Documented under the name it is imported by.
    (r"py:.*", r"everfresh\.stores\.guard\.GuardedStore"),
]


def _whole(_app: object, what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    # Napoleon takes what stands before a colon for the type of an attribute; our sentences have colons.
    if what == "attribute":
        lines[:0] = ["..", ""]


def setup(app: Sphinx) -> None:
    """Connect before Napoleon does."""
    app.connect("autodoc-process-docstring", _whole, priority=400)
