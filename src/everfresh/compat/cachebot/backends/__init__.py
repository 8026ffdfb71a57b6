"""cachebot's cache backends: Django's own, with a few methods more. Everfresh itself needs none of them."""
