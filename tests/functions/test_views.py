"""Memoized views: what is answered from the cache, under which key, and what drops it."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIRequest
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.test import RequestFactory
from django.utils import timezone, translation
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import etag
from django.views.generic import ListView, View

import everfresh
from everfresh import names
from everfresh.events import Outcome
from everfresh.views import memoize_view
from tests.functions.serving import MIDDLEWARE, memoized, outcomes, reads, serve, templates
from tests.library.models import Author, Book, Publisher

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def author() -> Author:
    """One author with one book."""
    author = Author.objects.create(id=1, name="A")
    Book.objects.create(id=1, author=author, title="one")
    return author


def titles(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    """A view that can be found by its name."""
    return HttpResponse(", ".join(Book.objects.values_list("title", flat=True)))


class Counting:
    """A view that tells how often it ran."""

    def __init__(self, respond: Callable[..., Any] = titles) -> None:
        self.runs = 0
        self.respond = respond

    def __call__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        self.runs += 1
        return self.respond(request, *args, **kwargs)


# What it depends on


def test_hit_runs_nothing(settings: Any, django_assert_num_queries: Any) -> None:
    """The second request asks the database nothing, and gets the same response."""
    view = Counting()
    client = serve(settings, memoized(view))
    first = client.get("/")
    with django_assert_num_queries(0):
        second = client.get("/")

    assert (first.content, dict(first.headers)) == (second.content, dict(second.headers))
    assert view.runs == 1


def test_what_it_read_drops_it(settings: Any) -> None:
    """A write to what it read, and no other write."""
    client = serve(settings, memoized(titles))
    assert client.get("/").content == b"one"
    Publisher.objects.create(name="P")
    with reads() as seen:
        client.get("/")
        Book.objects.filter(id=1).update(title="new")
        assert client.get("/").content == b"new"
    assert outcomes(seen) == [Outcome.HIT, Outcome.FILL]


def test_template_response_is_rendered_inside(settings: Any, django_assert_num_queries: Any) -> None:
    """What the template reads counts, and what is called after rendering is called once."""
    called = []

    def view(request: HttpRequest) -> TemplateResponse:
        response = TemplateResponse(request, "page.html", {"books": Book.objects.all()})
        response.add_post_render_callback(lambda response: called.append(response.content))
        return response

    templates(settings, "{% for book in books %}{{ book.title }} by {{ book.author.name }}{% endfor %}")
    client = serve(settings, memoized(view))
    assert client.get("/").content == b"one by A"
    with django_assert_num_queries(0):
        assert client.get("/").content == b"one by A"
    assert called == [b"one by A"]
    Author.objects.update(name="B")
    assert client.get("/").content == b"one by B"


def test_in_a_transaction_that_wrote(settings: Any) -> None:
    """The view runs untouched, and nobody else sees what it saw."""
    client = serve(settings, memoized(titles))
    client.get("/")
    with transaction.atomic():
        Book.objects.update(title="uncommitted")
        assert client.get("/").content == b"uncommitted"
        transaction.set_rollback(True)
    assert client.get("/").content == b"one"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_other_methods_pass(settings: Any, method: str) -> None:
    """Only GET and HEAD are cached; nothing is said of others."""
    view = Counting(lambda request: HttpResponse(request.method))
    client = serve(settings, memoized(view))
    with reads() as seen:
        for _ in range(2):
            assert getattr(client, method)("/").content == method.upper().encode()
    assert (view.runs, seen) == (2, [])


def test_request_with_a_body_passes(settings: Any) -> None:
    """What is in the body of a GET is in no key."""
    view = Counting(lambda request: HttpResponse(request.body))
    client = serve(settings, memoized(view))

    assert [client.generic("GET", "/", body).content for body in ("a", "b")] == [b"a", b"b"]


@pytest.mark.parametrize("first", ["get", "head"])
def test_head_is_answered_as_get(settings: Any, first: str) -> None:
    """One entry for both, made by the view's GET; afterwards the request is what it was."""
    view = Counting(lambda request: HttpResponse(request.method, headers={"X": request.META["REQUEST_METHOD"]}))
    client = serve(settings, memoized(view))
    responses = [getattr(client, first)("/"), client.head("/"), client.get("/")]

    assert [response["X"] for response in responses] == ["GET"] * 3
    assert responses[2].content == b"GET"
    assert [response.headers for response in responses] == [responses[0].headers] * 3
    assert view.runs == 1
    request = RequestFactory().head("/")
    memoized(view, label="tests.another")(request)
    assert request.method == request.META["REQUEST_METHOD"] == "HEAD"


