"""Which applications, and how each wants to be run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["APPLICATIONS", "Application"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A project whose source distribution carries its tests."""

    name: str
    version: str
    requirements: tuple[str, ...] = ()
    """What its tests need beside itself, Django and pytest."""

    folder: str = "."
    """Where its tests are run, within the source distribution."""

    configuration: str = "pyproject.toml"
    """The file that pytest is to take for its configuration, so that it looks for none in the folders above."""

    arguments: tuple[str, ...] = ()
    """For pytest."""

    configured_by: str = ""
    """Its own function, as ``module:name``, that gives its settings where no module holds them."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Settings to replace: what needs a server we have not, and passwords that take their time."""

    by_default: bool = True
    """Is it run where none is named? Not what takes many minutes."""

    minimum_hits: int
    """What a run must at least have served to prove anything. What was only read back to check it is not counted."""


_QUICK = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def _sqlite(name: str) -> dict[str, str]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{name}.sqlite3"}


APPLICATIONS = (
    Application(
        name="django-treebeard",
        version="7.0.3",
        minimum_hits=1000,
        arguments=("--ds=tests.settings", "tests"),
    ),
    Application(
        name="django-guardian",
        version="3.5.2",
        minimum_hits=9000,
        requirements=("django-environ",),
        arguments=("guardian/testapp/tests",),
        settings={"PASSWORD_HASHERS": _QUICK},
    ),
    Application(
        name="django-reversion",
        version="6.4.0",
        minimum_hits=10,
        folder="tests",
        configuration="../setup.cfg",
        arguments=("--ds=test_project.settings", "test_app"),
        settings={
            "DATABASES": {alias: _sqlite(alias) for alias in ("default", "postgres", "mysql")},
            "PASSWORD_HASHERS": _QUICK,
        },
    ),
    Application(
        name="djangorestframework",
        version="3.18.3",
        minimum_hits=100,
        requirements=(
            "dj-database-url>=3.1", "django-filter", "django-guardian>=2.4,<3.6", "inflection==0.5.1",
            "legacy-cgi; python_version>='3.13'", "markdown>=3.3.7", "psycopg[binary]>=3.1.8", "pygments==2.21.*",
            "pyyaml>=5.3.1,<6.1", "requests", "uritemplate", "importlib-metadata<10", "pytz",
        ),
        arguments=("tests",),
    ),
    Application(
        name="django-simple-history",
        version="3.13.0",
        minimum_hits=120,
        arguments=(
            "-o", "python_files=test_*.py tests.py",
            "simple_history/tests/tests", "simple_history/registry_tests/tests.py",
        ),
        configured_by="runtests:get_default_settings",
        settings={"PASSWORD_HASHERS": _QUICK},
    ),
    Application(
        name="django-model-utils",
        version="5.0.0",
        minimum_hits=30,
        requirements=("time-machine",),
        configuration="setup.cfg",
        arguments=("tests",),
        settings={"DATABASES": {"default": _sqlite("default")}},
    ),
    Application(
        name="wagtail",
        version="8.0.1",
        by_default=False,
        minimum_hits=8000,
        requirements=("Jinja2", "freezegun", "responses", "django-pattern-library"),
        arguments=(
            "--ds=wagtail.test.settings", "-o", "python_files=test_*.py tests.py",
            *(
                f"wagtail/tests/{name}"
                for name in (
                    "actions", "permission_policies", "test_collection_model.py", "test_page_model.py",
                    "test_page_queryset.py", "test_reference_index.py", "test_revision_model.py", "test_workflow.py",
                )
            ),
        ),
        settings={"PASSWORD_HASHERS": _QUICK},
    ),
)  # fmt: skip
"""In the order of their running."""
