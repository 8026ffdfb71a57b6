"""Other projects than that of the tests, each in a process of its own: run as ``python -m tests.audit.projects NAME``.

``custom_user``
    Its user model is its own; somebody invalidates by the admin's page.

``no_admin``
    It has the log and no admin; migrations, checks and ``perform()`` work.

It prints what is in the log afterwards, as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django
from django.conf import settings

COMMON: dict[str, Any] = {
    "SECRET_KEY": "not a secret, only long enough to be taken for one",
    "USE_TZ": True,
    "DEBUG": True,
    "ALLOWED_HOSTS": ["testserver"],
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    "CACHES": {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    },
}


def custom_user() -> None:
    """The whole way through the admin's page."""
    from tests import settings as ours

    names = ("MIDDLEWARE", "TEMPLATES", "ROOT_URLCONF", "PASSWORD_HASHERS", "STATIC_URL")
    # Its own user model points to tables that migrations make.
    others = [name for name in ours.INSTALLED_APPS if not name.startswith("tests.")]
    settings.configure(
        **COMMON,
        **{name: getattr(ours, name) for name in names},
        INSTALLED_APPS=[*others, "tests.audit.people"],
        AUTH_USER_MODEL="people.Person",
    )
    _migrate()
    from django.contrib.auth.models import Permission
    from django.test import Client

    from tests.audit.people.models import Person

    ann = Person.objects.create("ann@example.org", "pw", is_staff=True)
    eve = Person.objects.create("eve@example.org", "pw", is_staff=True)
    ann.user_permissions.add(*Permission.objects.filter(content_type__app_label="everfresh_audit"))
    for person, code in ((eve, 403), (ann, 302)):
        client = Client()
        client.force_login(person)
        response = client.post(
            "/admin/everfresh_audit/invalidation/add/", {"models_people": ["people.Person"], "_confirm": "x"}
        )
        assert response.status_code == code, response.content
    assert client.get("/admin/everfresh_audit/invalidation/").status_code == 200
    assert client.get("/admin/everfresh_audit/invalidation/1/change/").status_code == 200


def no_admin() -> None:
    """By code alone."""
    settings.configure(
        **COMMON,
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "everfresh",
            "everfresh.contrib.audit",
        ],
    )
    _migrate()
    from django.core.management import call_command

    from everfresh.contrib.audit.models import Invalidation
    from everfresh.selections import Selection

    Invalidation.objects.perform(Selection(models=("auth.User",)), by="ann")
    call_command("everfresh_invalidate", "--all", "--noinput", stdout=sys.stderr)


def _migrate() -> None:
    django.setup()
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)
    call_command("check", fail_level="WARNING", stdout=sys.stderr)


if __name__ == "__main__":
    {"custom_user": custom_user, "no_admin": no_admin}[sys.argv[1]]()
    from everfresh.contrib.audit.models import Invalidation

    rows = Invalidation.objects.order_by("pk").values_list("by", "user", "what")
    print(json.dumps([[by, str(user), what] for by, user, what in rows]))  # noqa: T201
