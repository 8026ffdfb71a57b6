"""The audit log: what people have invalidated by hand, who, and when."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import models, router, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from everfresh.selections import Selection, invalidate_selection, preview

__all__ = ["Invalidation", "InvalidationManager"]


class InvalidationManager(models.Manager["Invalidation"]):
    """Where invalidations are made: ``perform`` does what ``create`` only writes down."""

    def perform(self, selection: Selection, *, user: Any = None, by: str = "") -> Invalidation:
        """Invalidate what *selection* stands for, and write it down, in one transaction.

        Inside a transaction of your own both take effect at its COMMIT. Tables of other databases than that of the log
        are invalidated before; so whatever is in the log was done.

        Args:
            selection: what was picked.
            user: who does it, of the project's user model.
            by: the name of who does it; left out: the user's.

        Raises:
            LookupError: for a model that is not installed.
            StoreUnreachable: when the store does not answer; then nothing is done.
            ValueError: when nothing is picked.

        Source: cacheme's ``Invalidation`` (CE-21).
        """
        using = router.db_for_write(self.model)
        count = preview(selection).count
        with transaction.atomic(using=using):
            row = self.using(using).create(
                user=user,
                by=(by or (user.get_username() if user is not None else ""))[:255],
                what={name: value for name, value in asdict(selection).items() if value and name != "using"},
                database=selection.using or "",
                count=count,
            )
            invalidate_selection(selection, within=using)
        return row


class Invalidation(models.Model):
    """One invalidation by hand. A row tells that it was done: to make or to save one does nothing.

    Source: cacheme's model of this name (CE-21).
    """

    at = models.DateTimeField(_("when"), default=timezone.now, editable=False, db_index=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+", verbose_name=_("user")
    )
    by = models.CharField(_("who"), max_length=255, editable=False)
    """The user's name as it was: users are renamed and deleted."""

    what = models.JSONField(_("what"), default=dict, editable=False)
    """What was picked: ``models``, ``labels``, ``pattern``, ``everything``, each where it was."""

    database = models.CharField(_("database"), max_length=100, blank=True, editable=False)
    """An alias; empty: the tables of every database."""

    count = models.PositiveBigIntegerField(_("named results"), null=True, editable=False)
    """How many were current until then; NULL: too many to find out."""

    objects = InvalidationManager()

    class Meta:
        # Nobody changes what was done.
        default_permissions = ("add", "view", "delete")
        ordering = ["-at", "-pk"]
        verbose_name = _("invalidation")
        verbose_name_plural = _("invalidations")

    def __str__(self) -> str:
        return self.summary()

    def summary(self) -> str:
        """What was invalidated, in a few words."""
        if self.what.get("everything"):
            return str(_("everything"))
        picked: list[str] = [*self.what.get("models", ()), *self.what.get("labels", ())]
        if pattern := self.what.get("pattern"):
            picked.append(str(_("names like %s") % pattern))
        more = len(picked) - _NAMED
        if more > 0:
            picked[_NAMED:] = [ngettext("%d more", "%d more", more) % more]
        return ", ".join(picked)


_NAMED = 3
"""How many of what was picked a summary names."""
