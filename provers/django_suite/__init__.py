"""Django's own test suite, run plain and with every table cached: what passes without must pass with.

    python -m provers.django_suite --db sqlite --store locmem
    python -m provers.django_suite --db postgresql --store redis --labels queries expressions

The suite is that of the installed Django, from its source distribution. Nothing in it is changed, but that
``assertNumQueries`` also takes fewer queries than it was told: a cache is there to ask fewer. ``expected.py`` lists the
tests that check something a cache must change, each with its reason.

A cache that stands aside would pass too, so the run counts hits, and demands some of each label
(``minimum_hits.json``).
"""
