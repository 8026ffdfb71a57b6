"""What a response may hold that its key does not: nothing. Such responses are given once, and it is said why."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import django
import pytest
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.test import Client, RequestFactory
from django.utils import translation
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.vary import vary_on_cookie, vary_on_headers

from everfresh.events import Outcome
from tests.functions.serving import MIDDLEWARE, memoized, outcomes, reads, serve, templates
from tests.library.models import Author, Book

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGES = (*MIDDLEWARE, "django.contrib.messages.middleware.MessageMiddleware")
View = Callable[[HttpRequest], Any]


@pytest.fixture(autouse=True)
def book() -> Book:
    """One book."""
    return Book.objects.create(id=1, author=Author.objects.create(id=1, name="A"), title="one")


@pytest.fixture
def alice() -> User:
    """Somebody who can log in."""
    return User.objects.create_user("alice")


def reasons(client: Client, *, url: str = "/", label: str = "tests.view", **options: Any) -> list[str]:
    """Why none of two requests is answered from the cache."""
    with reads(label) as seen:
        for _ in range(2):
            client.get(url, **options)
    assert outcomes(seen) == [Outcome.MISS] * 2
    return sorted({read.reason for read in seen})


def says(value: object) -> HttpResponse:
    """A response with *value* in it."""
    return HttpResponse(str(value))


def asks(expression: str) -> View:
    """A view that says what *expression* makes of its request."""
    return lambda request: says(eval(expression, {"request": request, "copy": copy, "json": json}))


# The request


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        ("request.user", "it used request.user"),
        ("request.user.is_authenticated", "it used request.user"),
        ('request.session.get("x")', "it used the session"),
        ("request.session.session_key", "it used the session"),
        ('"x" in request.session', "it used the session"),
        ('request.COOKIES.get("theme")', "it read the cookie 'theme'"),
        ('request.COOKIES["x"] if "x" in request.COOKIES else ""', "it read the cookie 'x'"),
        ('request.get_signed_cookie("x", "")', "it read the cookie 'x'"),
        ("dict(request.COOKIES)", "it read all cookies"),
        ("{**request.COOKIES}", "it read all cookies"),
        ("bool(request.COOKIES)", "it read all cookies"),
        ("request.COOKIES == {}", "it read all cookies"),
        ("json.dumps(request.COOKIES)", "it read all cookies"),
        ("copy.copy(request.COOKIES)", "it read all cookies"),
        ('request.META.get("HTTP_X_TENANT")', "it read the header X-Tenant"),
        ('request.environ.get("HTTP_X_TENANT")', "it read the header X-Tenant"),
        ('request.headers.get("x-tenant")', "it read the header X-Tenant"),
        ('"X-Tenant" in request.headers', "it read the header X-Tenant"),
        ('request.accepts("text/html")', "it read the header Accept"),
        ("list(request.headers)", "it read all headers"),
        ("len(dict(request.META))", "it read all headers"),
        ('request.META["HTTP_COOKIE"]', "it read the header Cookie"),
        ('request.META["REMOTE_ADDR"]', "it read 'REMOTE_ADDR' of request.META"),
    ],
)
def test_asked_for_and_not_declared(settings: Any, ask: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever way it is asked for, the answer is right, and is given once."""
    expected = serve(settings, asks(ask))
    expected.cookies.load({"theme": "dark"})
    client = serve(settings, memoized(asks(ask), label=f"tests.{reason}"))
    client.cookies.load({"theme": "dark"})

    assert client.get("/").content == expected.get("/").content
    assert reasons(client, label=f"tests.{reason}") == [reason]
    assert caplog.text.count(f"tests.{reason} is not cached: {reason}. ") <= 1