def test_errors_pass(settings: Any) -> None:
    """An exception is raised, and stored for nobody."""

    def fails(request: HttpRequest) -> HttpResponse:
        raise Http404

    view = Counting(fails)
    client = serve(settings, memoized(view))

    assert [client.get("/").status_code for _ in range(2)] == [404, 404]
    assert view.runs == 2


# Keys


def test_urls_are_told_apart(settings: Any) -> None:
    """By their paths, hosts and schemes; parameters of the query count in any order, their values in theirs."""
    view = Counting(lambda request, **kwargs: HttpResponse(request.get_full_path()))
    client = serve(settings, memoized(view))
    urls = ["/", "/x", "/y", "/books/1", "/books/2", "/?a=1", "/?a=2", "/?a=1&a=2", "/?a=2&a=1", "/?a=1&b=", "/?b=&a=2"]
    for _ in range(2):
        assert [client.get(url).content.decode() for url in urls] == urls
    assert view.runs == len(urls)
    assert client.get("/?b=&a=1").content == b"/?a=1&b="
    assert view.runs == len(urls)
    client.get("/", HTTP_HOST="a.example")
    client.get("/", secure=True)
    assert view.runs == len(urls) + 2


@pytest.mark.parametrize(("query", "runs"), [(["page"], 2), (False, 1), (True, 4)])
def test_parameters_that_count(settings: Any, query: Any, runs: int) -> None:
    """All, some or none."""
    view = Counting(lambda request: HttpResponse("x"))
    client = serve(settings, memoized(view, query=query))
    for url in ("/?page=1&utm=a", "/?utm=b&page=1", "/?page=2", "/?page=2&utm=a"):
        client.get(url)

    assert view.runs == runs


def test_declared_headers_and_cookies(settings: Any) -> None:
    """They tell responses apart, and other caches are told so."""
    view = Counting(
        lambda request: HttpResponse(request.headers.get("X-Tenant", "") + request.COOKIES.get("theme", ""))
    )
    client = serve(settings, memoized(view, headers=["X-Tenant"], cookies=["theme"]))
    for _ in range(2):
        client.cookies.load({"theme": "dark"})
        assert client.get("/").content == b"dark"
        assert client.get("/", headers={"X-Tenant": "t"}).content == b"tdark"
        client.cookies.load({"theme": "light"})
        assert client.get("/").content == b"light"
    assert view.runs == 3
    assert client.get("/")["Vary"] == "X-Tenant, Cookie"


def test_key_adds(settings: Any) -> None:
    """What middleware has found out, for example."""
    view = Counting(lambda request, name: HttpResponse(name))
    client = serve(settings, memoized(view, key=lambda request, name: name[:1]))
    for url in ("/abc", "/abd", "/abc"):
        client.get(url)
    assert view.runs == 2

    tenants = iter("aab")
    client = serve(settings, memoized(view, label="tests.tenants", key=lambda request, name: next(tenants)))
    for _ in range(3):
        client.get("/abc")
    assert view.runs == 4


