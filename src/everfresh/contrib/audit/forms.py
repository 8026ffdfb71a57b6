"""The form in which an operator picks what to invalidate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import connections
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from everfresh.names import is_tag, tag_label
from everfresh.selections import Selection, watched_models

__all__ = ["SelectionForm"]

_TAGS = 200
"""Tags to choose from; of more than these people write down which they mean."""

_MODELS = "models_"


class _Boxes(forms.CheckboxSelectMultiple):
    def __init__(self) -> None:
        # The admin's own class for lists of choices.
        super().__init__(attrs={"class": "radiolist"})


class _LabelsField(forms.MultipleChoiceField):
    """Labels to choose from; one that was on the page and is gone since is no error."""

    widget = _Boxes

    def valid_value(self, value: object) -> bool:
        return True


class SelectionForm(forms.Form):
    """Everything that can be picked, and nothing that is.

    Args:
        known: the labels to choose from.
    """

    labels = _LabelsField(label=gettext_lazy("Functions, nodes and fragments"), required=False)
    tags = _LabelsField(label=gettext_lazy("Tags"), required=False)
    other_tags = forms.CharField(
        label=gettext_lazy("Other tags"),
        required=False,
        widget=forms.Textarea(attrs={"class": "vLargeTextField", "rows": 3}),
        help_text=gettext_lazy("One in a line."),
    )
    pattern = forms.CharField(
        label=gettext_lazy("Names like"),
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy(
            "Of results of functions, nodes and fragments. * stands for anything, ? for one character, [ab] for one of "
            "these. Upper and lower case differ. Book:1* means Book:1 and Book:12."
        ),
    )
    everything = forms.BooleanField(
        label=gettext_lazy("Everything"),
        required=False,
        help_text=gettext_lazy(
            "Every table and every result. The database then answers all, until the cache is filled anew."
        ),
    )
    database = forms.ChoiceField(
        label=gettext_lazy("Tables of"),
        required=False,
        help_text=gettext_lazy("For models and for everything. Results that read such a table go with it."),
    )

    def __init__(self, data: Any = None, *, known: Iterable[str]) -> None:
        super().__init__(data)
        self._apps: dict[str, dict[str, str]] = {}
        for model in watched_models():
            meta = model._meta
            self._apps.setdefault(meta.app_label, {})[meta.label] = (
                f"{capfirst(meta.verbose_name_plural)} ({meta.label})"
            )
        for app, by_label in self._apps.items():
            self.fields[f"{_MODELS}{app}"] = forms.MultipleChoiceField(
                label=apps.get_app_config(app).verbose_name,
                required=False,
                choices=sorted(by_label.items(), key=lambda choice: str(choice[1]).casefold()),
                widget=_Boxes(),
            )
        # What was picked stays on the page, whether the store still tells of it or not.
        picked = [label for name in ("labels", "tags") for label in (data.getlist(name) if data else ())]
        known = dict.fromkeys([*picked, *known])
        tags = [label for label in known if is_tag(label)]
        self._choose("labels", [(label, label) for label in known if not is_tag(label)])
        self._choose("tags", [(label, label.removeprefix(tag_label(""))) for label in tags[:_TAGS]])
        if len(tags) > _TAGS:
            self.fields["tags"].help_text = _("The first %(shown)d of %(all)d.") % {"shown": _TAGS, "all": len(tags)}
        aliases = [(alias, alias) for alias in connections]
        if len(aliases) > 1:
            self._choose("database", [("", _("every database")), *aliases])
        else:
            del self.fields["database"]

    def fieldsets(self) -> list[tuple[str, dict[str, list[str]]]]:
        """For the admin: what stands together."""
        models = [f"{_MODELS}{app}" for app in self._apps]
        chosen = [name for name in ("labels", "tags") if self._field(name).choices]
        whole: list[str] = [name for name in ("everything", "database") if name in self.fields]
        return [
            (_("Results"), {"fields": [*chosen, "other_tags", "pattern"]}),
            (_("Answers that read tables"), {"fields": models}),
            (_("More"), {"fields": whole}),
        ]

    def clean(self) -> dict[str, Any]:
        """Refuse when nothing is picked."""
        cleaned = super().clean() or {}
        if not self.errors and not self.selection:
            raise ValidationError(_("Nothing is picked. Pick at least one, or write a pattern."))
        return cleaned

    @property
    def selection(self) -> Selection:
        """What was picked."""
        picked = self.cleaned_data
        written = filter(None, map(str.strip, picked["other_tags"].splitlines()))
        labels = [*picked["labels"], *picked["tags"], *map(tag_label, written)]
        return Selection(
            models=tuple(label for app in self._apps for label in picked[f"{_MODELS}{app}"]),
            labels=tuple(dict.fromkeys(labels)),
            pattern=picked["pattern"],
            everything=picked["everything"],
            using=picked.get("database") or None,
        )

    def _choose(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        self._field(name).choices = choices

    def _field(self, name: str) -> Any:
        return self.fields[name]