def test_warning_says_what_to_write(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Once for each view and each reason."""
    client = serve(settings, memoized(lambda request: says(request.COOKIES.get("theme")), label="tests.warned"))
    for _ in range(3):
        client.get("/")

    said = [record.getMessage() for record in caplog.records if "tests.warned" in record.getMessage()]
    assert [text.partition(". ")[0] for text in said] == ["tests.warned is not cached: it read the cookie 'theme'"]
    assert said[0].endswith(' Leave it out, or add it to cookies=, as in cookies=("theme",).')


@pytest.mark.parametrize(
    "ask",
    [
        "request.build_absolute_uri('/x')",
        "request.get_full_path()",
        "request.META['QUERY_STRING']",
        "request.META['PATH_INFO'] + request.META['SCRIPT_NAME'] + request.META['wsgi.url_scheme']",
        "request.is_secure()",
        "request.headers['Host']",
        "request.get_host()",
        "request.resolver_match.url_name",
        "request.GET.urlencode()",
        "request.method",
    ],
)
def test_what_every_key_holds(settings: Any, ask: str) -> None:
    """Nobody need declare it."""
    client = serve(settings, memoized(asks(ask)))
    with reads() as seen:
        for _ in range(2):
            client.get("/?a=1", headers={"Host": "a.example"})
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT]


def test_host_behind_a_proxy(settings: Any) -> None:
    """What tells host and scheme by the settings is in the key with them; the header that does not tell is not."""
    settings.USE_X_FORWARDED_HOST = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = {"X-Forwarded-Host": "a.example", "X-Forwarded-Proto": "https", "Host": "b.example"}
    client = serve(settings, memoized(lambda request: says(request.build_absolute_uri())))
    with reads() as seen:
        assert [client.get("/", headers=headers).content for _ in range(2)] == [b"https://a.example/"] * 2
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT]
    client = serve(settings, memoized(lambda request: says(request.META["HTTP_HOST"]), label="tests.raw"))
    assert reasons(client, label="tests.raw", headers=headers) == ["it read the header Host"]


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        ('request.GET.get("a")', None),
        ('request.GET.getlist("a")', None),
        ('request.GET.get("b")', "it read the parameter 'b'"),
        ('request.GET.getlist("b")', "it read the parameter 'b'"),
        ('request.GET["b"]', "it read the parameter 'b'"),
        ('"b" in request.GET', "it read the parameter 'b'"),
        ("request.GET.urlencode()", "it read all parameters of the query"),
        ("request.GET.dict()", "it read all parameters of the query"),
        ("sorted(request.GET.lists())", "it read all parameters of the query"),
        ("request.GET.copy().urlencode()", "it read all parameters of the query"),
        ("copy.copy(request.GET).urlencode()", "it read all parameters of the query"),
        ("request.get_full_path()", "it read the query string"),
    ],
)
def test_parameters_that_do_not_count(settings: Any, ask: str, reason: str | None) -> None:
    """A view that says which ones count, and then reads others."""
    expected = serve(settings, asks(ask)).get("/?a=1&b=2&a=3").content
    client = serve(settings, memoized(asks(ask), query=["a"]))
    with reads() as seen:
        assert [client.get("/?a=1&b=2&a=3").content for _ in range(2)] == [expected] * 2
    assert outcomes(seen) == ([Outcome.MISS] * 2 if reason else [Outcome.FILL, Outcome.HIT])
    assert seen[0].reason == (reason or "")


def test_request_is_what_it_was() -> None:
    """After the view, all that stood in is gone, and what the view wrote is there."""

    def view(request: Any) -> HttpResponse:
        request.META["NEW"] = 1
        request.META["CHANGED"] = 2
        del request.META["GONE"]
        request.note = "kept"
        request.user = "another"
        return says("x")

    request: Any = RequestFactory(headers={"If-None-Match": '"x"'}).head("/?a=1", CHANGED=1, GONE=1)
    request.session, request.user = object(), AnonymousUser()
    meta, cookies, query, headers, session = (
        request.META,
        request.COOKIES,
        request.GET,
        request.headers,
        request.session,
    )
    memoized(view, query=False)(request)

    assert request.META is meta is request.environ
    assert (request.COOKIES, request.GET, request.headers) == (cookies, query, headers)
    assert (request.COOKIES is cookies, request.GET is query, request.headers is headers) == (True, True, True)
    assert (request.session is session, request.note, request.user) == (True, "kept", "another")
    assert (meta["NEW"], meta["CHANGED"], "GONE" in meta) == (1, 2, False)
    assert (meta["HTTP_IF_NONE_MATCH"], meta["REQUEST_METHOD"], request.method) == ('"x"', "HEAD", "HEAD")


def test_request_is_what_it_was_after_an_error() -> None:
    """Also when the view raises."""

    def view(request: Any) -> HttpResponse:
        raise LookupError

    request = RequestFactory().get("/")
    before = {name: id(value) for name, value in vars(request).items()}
    with pytest.raises(LookupError):
        memoized(view)(request)

    assert {name: id(value) for name, value in vars(request).items() if name in before} == before


# Users and sessions


def test_one_response_for_each_user(settings: Any, alice: User) -> None:
    """With user=True, all who are not logged in are one; a page tells of its user what is true now."""
    client = serve(settings, memoized(asks("getattr(request.user, 'first_name', '') or request.user"), user=True))
    with reads() as seen:
        assert [client.get("/").content, Client().get("/").content] == [b"AnonymousUser"] * 2
        client.force_login(alice)
        assert [client.get("/").content for _ in range(2)] == [b"alice"] * 2
        User.objects.filter(pk=alice.pk).update(first_name="Al")
        assert client.get("/").content == b"Al"
        assert Client().get("/").content == b"AnonymousUser"
        assert client.get("/")["Vary"] == "Cookie"
    hit, fill = Outcome.HIT, Outcome.FILL
    assert outcomes(seen) == [fill, hit, fill, hit, fill, hit, hit]


def test_user_who_was_asked_for_before(settings: Any, alice: User) -> None:
    """Middleware or a decorator outside may have loaded the user: it is watched all the same."""
    client = serve(settings, login_required(memoized(lambda request: says(request.user))))
    client.force_login(alice)
    assert reasons(client) == ["it used request.user"]

    client = serve(settings, login_required(memoized(titles, label="tests.open")))
    client.force_login(alice)
    with reads("tests.open") as seen:
        assert "Cookie" in client.get("/")["Vary"]
        assert "Cookie" in client.get("/")["Vary"]
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT]


def titles(request: HttpRequest) -> HttpResponse:
    """Needs nothing of the request."""
    return says([book.title for book in Book.objects.all()])


def test_permissions(settings: Any, alice: User) -> None:
    """What a user remembers of permissions is asked for again, so it counts."""
    everyone = memoized(lambda request: says(request.user.has_perm("library.add_book")), user=True)
    client = serve(settings, permission_required("library.change_book", raise_exception=False)(everyone))
    content_type = ContentType.objects.get_for_model(Book)
    change, add = (
        Permission.objects.get_or_create(codename=f"{name}_book", content_type=content_type)[0]
        for name in ("change", "add")
    )
    alice.user_permissions.add(change)
    client.force_login(alice)
    with reads() as seen:
        assert [client.get("/").content for _ in range(2)] == [b"False"] * 2
        alice.user_permissions.add(add)
        assert client.get("/").content == b"True"
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT, Outcome.FILL]


def test_login_inside(settings: Any, alice: User) -> None:
    """A view that logs somebody in does so each time."""

    def view(request: HttpRequest) -> HttpResponse:
        login(request, alice, backend="django.contrib.auth.backends.ModelBackend")
        return says(request.user)

    client = serve(settings, memoized(view))
    for each in (client, Client()):
        response = each.get("/")
        assert (response.content, "sessionid" in response.cookies) == (b"alice", True)


@pytest.mark.parametrize("engine", ["db", "cache", "signed_cookies"])
def test_session(settings: Any, engine: str) -> None:
    """The session's cookie stands for all that is in the session."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"

    def view(request: HttpRequest, name: str = "") -> HttpResponse:
        if name:
            request.session["name"] = name
        return says(request.session.get("name"))

    client = serve(settings, memoized(view, cookies=["sessionid"]))
    other = Client()
    for each, name in ((client, "anna"), (other, "bert")):
        assert "sessionid" in each.get(f"/{name}").cookies
    with reads() as seen:
        for _ in range(2):
            assert (client.get("/").content, other.get("/").content) == (b"anna", b"bert")
        assert "Cookie" in client.get("/")["Vary"]
        client.get("/anja")
        assert client.get("/").content == b"anja"
    assert outcomes(seen)[:5] == [Outcome.FILL] * 2 + [Outcome.HIT] * 3
    assert seen[5].reason == "it changed the session"
    assert seen[6].outcome is Outcome.FILL


def test_session_is_not_touched_by_hits(settings: Any) -> None:
    """A view that does not use the session does not vary on it."""
    client = serve(settings, memoized(titles))

    assert ["Vary" in client.get("/") for _ in range(2)] == [False, False]


# Templates


CONTEXT = ("django.template.context_processors.csrf", "django.contrib.auth.context_processors.auth")


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ request.path }}", ""),
        ("{% csrf_token %}", "it used the CSRF token"),
        ("{{ user.username }}", "it used request.user"),
        ("{% if perms.library.add_book %}x{% endif %}", "it used request.user"),
        ("{{ request.COOKIES.theme }}", "it read the cookie 'theme'"),
        ("{{ request.session.x }}", "it used the session"),
    ],
)
def test_templates(settings: Any, source: str, reason: str, lazy: bool) -> None:
    """What a template uses counts as the view's, rendered by it or by its response."""
    templates(settings, source, *CONTEXT)

    def view(request: HttpRequest) -> HttpResponse:
        return TemplateResponse(request, "page.html") if lazy else render(request, "page.html")

    client = serve(settings, memoized(view))
    if reason:
        assert reasons(client) == [reason]
    else:
        with reads() as seen:
            assert [client.get("/").content for _ in range(2)] == [b"/", b"/"]
        assert outcomes(seen) == [Outcome.FILL, Outcome.HIT]