def test_language_and_time_zone(settings: Any) -> None:
    """Those in force are part of the key."""
    view = Counting(
        lambda request: HttpResponse(f"{translation.get_language()} {timezone.get_current_timezone_name()}")
    )
    client = serve(settings, memoized(view), middleware=())
    for _ in range(2):
        for language in ("en", "nl"):
            for zone in ("UTC", "Europe/Amsterdam"):
                with translation.override(language), timezone.override(zone):
                    assert client.get("/").content.decode() == f"{language} {zone}"
    assert view.runs == 4


def test_what_nothing_names(caplog: pytest.LogCaptureFixture) -> None:
    """An argument without a key: the view runs, and it is said why."""
    view = Counting(lambda request, thing: HttpResponse("x"))
    with reads("tests.thing") as seen:
        for _ in range(2):
            memoized(view, label="tests.thing")(RequestFactory().get("/"), object())
    assert view.runs == 2
    assert {read.reason for read in seen} == {"it is called with builtins.object, which has no stable key"}
    assert caplog.text.count("tests.thing is not cached") == 1


def test_host_that_is_not_allowed(settings: Any) -> None:
    """Nothing is kept under a name that a stranger has made up."""
    view = Counting()
    with reads() as seen:
        for _ in range(2):
            memoized(view)(RequestFactory().get("/", HTTP_HOST="evil.example"))
    assert (view.runs, outcomes(seen)) == (2, [Outcome.BYPASS] * 2)


# ETags


def test_not_modified(settings: Any) -> None:
    """304 without running the view, until a write changes what it read."""
    view = Counting()
    client = serve(settings, memoized(view))
    tag = client.get("/")["ETag"]
    again = client.get("/", headers={"If-None-Match": tag})

    assert (again.status_code, again.content, again["ETag"], view.runs) == (304, b"", tag, 1)
    Publisher.objects.create(name="P")
    assert client.get("/", headers={"If-None-Match": tag}).status_code == 304
    Book.objects.update(title="new")
    changed = client.get("/", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.content) == (200, b"new")
    assert changed["ETag"] != tag
    assert client.get("/")["ETag"] == changed["ETag"]
    assert client.get("/", headers={"If-None-Match": changed["ETag"]}).status_code == 304
    assert view.runs == 2


def test_tag_is_of_what_is_sent(settings: Any) -> None:
    """Two responses that read the same rows have two tags; one that is computed again and is the same keeps its own."""
    view = Counting(lambda request, **kwargs: HttpResponse(f"{titles(request).content.decode()} {kwargs}"))
    client = serve(settings, memoized(view))
    first, second = client.get("/books/1")["ETag"], client.get("/books/2")["ETag"]

    assert first != second
    Book.objects.update(pages=7)
    Book.objects.update(title="one")
    everfresh.invalidate(Book)
    assert client.get("/books/1", headers={"If-None-Match": first}).status_code == 304
    assert view.runs == 3


@pytest.mark.parametrize("view", [pytest.param(titles, id="ours"), pytest.param(None, id="the view's")])
def test_with_middleware_for_conditions(settings: Any, view: Any) -> None:
    """Compression makes the tag a weak one, which is still the same one."""

    def tagged(request: HttpRequest) -> HttpResponse:
        return HttpResponse("x" * 1000, headers={"ETag": '"mine"'})

    middleware = ("django.middleware.http.ConditionalGetMiddleware", "django.middleware.gzip.GZipMiddleware")
    Book.objects.update(title="x" * 100)
    Book.objects.bulk_create(Book(id=number, author_id=1, title="x" * 100) for number in range(2, 12))
    client = serve(settings, memoized(view or tagged), middleware=middleware)
    first = client.get("/", headers={"Accept-Encoding": "gzip"})

    assert first["ETag"].startswith('W/"')
    assert first["Content-Encoding"] == "gzip"
    headers = {"Accept-Encoding": "gzip", "If-None-Match": first["ETag"]}
    assert client.get("/", headers=headers).status_code == 304
    assert "Content-Encoding" not in client.get("/")


