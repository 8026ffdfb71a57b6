"""The manual's settings. `make docs` builds it with every warning an error."""

from importlib import metadata

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
]
