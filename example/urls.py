"""The pages of the atlas."""

from django.urls import path

from example.atlas import pages

urlpatterns = [
    path("", pages.world, name="world"),
    path("continents/<str:code>/", pages.continent, name="continent"),
    path("countries/<str:iso>/", pages.country, name="country"),
]
