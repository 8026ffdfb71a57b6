"""The admin, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.urls import path

if TYPE_CHECKING:
    from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = [path("admin/", admin.site.urls)]