def test_fragment_in_a_view(settings: Any) -> None:
    """What a fragment depends on of the request, the view does, also where the fragment comes from the cache."""
    source = '{% load everfresh %}{% fragment "f" %}{{ request.COOKIES.theme }}{% endfragment %}'
    templates(settings, source, *CONTEXT)
    client = serve(settings, memoized(lambda request: render(request, "page.html")))
    client.cookies.load({"theme": "dark"})

    assert reasons(client) == ["it read the cookie 'theme'"]
    client.cookies.load({"theme": "light"})
    assert client.get("/").content == b"light"


def test_csrf_cookie_is_still_set(settings: Any) -> None:
    """What the view writes to META reaches the middleware."""
    templates(settings, "{% csrf_token %}", *CONTEXT)
    client = serve(settings, memoized(lambda request: render(request, "page.html")))

    for _ in range(2):
        assert "csrftoken" in client.get("/").cookies


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda request: messages.success(request, "saved") or says("x"), id="added"),
        pytest.param(lambda request: says(list(messages.get_messages(request))), id="shown"),
    ],
)
def test_messages(settings: Any, view: View) -> None:
    """They are shown once, and to one visitor."""
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
    client = serve(settings, memoized(view), middleware=MESSAGES)

    assert set(reasons(client)) <= {"it showed or added messages", "it read the cookie 'messages'"}


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Content security policies came with Django 6.0")
def test_nonce(settings: Any) -> None:
    """A nonce that was used is another one for each response; one that was not used does not matter."""
    templates(settings, "{% if request.GET.n %}{{ csp_nonce }}{% endif %}", "django.template.context_processors.csp")
    settings.SECURE_CSP = {"script-src": ["'self'", "<CSP_NONCE_SENTINEL>"]}
    client = serve(
        settings,
        memoized(lambda request: render(request, "page.html")),
        middleware=("django.middleware.csp.ContentSecurityPolicyMiddleware",),
    )
    nonces = {client.get("/?n=1").content for _ in range(2)}
    assert len(nonces) == 2
    assert reasons(client, url="/?n=1") == ["it used the CSP nonce"]
    with reads() as seen:
        assert [client.get("/")["Content-Security-Policy"] for _ in range(2)] == ["script-src 'self'"] * 2
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT]


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Content security policies came with Django 6.0")
def test_policy_of_one_view(settings: Any) -> None:
    """It comes back with the response where it is plain values, and goes around this decorator where it is not."""
    from django.utils.csp import CSP
    from django.views.decorators.csp import csp_override

    middleware = ("django.middleware.csp.ContentSecurityPolicyMiddleware",)
    plain = memoized(csp_override({"img-src": ["'self'"]})(titles))
    with reads() as seen:
        client = serve(settings, plain, middleware=middleware)
        assert [client.get("/")["Content-Security-Policy"] for _ in range(2)] == ["img-src 'self'"] * 2
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT]

    inside = memoized(csp_override({"img-src": [CSP.SELF]})(titles), label="tests.inside")
    client = serve(settings, inside, middleware=middleware)
    assert reasons(client, label="tests.inside") == ["its response carries _csp_config, which cannot be stored"]


