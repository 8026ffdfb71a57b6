"""Memoized views that are coroutines: the same rules, awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.test import AsyncClient
from django.utils.decorators import method_decorator
from django.views import View

from everfresh.events import Outcome
from everfresh.views import memoize_view
from tests.functions.serving import memoized, outcomes, reads, serve, templates
from tests.library.models import Author, Book

pytestmark = pytest.mark.django_db(transaction=True)


def awaited(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """*test*, run in a loop of its own, whose blocking calls are made in this thread."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        async_to_sync(test)(**fixtures)

    return run


@pytest.fixture(autouse=True)
def book() -> Book:
    """One book."""
    return Book.objects.create(id=1, author=Author.objects.create(id=1, name="A"), title="one")


async def titles(request: HttpRequest) -> HttpResponse:
    """Reads."""
    return HttpResponse(", ".join([book.title async for book in Book.objects.all()]))


def site(settings: Any, view: Any) -> AsyncClient:
    """An asynchronous client of a site that has *view* at ``/``."""
    serve(settings, view)
    return AsyncClient()


@awaited
async def test_hit_and_write(settings: Any) -> None:
    """A hit runs nothing; what it read drops it; conditions are answered."""
    view = memoized(titles)
    assert iscoroutinefunction(view)
    client = site(settings, view)
    with reads() as seen:
        first = await client.get("/")
        assert (await client.get("/")).content == b"one"
        assert (await client.head("/"))["ETag"] == first["ETag"]
        assert (await client.get("/", headers={"If-None-Match": first["ETag"]})).status_code == 304
        await Book.objects.filter(id=1).aupdate(title="new")
        assert (await client.get("/", headers={"If-None-Match": first["ETag"]})).content == b"new"
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT, Outcome.HIT, Outcome.HIT, Outcome.FILL]


@awaited
async def test_template_response(settings: Any) -> None:
    """It is rendered inside."""

    async def view(request: HttpRequest) -> HttpResponse:
        return TemplateResponse(request, "page.html", {"books": Book.objects.all()})

    templates(settings, "{% for book in books %}{{ book.title }}{% endfor %}")
    client = site(settings, memoized(view))
    with reads() as seen:
        assert [(await client.get("/")).content for _ in range(2)] == [b"one"] * 2
        await Book.objects.aupdate(title="new")
        assert (await client.get("/")).content == b"new"
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT, Outcome.FILL]


@pytest.mark.parametrize("way", ["auser", "scope", "session"])
@awaited
async def test_asked_for_and_not_declared(settings: Any, way: str) -> None:
    """The asynchronous ways to ask are watched, too."""

    async def view(request: Any) -> HttpResponse:
        if way == "auser":
            return HttpResponse(str(await request.auser()))
        if way == "scope":
            return HttpResponse(str(len(request.scope["headers"])))
        return HttpResponse(str(await request.session.aget("x")))

    client = site(settings, memoized(view))
    with reads() as seen:
        for _ in range(2):
            await client.get("/")
    said = {"auser": "it used request.user", "scope": "it read of request.scope 'headers'"}
    assert [read.reason for read in seen] == [said.get(way, "it used the session")] * 2


@awaited
async def test_one_response_for_each_user(settings: Any) -> None:
    """Asked for by any of its names."""

    async def view(request: Any) -> HttpResponse:
        return HttpResponse(f"{await request.auser()} {request.user}")

    alice = await User.objects.acreate_user("alice")
    client = site(settings, memoized(view, user=True))
    with reads() as seen:
        assert (await client.get("/")).content == b"AnonymousUser AnonymousUser"
        await client.aforce_login(alice)
        assert [(await client.get("/")).content for _ in range(2)] == [b"alice alice"] * 2
        await User.objects.aupdate(username="al")
        assert (await client.get("/")).content == b"al al"
        assert (await AsyncClient().get("/")).content == b"AnonymousUser AnonymousUser"
    assert outcomes(seen) == [Outcome.FILL, Outcome.FILL, Outcome.HIT, Outcome.FILL, Outcome.HIT]


@awaited
async def test_session(settings: Any) -> None:
    """What is in the session is in the key."""

    async def view(request: Any, name: str = "") -> HttpResponse:
        if name:
            await request.session.aset("name", name)
        return HttpResponse(str(await request.session.aget("name")))

    client = site(settings, memoized(view, cookies=["sessionid"]))
    await client.get("/anna")
    with reads() as seen:
        assert [(await client.get("/")).content for _ in range(2)] == [b"anna"] * 2
        await client.get("/bert")
        assert (await client.get("/")).content == b"bert"
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT, Outcome.MISS, Outcome.FILL]


class Titles(View):
    """All its methods are coroutine functions."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        return await titles(request)


@method_decorator(memoize_view(), name="dispatch")
class Dispatched(Titles):
    """Memoized whole."""


@pytest.mark.parametrize("way", ["dispatch", "as_view", "get"])
@awaited
async def test_classes(settings: Any, way: str) -> None:
    """Asynchronous classes, decorated in each way."""
    made = {"dispatch": Dispatched.as_view, "as_view": lambda: memoize_view(Titles.as_view()), "get": Got.as_view}
    view: Any = made[way]()  # type: ignore[operator]
    label = {"dispatch": "Dispatched.dispatch", "as_view": "Titles", "get": "Got.get"}[way]
    client = site(settings, view)
    with reads(f"{__name__}.{label}") as seen:
        assert [(await client.get("/")).content for _ in range(2)] == [b"one"] * 2
        await Book.objects.aupdate(title="new")
        assert (await client.get("/")).content == b"new"
        assert (await client.post("/")).status_code == 405
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT, Outcome.FILL]


class Got(View):
    """One method is memoized."""

    @method_decorator(memoize_view())
    async def get(self, request: HttpRequest) -> HttpResponse:
        return await titles(request)