def test_tag_of_the_view(settings: Any) -> None:
    """The view's own stays, also where a decorator inside makes it from the request's conditions."""
    runs = []

    @etag(lambda request: str(Book.objects.get(id=1).pages))
    def view(request: HttpRequest) -> HttpResponse:
        runs.append(1)
        return titles(request)

    client = serve(settings, memoized(view))
    assert client.get("/", headers={"If-None-Match": '"something"'})["ETag"] == '"100"'
    assert client.get("/", headers={"If-None-Match": '"100"'}).status_code == 304
    assert client.get("/").content == b"one"
    assert runs == [1]


# What is stored


def test_response_comes_back_whole(settings: Any) -> None:
    """Status, reason, headers in any case, content, and what decorators say to middleware; a new object each time."""

    @xframe_options_exempt
    @cache_control(max_age=60)
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(b"\xff\x00", content_type="image/x", reason="Fine", headers={"x-lower": "é", "Via": "me"})

    client = serve(
        settings, memoized(view), middleware=(*MIDDLEWARE, "django.middleware.clickjacking.XFrameOptionsMiddleware")
    )
    first, second = client.get("/"), client.get("/")
    for response in (first, second):
        assert (response.status_code, response.reason_phrase, response.content) == (200, "Fine", b"\xff\x00")
        assert response["X-Lower"] == "é"
        assert response["Cache-Control"] == "max-age=60"
        assert "X-Frame-Options" not in response
        assert type(response) is HttpResponse
    assert list(first.headers.items()) == list(second.headers.items())
    second["X-Lower"] = "changed"
    second.write(b"more")
    assert (client.get("/")["X-Lower"], client.get("/").content) == ("é", b"\xff\x00")


def test_no_pickles(settings: Any, configure: Any) -> None:
    """What is stored is plain values, whatever the class of the response."""
    configure(PICKLE=False)
    client = serve(
        settings, memoized(lambda request: JsonResponse({"titles": [str(book) for book in Book.objects.all()]}))
    )
    with reads() as seen:
        assert client.get("/").json() == client.get("/").json()
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT]


def test_not_found_that_was_looked_for(settings: Any) -> None:
    """A 404 that the view returns is kept as long as what it looked for is not there, if it looked."""

    def view(request: HttpRequest, number: int) -> HttpResponse:
        if number != 99 and (book := Book.objects.filter(id=number).first()):
            return HttpResponse(book.title)
        return HttpResponse("none", status=404)

    client = serve(settings, memoized(view))
    with reads() as seen:
        assert [client.get("/books/2").status_code for _ in range(2)] == [404, 404]
        Book.objects.create(id=2, author_id=1, title="two")
        assert client.get("/books/2").content == b"two"
        assert [client.get("/books/99").status_code for _ in range(2)] == [404, 404]
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT, Outcome.FILL, Outcome.MISS, Outcome.MISS]
    assert "ETag" not in client.get("/books/3")


def test_timeout_and_grace(settings: Any, elsewhere: Any) -> None:
    """A timeout of 0 stores nothing; in its grace an old response is served while another request computes."""
    view = Counting()
    client = serve(settings, memoized(view, timeout=0))
    client.get("/")
    client.get("/")
    assert view.runs == 2

    def slow(request: HttpRequest) -> HttpResponse:
        if view.runs == 4:
            assert elsewhere(lambda: client.get("/").content) == b"one"
        return titles(request)

    view.respond = slow
    client = serve(settings, memoized(view, label="tests.grace", grace=60))
    client.get("/")
    Book.objects.update(title="new")
    assert client.get("/").content == b"new"


def test_tags_and_declared_models(settings: Any) -> None:
    """Named tags drop it, and so do writes to models that are declared."""
    view = Counting(lambda request: HttpResponse("x"))
    client = serve(settings, memoized(view, tags=["shop"], depends_on=["library.Publisher"]))
    client.get("/")
    everfresh.invalidate_tags("shop")
    client.get("/")
    assert view.runs == 2
    Publisher.objects.create(name="P")
    client.get("/")
    client.get("/")
    assert view.runs == 3