# Responses


def _with_cookie() -> HttpResponse:
    response = says("x")
    response.set_cookie("seen", "1")
    return response


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (lambda request: _with_cookie(), "its response sets the cookie 'seen'"),
        (lambda request: StreamingHttpResponse(["x"]), "its response is streamed"),
        (lambda request: HttpResponse(status=201), "its response has the status 201"),
        (lambda request: HttpResponse(status=500), "its response has the status 500"),
        (lambda request: HttpResponse(status=302, headers={"Location": "/x"}), "its response has the status 302"),
        (lambda request: HttpResponse(status=404), "its response has the status 404"),
        (cache_control(no_store=True)(titles), "its response has Cache-Control: no-store"),
        (cache_control(private=True)(titles), "its response has Cache-Control: private"),
        (vary_on_cookie(titles), "its response has Vary: cookie"),
        (vary_on_headers("Accept", "X-B")(titles), "its response has Vary: accept, x-b"),
        (vary_on_headers("Accept-Language")(titles), "its response has Vary: accept-language"),
        (vary_on_headers("*")(titles), "its response has Vary: *"),
    ],
    ids=lambda value: value if isinstance(value, str) else "view",
)
def test_responses_that_are_not_stored(settings: Any, view: View, reason: str) -> None:
    """Each says why, and reaches the visitor as it is."""
    plain = serve(settings, view).get("/")
    client = serve(settings, memoized(view))

    assert reasons(client) == [reason]
    found = client.get("/")
    assert (found.status_code, found.headers, found.cookies.keys()) == (
        plain.status_code,
        plain.headers,
        plain.cookies.keys(),
    )
    assert found.getvalue() == plain.getvalue()


