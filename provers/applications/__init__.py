"""Other people's applications: their own tests, run plain and with every table cached.

    python -m provers.applications
    python -m provers.applications --only django-treebeard --store redis --committed

Each application is taken from its source distribution, gets a virtual environment under ``.cache``, and runs its own
tests twice, by pytest. Not a file of it is changed: `provers.applications.inside` is a pytest plugin that adds
Everfresh to whatever settings the application chose. What passes without must pass with. As with
`provers.django_suite`, from which most of this is made, ``assertNumQueries`` also takes fewer queries, each test has a
namespace of its own, and every answer that is stored is read back.

A ``TestCase`` is one long transaction, in which little but the connection's own overlay can be hit. ``--committed``
runs the same tests with every write committed, which takes longer. With ``--shared`` too, all tests find in one
namespace what the tests before them stored, of rows that have the same keys and are gone.
"""
