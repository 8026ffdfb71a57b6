"""Everfresh beside plain Django, cacheops and cachalot, in one run on one machine: ``make bench``."""