@pytest.mark.parametrize(
    ("view", "options"),
    [
        (cache_control(private=True)(titles), {"user": True}),
        (vary_on_cookie(titles), {"user": True}),
        (vary_on_cookie(titles), {"cookies": ["theme"]}),
        (vary_on_headers("Accept")(titles), {"headers": ["accept"]}),
    ],
    ids=["private", "user", "cookie", "header"],
)
def test_responses_that_are_declared(settings: Any, view: View, options: dict[str, Any]) -> None:
    """What is private or varies, and whose key says so, is stored."""
    client = serve(settings, memoized(view, **options))
    with reads() as seen:
        assert [client.get("/").status_code for _ in range(2)] == [200, 200]
    assert outcomes(seen) == [Outcome.FILL, Outcome.HIT]


def test_never_cache_means_it(settings: Any) -> None:
    """With user=True, too."""
    client = serve(settings, memoized(never_cache(titles), user=True))

    assert reasons(client)[0].startswith("its response has Cache-Control: max-age=0, no-cache")


def test_language_by_middleware(settings: Any) -> None:
    """The language in force is in the key, so what middleware around the view does is fine."""
    client = serve(
        settings,
        memoized(lambda request: says(translation.get_language())),
        middleware=("django.middleware.locale.LocaleMiddleware",),
    )
    # What the middleware activates stays in force.
    with translation.override("en"):
        for language in ("nl", "de", "nl", "de"):
            response = client.get("/", headers={"Accept-Language": language})
            assert (response.content.decode(), response["Vary"]) == (language, "Accept-Language")


def test_no_response_at_all(settings: Any) -> None:
    """Django says what is wrong, as ever."""
    client = serve(settings, memoized(lambda request: None))

    with pytest.raises(ValueError, match="It returned None instead"):
        client.get("/")