def test_declared_model_that_is_excluded(configure: Any) -> None:
    """Nobody looks at its writes, so it cannot be declared."""
    configure(EXCLUDE=["library.Publisher"])
    with pytest.raises(ImproperlyConfigured, match=r"depends_on= of tests.view names library.Publisher"):
        memoized(titles, depends_on=["library.Publisher"])(RequestFactory().get("/"))


def test_invalidated_by_name(settings: Any) -> None:
    """All of a view, or those whose names match."""
    view = Counting(lambda request, **kwargs: HttpResponse("x"))
    memo = memoized(view)
    client = serve(settings, memo)
    urls = ["/books/1", "/books/2?b=é&a=1", "/x"]
    for url in urls:
        client.get(url)

    assert names.names("tests.view") == [
        "tests.view GET /books/1",
        "tests.view GET /books/2?a=1&b=%C3%A9",
        "tests.view GET /x",
    ]
    assert names.invalidate_pattern("*GET /books/*") == 2
    for url in urls:
        client.get(url)
    assert view.runs == 5
    assert memo.invalidate_all() == 3
    for url in urls:
        client.get(url)
    assert view.runs == 8


# Classes


class Titles(View):
    """Its get() is memoized; it tells who made it."""

    prefix = ""
    runs = 0

    @method_decorator(memoize_view())
    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        type(self).runs += 1
        return HttpResponse(self.prefix + titles(request).content.decode())


class OtherTitles(Titles):
    """The same method, of another class."""

    prefix = "other "


@method_decorator(memoize_view(60), name="dispatch")
class Books(ListView):  # type: ignore[type-arg]
    """A generic view, memoized whole."""

    model = Book
    template_name = "page.html"


class OfAuthor(View):
    """Reads a row before its memoized method runs."""

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.author = Author.objects.get(id=kwargs["number"])

    @method_decorator(memoize_view())
    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return HttpResponse(self.author.name)


def test_method(settings: Any) -> None:
    """A method of a class: what the class and its instance are, is in the key."""
    Titles.runs = OtherTitles.runs = 0
    views = [Titles.as_view(), OtherTitles.as_view(), Titles.as_view(prefix="my ")]

    def one_of(request: HttpRequest, number: int = 0) -> HttpResponse:
        return views[int(request.headers["X-View"])](request)  # type: ignore[return-value]

    client = serve(settings, one_of)
    for _ in range(2):
        assert [client.get("/", headers={"X-View": str(at)}).content for at in range(3)] == [
            b"one",
            b"other one",
            b"my one",
        ]
    assert (Titles.runs, OtherTitles.runs) == (2, 1)
    assert names.names(f"{__name__}.OtherTitles.get") == [f"{__name__}.OtherTitles.get GET /"]


def test_generic_view(settings: Any, django_assert_num_queries: Any) -> None:
    """Dispatch of a generic view, whose template reads."""
    templates(settings, "{% for book in object_list %}{{ book.author.name }}{% endfor %}")
    client = serve(settings, Books.as_view())
    assert client.get("/").content == b"A"
    with django_assert_num_queries(0):
        assert client.head("/").status_code == client.get("/").status_code == 200
    assert client.post("/").status_code == 405
    Author.objects.update(name="B")
    assert client.get("/").content == b"B"


def test_what_as_view_returns(settings: Any, django_assert_num_queries: Any) -> None:
    """It is known by its class, and its arguments are in the key."""
    templates(settings, "{% for book in object_list %}{{ book.title }}{% endfor %}")
    every = memoize_view(ListView.as_view(queryset=Book.objects.all(), template_name="page.html"))
    some = memoize_view(ListView.as_view(queryset=Book.objects.filter(id=2), template_name="page.html"))

    def one_of(request: HttpRequest) -> Any:
        return (some if "HTTP_X_SOME" in request.META else every)(request)

    client = serve(settings, one_of)
    for _ in range(2):
        assert client.get("/").content == b"one"
        assert client.get("/", headers={"X-Some": "1"}).content == b""
    with django_assert_num_queries(0):
        client.get("/")
    assert every.invalidate_all() == 2
    assert names.labels() == ["django.views.generic.list.ListView"]


