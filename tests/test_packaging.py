"""What `pip install django-everfresh` gives, seen from outside."""

from __future__ import annotations

import importlib
from importlib import metadata, resources

import everfresh


def test_public_names_are_sorted_and_importable() -> None:
    """`everfresh.__all__` is sorted, and each of its names exists."""
    names = list(getattr(everfresh, "__all__", []))

    assert sorted(names) == names
    assert [] == [name for name in names if not hasattr(everfresh, name)]


def test_distribution_is_named_django_everfresh() -> None:
    """The distribution is django-everfresh, and its version is the package's, where that names one."""
    version = metadata.version("django-everfresh")

    assert version == getattr(everfresh, "__version__", version)


def test_required_dependencies_are_few() -> None:
    """Without extras only Django and msgspec are installed."""
    required = metadata.requires("django-everfresh") or []

    assert ["django", "msgspec"] == sorted(
        requirement.split(">")[0] for requirement in required if "extra ==" not in requirement
    )


def test_types_are_shipped() -> None:
    """Type checkers of projects that use the library find py.typed."""
    assert resources.files("everfresh").joinpath("py.typed").is_file()


def test_errors_are_exported() -> None:
    """`everfresh.exceptions` exports every error class that it defines, sorted."""
    module = importlib.import_module("everfresh.exceptions")
    defined = [name for name, value in vars(module).items() if isinstance(value, type)]

    assert sorted(defined) == list(module.__all__)
