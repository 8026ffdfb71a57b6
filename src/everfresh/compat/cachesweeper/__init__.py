"""django-cache-sweeper's names: ``from everfresh.compat.cachesweeper.utils import invalidate_cache_for``.

What is different, and why, is in the manual: migrating from cache-sweeper.
"""
