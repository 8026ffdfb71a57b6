"""django-cachebot's names. ``INSTALLED_APPS += ["everfresh", "everfresh.compat.cachebot"]``."""
