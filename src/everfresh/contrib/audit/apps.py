"""The Django app of the audit log."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

__all__ = ["AuditConfig"]


class AuditConfig(AppConfig):
    """``INSTALLED_APPS += ["everfresh.contrib.audit"]``, then ``manage.py migrate``."""

    name = "everfresh.contrib.audit"
    label = "everfresh_audit"
    verbose_name = _("Everfresh")
    default_auto_field = "django.db.models.BigAutoField"
