"""The admin's page: pick, see, confirm; who may, and what is left behind."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from everfresh.contrib.audit import forms
from everfresh.contrib.audit.models import Invalidation
from everfresh.exceptions import InvalidationNotSent
from everfresh.names import labels
from everfresh.selections import Selection
from everfresh.stores import current_store
from tests.audit.conftest import Results, Staff

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/everfresh_audit/invalidation/"
ADD = f"{LIST}add/"
ALL = {"Book:1", "Book:2", "Mail:1"}


@pytest.fixture
def client(staff: Staff) -> Client:
    """Somebody who may invalidate and look."""
    client = Client()
    client.force_login(staff("add", "view"))
    return client


def post(client: Client, button: str, **data: Any) -> Any:
    """Press *button* with *data* picked; gives the response, after redirects."""
    return client.post(ADD, {**data, f"_{button}": "x"}, follow=True)


def text(response: Any) -> str:
    """What a page says, without its markup."""
    body = re.sub(r"<(script|style).*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


class Controls(HTMLParser):
    """The inputs of a page, and what labels them."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.inputs: list[dict[str, str | None]] = []
        self.labelled: set[str | None] = set()
        self.feed(response.content.decode().partition('id="content-main"')[2])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "label":
            self.labelled.add(found.get("for"))
        elif tag in {"input", "textarea", "select", "option"}:
            self.inputs.append({"tag": tag, **found})


# Picking


@pytest.mark.seeds("CE-21", "CE-F10")
def test_nothing_is_picked_beforehand(results: Results, client: Client) -> None:
    """No box is ticked and no pattern filled in: whoever picks one thing gets one thing."""
    response = client.get(ADD)
    controls = Controls(response).inputs
    assert not [each for each in controls if "checked" in each]
    assert [each.get("value") for each in controls if each.get("type") == "text"] == [None]
    assert [each["value"] for each in controls if "selected" in each] == [""]
    assert '<textarea name="other_tags"' in response.content.decode()


@pytest.mark.seeds("CE-21")
def test_what_can_be_picked(results: Results, client: Client) -> None:
    """What any process has stored, though this one never heard of the module, and the models the cache looks at."""
    response = client.get(ADD)
    values = {each.get("value") for each in Controls(response).inputs}
    assert {"shop.page", "post.mail", "tag:news", "tag:sale, summer", "library.Book", "default", "other"} <= values
    assert "sessions.Session" not in values
    assert "Books (library.Book)" in text(response)


def test_every_control_has_a_label(results: Results, client: Client) -> None:
    """For those who do not see the page."""
    controls = Controls(client.get(ADD))
    shown = [
        each for each in controls.inputs if each["tag"] != "option" and each.get("type") not in ("hidden", "submit")
    ]
    assert len(shown) > 20
    assert [each for each in shown if each.get("id") not in controls.labelled] == []


def test_nothing_picked(results: Results, client: Client) -> None:
    """An error, not a preview; to confirm it does nothing either."""
    for button in ("preview", "confirm"):
        page = text(post(client, button, pattern="  "))
        assert "Nothing is picked. Pick at least one, or write a pattern." in page
        assert "Invalidate this?" not in page
    assert results.current() == ALL


def test_unknown_model(results: Results, client: Client) -> None:
    """Only those on the page."""
    assert "Select a valid choice" in text(post(client, "confirm", models_library=["library.Nothing"]))
    assert not Invalidation.objects.exists()


