"""Templates from strings, rendered, with what became of their fragments."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template import Engine
from django.template.context import make_context
from django.test import RequestFactory

from everfresh.events import Event, Outcome, Read, listening

__all__ = ["FILL", "HIT", "MISS", "Page", "request"]

HIT, FILL, MISS = Outcome.HIT, Outcome.FILL, Outcome.MISS

PROCESSORS = [
    "django.template.context_processors.csrf",
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
]


class Page:
    """A template and what it extends and includes, by name; the first one is rendered."""

    def __init__(self, *source: str, debug: bool = False, **others: str) -> None:
        self.events: list[Read] = []
        self.engine = Engine(
            debug=debug,
            context_processors=PROCESSORS,
            libraries={
                "cachesweeper_tags": "everfresh.templatetags.cachesweeper_tags",
                "everfresh": "everfresh.templatetags.everfresh",
                "probes": "tests.fragments.probes",
            },
            builtins=["everfresh.templatetags.everfresh", "tests.fragments.probes", "django.templatetags.i18n"],
            loaders=[
                ("django.template.loaders.locmem.Loader", {**dict(zip(["page"], source, strict=False)), **others})
            ],
        )

    def __call__(self, **context: Any) -> str:
        """What the first one renders to with this context; with the name ``request``, a ``RequestContext``."""
        return self.show("page", **context)

    def show(self, template: str, /, **context: Any) -> str:
        """What another one renders to."""
        http = context.pop("request", None)
        self.events.clear()
        with listening(self._listen):
            return self.engine.get_template(template).render(make_context(context, http))

    def _listen(self, event: Event) -> None:
        if isinstance(event, Read) and event.label.startswith("fragment:"):
            self.events.append(event)

    @property
    def outcomes(self) -> list[Outcome]:
        """Of the fragments of the last rendering, in the order in which they ended."""
        return [event.outcome for event in self.events]

    @property
    def reason(self) -> str:
        """Of the last fragment of the last rendering."""
        return self.events[-1].reason


def request(path: str = "/", **attributes: Any) -> HttpRequest:
    """A request, with *attributes* as middleware would set them."""
    made = RequestFactory().get(path)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made