def test_row_that_the_instance_holds(settings: Any) -> None:
    """What was read before the memoized method began counts, too."""
    client = serve(settings, OfAuthor.as_view())
    assert client.get("/books/1").content == b"A"
    Author.objects.update(name="B")
    assert client.get("/books/1").content == b"B"


def test_view_within_a_view(settings: Any) -> None:
    """The outer one depends on what the inner one read, and asks for what the inner one asks for."""
    inner = memoized(
        lambda request: HttpResponse(titles(request).content + request.COOKIES["c"].encode()), cookies=["c"]
    )
    deeper = memoized(inner, label="tests.outer")
    client = serve(settings, deeper)
    for cookie in ("1", "2", "1", "2"):
        client.cookies.load({"c": cookie})
        assert client.get("/").content == b"one" + cookie.encode()
    with reads("tests.outer") as seen:
        client.get("/")
    assert [read.reason for read in seen] == ["it read the cookie 'c'"]


# Wrong options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"headers": "Accept"}, r"headers is 'Accept'; it takes a list, as in \['Accept'\]."),
        ({"headers": ["cookie"]}, r"headers is \['cookie'\]; it takes no Cookie; name cookies in cookies=."),
        ({"cookies": [1]}, r"cookies is \[1\]; it takes a list of names."),
        ({"query": "page"}, r"query is 'page'; it takes a list, as in \['page'\]."),
        ({"query": 7}, r"query is 7; it takes a list"),
        ({"user": "yes"}, r"user is 'yes'; it takes True, for a response for each user, or False."),
        ({"key": "x"}, r"key is 'x'; it takes a function that is not async."),
        ({"tags": "x"}, r"tags is 'x'; it takes a list"),
        ({"depends_on": "library.Book"}, r"depends_on is 'library.Book'; it takes a list"),
        ({"label": ""}, r"label is ''; it takes a text that is not empty."),
        ({"timeout": "1"}, r"A timeout is seconds, a timedelta or None, not '1'."),
        ({"grace": True}, r"A timeout is seconds"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    """They are errors where the view is decorated."""
    with pytest.raises(TypeError, match=message):
        memoize_view(**options)


def test_wrong_views() -> None:
    """So are views without a name, and methods that are not bound."""
    with pytest.raises(TypeError, match=r"<lambda>.* give memoize_view a label="):
        memoize_view(lambda request: HttpResponse())
    with pytest.raises(TypeError, match="decorates views, not 7"):
        memoize_view()(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"as_view\(\) was given builtins.object, which has no stable key"):
        memoize_view(ListView.as_view(extra_context={"x": object()}))
    with pytest.raises(TypeError, match=r"tests.view was called with int in place of a request; .*method_decorator"):
        memoized(titles)(7)


def _with_body(body: bytes) -> ASGIRequest:
    """A GET whose length nobody told, as a server of HTTP/2 may hand it on."""
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"host", b"testserver")]}
    return ASGIRequest(scope, BytesIO(body))


@pytest.mark.parametrize("is_read_before", [False, True])
@pytest.mark.parametrize("how", ["request.body", "request.read()", "b''.join(request)"])
def test_a_body_without_a_length_is_nobody_elses(settings: Any, how: str, is_read_before: bool) -> None:
    """Whether the view reads it or middleware has."""
    view = memoized(lambda request: HttpResponse(eval(how)))
    serve(settings, view)
    for body in (b"mine", b"yours", b"mine", b""):
        request = _with_body(body)
        if is_read_before:
            assert request.body == body
        assert view(request).content == body