def test_many_tags(results: Results, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not all are shown; those that are not can be written, one in a line, commas and all."""
    monkeypatch.setattr(forms, "_TAGS", 1)
    response = client.get(ADD)
    assert "The first 1 of 2." in text(response)
    assert "tag:sale, summer" not in {each.get("value") for each in Controls(response).inputs}
    post(client, "confirm", other_tags="sale, summer\r\n\r\n news \r\n")
    assert Invalidation.objects.get().what == {"labels": ["tag:sale, summer", "tag:news"]}
    assert results.current() == {"Mail:1"}


# Seeing


@pytest.mark.seeds("CE-21")
def test_preview(results: Results, client: Client) -> None:
    """It says what would go, and does nothing."""
    page = text(
        post(
            client,
            "preview",
            labels=["shop.page"],
            tags=["tag:sale, summer"],
            pattern="Mail:*",
            models_library=["library.Author"],
        )
    )
    assert "3 named results that are current now go stale." in page
    assert "shop.page 2 tag:sale, summer 1" in page
    assert "1 name like Mail:* Mail:1" in page
    assert "Every cached answer that reads these tables" in page
    assert "library.Author 1" in page
    assert results.current() == ALL
    assert not Invalidation.objects.exists()


def test_preview_of_many_names(results: Results, client: Client) -> None:
    """The first twenty, and how many more."""
    for number in range(25):
        results(f"Many:{number:02}")
    page = text(post(client, "preview", pattern="Many:*"))
    assert "25 names like Many:*" in page
    assert "Many:19 and 5 more" in page


@pytest.mark.parametrize(
    ("database", "words"),
    [
        ("", "All tables of every database, and every result."),
        ("other", "All tables of the database other."),
    ],
)
def test_preview_of_everything(results: Results, client: Client, database: str, words: str) -> None:
    """It says so in full."""
    assert words in text(post(client, "preview", everything="on", database=database))


def test_names_are_text(results: Results, client: Client) -> None:
    """Markup in them is shown, not run."""
    results("<b>x</b>", label="<i>y</i>", tags=("<u>z</u>",))
    data = {"labels": ["<i>y</i>"], "tags": ["tag:<u>z</u>"], "pattern": "<b>*"}
    pages = [client.get(ADD), post(client, "preview", **data), post(client, "confirm", **data)]
    pages += [client.get(f"{LIST}{Invalidation.objects.get().pk}/change/")]
    for page in pages:
        assert not re.search(r"<b>x|<i>y|<u>z|<b>\*", page.content.decode())


def test_picked_again(results: Results, client: Client) -> None:
    """Back at the form, what was picked is still picked."""
    response = post(client, "again", labels=["post.mail"], pattern="x*", models_library=["library.Tag"])
    controls = Controls(response).inputs
    assert {each["value"] for each in controls if "checked" in each} == {"post.mail", "library.Tag"}
    assert [each.get("value") for each in controls if each.get("type") == "text"] == ["x*"]


# Doing


@pytest.mark.seeds("CE-21")
def test_confirmed(results: Results, client: Client) -> None:
    """It is done, written down under the name of who did it, and said."""
    response = post(client, "confirm", tags=["tag:sale, summer"])
    assert "Invalidated: tag:sale, summer. 1 named result went stale." in text(response)
    assert results.current() == {"Book:2", "Mail:1"}
    row = Invalidation.objects.get()
    assert (row.by, row.what) == ("ann", {"labels": ["tag:sale, summer"]})
    assert row.user is not None
    assert LogEntry.objects.get().object_id == str(row.pk)


def test_what_the_preview_holds_is_what_is_confirmed(results: Results, client: Client) -> None:
    """Its hidden inputs pick the same, whatever was picked."""
    data: dict[str, Any] = {
        "labels": ["shop.page"],
        "tags": ["tag:sale, summer", "tag:news"],
        "other_tags": "one\r\ntwo, three",
        "pattern": 'a"b*',
        "models_library": ["library.Book", "library.Tag"],
        "models_auth": ["auth.User"],
        "database": "other",
    }
    response = post(client, "preview", **data)
    sent: dict[str, list[str]] = {}
    for each in Controls(response).inputs:
        if each.get("type") == "hidden":
            sent.setdefault(str(each["name"]), []).append(each.get("value") or "")
    client.post(ADD, {**sent, "_confirm": "x"})
    row = Invalidation.objects.get()
    assert row.database == "other"
    assert row.what == {
        "models": ["auth.User", "library.Book", "library.Tag"],
        "labels": ["shop.page", "tag:sale, summer", "tag:news", "tag:one", "tag:two, three"],
        "pattern": 'a"b*',
    }


def test_gone_since(results: Results, client: Client) -> None:
    """A label that nobody lists any more is said, and is no error."""
    response = post(client, "confirm", labels=["gone.since", "post.mail"])
    assert "Nothing was listed under gone.since." in text(response)
    assert results.current() == {"Book:1", "Book:2"}


def test_csrf(results: Results, staff: Staff) -> None:
    """Another site cannot press the button."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff("add"))
    assert client.post(ADD, {"labels": ["shop.page"], "_confirm": "x"}).status_code == 403
    assert results.current() == ALL


def test_get_does_nothing(results: Results, client: Client) -> None:
    """Whatever is in the address."""
    client.get(f"{ADD}?labels=shop.page&_confirm=x&pattern=*")
    assert results.current() == ALL


# The store


def test_store_down(results: Results, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said on the page; nothing is done and nothing written down."""

    def fails(*_: Any) -> None:
        raise OSError("nobody there")

    monkeypatch.setattr(current_store().store, "enrolled", fails, raising=False)
    pages = [client.get(ADD)]
    pages += [
        post(client, button, models_library=["library.Book"], labels=["shop.page"]) for button in ("preview", "confirm")
    ]
    for page in pages:
        assert page.status_code == 200
        assert text(page).count("The cache store does not answer") == 1
    assert {each["value"] for each in Controls(pages[-1]).inputs if "checked" in each} == {"library.Book", "shop.page"}
    monkeypatch.undo()
    labels()  # it answers again
    assert results.current() == ALL
    assert not Invalidation.objects.exists()


def test_not_sent(results: Results, client: Client, configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that goes away at the last moment, where such writes are refused: the same."""
    configure(ON_MARK_FAILURE="raise")
    post(client, "preview", labels=["shop.page"])

    def fails(*_: Any) -> None:
        raise InvalidationNotSent("The marks could not be sent.")

    monkeypatch.setattr(current_store(), "mark", fails)
    page = post(client, "confirm", labels=["shop.page"])
    assert "The marks could not be sent." in text(page)
    monkeypatch.undo()
    assert not Invalidation.objects.exists()


# The log


@pytest.mark.seeds("CE-21")
def test_list(results: Results, client: Client) -> None:
    """Who, what, when and how many."""
    Invalidation.objects.perform(Selection(pattern="Book:*"), by="bob")
    page = text(client.get(LIST))
    assert "names like Book:* bob" in page
    assert "1 invalidation" in page
    assert client.get(f"{LIST}?q=bob").status_code == 200


@pytest.mark.seeds("CE-21")
def test_row_is_read_only(results: Results, client: Client) -> None:
    """It shows all that was picked and has nothing to press; to post to it is refused."""
    row = Invalidation.objects.perform(
        Selection(labels=("tag:sale, summer", "shop.page"), models=("library.Tag",), pattern="x*"), by="bob"
    )
    address = f"{LIST}{row.pk}/change/"
    response = client.get(address)
    assert "View invalidation" in text(response)
    assert "tag:sale, summer<br>shop.page" in response.content.decode()
    assert not [each for each in Controls(response).inputs if each.get("type") != "hidden"]
    assert client.post(address, {"by": "eve"}).status_code == 403
    row.refresh_from_db()
    assert row.by == "bob"


@pytest.mark.seeds("CE-21")
def test_an_old_row_leaves_the_form_alone(results: Results, client: Client) -> None:
    """After looking at one, everything can be picked as before."""
    row = Invalidation.objects.perform(Selection(labels=("tag:news",)))
    before = Controls(client.get(ADD)).inputs
    client.get(f"{LIST}{row.pk}/change/")
    after = Controls(client.get(ADD)).inputs
    assert not [each for each in after if "disabled" in each or "checked" in each]
    assert [each for each in before if each.get("name") != "csrfmiddlewaretoken"] == [
        each for each in after if each.get("name") != "csrfmiddlewaretoken"
    ]


# Who may


@pytest.mark.parametrize(
    ("permissions", "codes"),
    [
        ((), (403, 403, 403, 403)),
        (("view",), (200, 403, 200, 403)),
        (("add",), (403, 200, 403, 403)),
        (("view", "delete"), (200, 403, 200, 200)),
        (("add", "view", "delete"), (200, 200, 200, 200)),
    ],
    ids=str,
)
def test_permissions(results: Results, staff: Staff, permissions: tuple[str, ...], codes: tuple[int, ...]) -> None:
    """To add is to invalidate, to view is to look, to delete is Django's; nobody may change."""
    row = Invalidation.objects.create(by="bob", what={"pattern": "*"})
    client = Client()
    client.force_login(staff(*permissions))
    addresses = (LIST, ADD, f"{LIST}{row.pk}/change/", f"{LIST}{row.pk}/delete/")
    assert tuple(client.get(address).status_code for address in addresses) == codes
    posted = client.post(ADD, {"labels": ["shop.page"], "_confirm": "x"})
    assert posted.status_code == (302 if "add" in permissions else 403)
    assert results.current() == ({"Mail:1"} if "add" in permissions else ALL)


def test_superuser_cannot_change(results: Results, client: Client, staff: Staff, django_user_model: Any) -> None:
    """Not even there is anything to save."""
    row = Invalidation.objects.create(by="bob", what={"pattern": "*"})
    client.force_login(django_user_model.objects.create_superuser("root", password="pw"))
    assert client.post(f"{LIST}{row.pk}/change/", {"by": "eve"}).status_code == 403


def test_strangers_log_in_first(results: Results) -> None:
    """Nothing is done on the way."""
    response = Client().post(ADD, {"labels": ["shop.page"], "_confirm": "x"})
    assert (response.status_code, "/login/" in response["Location"]) == (302, True)
    assert results.current() == ALL
