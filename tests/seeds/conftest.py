"""The rows of cachebot's README."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.seeds.photos.models import Message, Photo


@pytest.fixture
def photos() -> list[Photo]:
    """Two of one user, with messages."""
    user = User.objects.create(username="david")
    made = [Photo.objects.create(user=user, status=status) for status in (1, 2)]
    for photo in made:
        Message.objects.create(photo=photo, sender=user)
    return made
