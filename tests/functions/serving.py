"""What the tests of memoized views share: a site made of the test's own views, and a reader of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.test import Client
from django.urls import path
from pytest_django.fixtures import Settings

from everfresh.events import Outcome, Read, listening
from everfresh.views import memoize_view

MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)


def serve(settings: Settings, view: Callable[..., Any], *, middleware: tuple[str, ...] = MIDDLEWARE) -> Client:
    """A client of a site that has *view* at ``/``, ``/<name>`` and ``/books/<number>``."""
    settings.ROOT_URLCONF = (
        path("", view),
        path("books/<int:number>", view),
        path("<slug:name>", view),
    )
    settings.MIDDLEWARE = list(middleware)
    settings.ALLOWED_HOSTS = ["testserver", "a.example", "b.example"]
    return Client()


def templates(settings: Settings, source: str, *processors: str) -> None:
    """The one template, ``page.html``."""
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "context_processors": ["django.template.context_processors.request", *processors],
                "loaders": [("django.template.loaders.locmem.Loader", {"page.html": source})],
            },
        }
    ]


def memoized(view: Callable[..., Any], **options: Any) -> Any:
    """*view* of a test, which has no name of its own."""
    return memoize_view(**{"label": "tests.view", **options})(view)


@contextmanager
def reads(label: str = "tests.view") -> Iterator[list[Read]]:
    """How the view was answered, request by request."""
    seen: list[Read] = []

    def listener(event: object) -> None:
        if isinstance(event, Read) and event.label == label:
            seen.append(event)

    with listening(listener):
        yield seen


def outcomes(seen: list[Read]) -> list[Outcome]:
    """Their outcomes."""
    return [read.outcome for read in seen]
