"""The admin's page: pick, see what it touches, confirm; and the log of what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import AdminErrorList, AdminForm
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from everfresh.contrib.audit.forms import SelectionForm
from everfresh.contrib.audit.models import Invalidation
from everfresh.exceptions import InvalidationNotSent, StoreUnreachable
from everfresh.names import labels
from everfresh.selections import Preview, Selection, preview

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Invalidation]
else:
    ModelAdmin = admin.ModelAdmin

__all__ = ["InvalidationAdmin"]

_SHOWN = 20
"""Names of a pattern that the preview shows."""


@admin.register(Invalidation)
class InvalidationAdmin(ModelAdmin):
    """Who may add may invalidate, who may view may look, and nobody changes what was done."""

    list_display = ("summary", "by", "at", "count")
    list_filter: ClassVar = ["at", ("user", admin.RelatedOnlyFieldListFilter)]
    search_fields = ("by",)
    fields = ("at", "by", "user", "models_", "labels_", "pattern", "database_", "count")
    add_form_template = "admin/everfresh_audit/invalidation/add_form.html"

    # The log

    @admin.display(description=gettext_lazy("what"))
    def summary(self, row: Invalidation) -> str:
        """In a few words."""
        return row.summary()

    @admin.display(description=gettext_lazy("models"))
    def models_(self, row: Invalidation) -> str:
        """One in a line."""
        return _("everything") if row.what.get("everything") else self._lines(row.what.get("models"))

    @admin.display(description=gettext_lazy("functions, nodes, fragments and tags"))
    def labels_(self, row: Invalidation) -> str:
        """One in a line."""
        return self._lines(row.what.get("labels"))

    @admin.display(description=gettext_lazy("pattern"))
    def pattern(self, row: Invalidation) -> str:
        """As it was written."""
        return row.what.get("pattern") or self.get_empty_value_display()

    @admin.display(description=gettext_lazy("database"))
    def database_(self, row: Invalidation) -> str:
        """Whose tables were meant."""
        return row.database or _("every database")

    def _lines(self, items: list[str] | None) -> str:
        if not items:
            return self.get_empty_value_display()
        return format_html_join(SafeString("<br>"), "{}", ((item,) for item in items))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invalidation]:
        """Past the cache: whoever looks here may doubt it."""
        return super().get_queryset(request).nocache()  # type: ignore[attr-defined, no-any-return]

    def get_readonly_fields(self, request: HttpRequest, obj: Invalidation | None = None) -> Any:
        """All of them."""
        return self.fields

    def has_change_permission(self, request: HttpRequest, obj: Invalidation | None = None) -> bool:
        """Nobody has it."""
        return False

    # The page

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Pick; then, posted by its button, what that touches; then, by the button there, the deed."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        data = request.POST if request.method == "POST" else None
        form, touched = SelectionForm(data, known=()), None
        try:
            form = SelectionForm(data, known=labels())
            if data is not None and "_again" not in data and form.is_valid():
                touched = preview(form.selection)
                if "_confirm" in data:
                    return self._perform(request, form.selection, touched)
        except (StoreUnreachable, InvalidationNotSent) as error:
            self.message_user(request, str(error), messages.ERROR)
        return self._page(request, form, touched, form_url, extra_context)

    def _perform(self, request: HttpRequest, selection: Selection, touched: Preview) -> HttpResponse:
        user: Any = request.user
        row = Invalidation.objects.perform(selection, user=user)
        self.log_addition(request, row, [{"added": {}}])
        if touched.unknown:
            text = _("Nothing was listed under %s.") % ", ".join(touched.unknown)
            self.message_user(request, text, messages.WARNING)
        if row.count is None:
            text = _("Invalidated: %s.") % row.summary()
        else:
            text = ngettext(
                "Invalidated: %(what)s. %(count)d named result went stale.",
                "Invalidated: %(what)s. %(count)d named results went stale.",
                row.count,
            ) % {"what": row.summary(), "count": row.count}
        self.message_user(request, text, messages.SUCCESS)
        return self.response_post_save_add(request, row)

    def _page(
        self,
        request: HttpRequest,
        form: SelectionForm,
        touched: Preview | None,
        form_url: str,
        extra_context: dict[str, Any] | None,
    ) -> HttpResponse:
        # A plain form, which the admin shows like one of a model.
        shown: Any = form
        adminform = AdminForm(shown, form.fieldsets(), {}, (), model_admin=self)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Invalidate") if touched is None else _("Invalidate this?"),
            "adminform": adminform,
            "errors": AdminErrorList(shown, []) if touched is None and "_again" not in request.POST else [],
            "media": self.media + adminform.media,
            "inline_admin_formsets": [],
            "object_id": None,
            "original": None,
            "is_popup": False,
            "to_field": None,
            "preserved_filters": self.get_preserved_filters(request),
            "touched": touched,
            "selection": form.selection if touched else None,
            "shown": touched.names[:_SHOWN] if touched else (),
            "unshown": max(0, len(touched.names) - _SHOWN) if touched else 0,
            **(extra_context or {}),
        }
        return self.render_change_form(request, context, add=True, form_url=form_url)
