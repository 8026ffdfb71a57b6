"""Reading and writing, from versions to versions (DESIGN section 4)."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

RACES = "tests/protocol/test_races.py"
LOSSES = "tests/protocol/test_losses.py"
READING = "tests/test_reading.py"

MUTANTS = [
    Mutant(
        rule="versions are taken before the query",
        file="reading/one.py",
        old="    fill = store.begin_fill(wanted.key, wanted.names, limits.lease_seconds)",
        new="    found = compute()\n    compute = lambda: found\n"
        "    fill = store.begin_fill(wanted.key, wanted.names, limits.lease_seconds)",
        tests=RACES,
    ),
    Mutant(
        rule="an entry is stored with the versions that were taken",
        file="reading/one.py",
        old="pack(value, fill.versions, body)",
        new="pack(value, store.read(wanted.key, wanted.names).versions, body)",
        tests=READING,
    ),
    Mutant(
        rule="a tag that is missing or pending has moved",
        file="clauses.py",
        old="was is None or was != now",
        new="was is not None and now is not None and was != now",
        tests=RACES,
    ),
    Mutant(
        rule="a version that changed has moved",
        file="clauses.py",
        old="was is None or was != now",
        new="was is None or now is None",
        tests=RACES,
    ),
    Mutant(
        rule="a stale entry is not served",
        file="reading/entries.py",
        old="if stored is None or clauses.stale_between(stored, live):",
        new="if stored is None:",
        tests=RACES,
    ),
    Mutant(
        rule="a tag that moved in a group whose other groups did not is no harm",
        file="reading/entries.py",
        old="if stored is None or clauses.stale_between(stored, live):",
        new="if True:",
        tests="tests/matrix/test_precision.py",
    ),
    Mutant(
        rule="nothing is stored that would be stale at once",
        file="reading/entries.py",
        old="    if wanted.clauses.stale([version is None for version in versions]):",
        new="    if False:",
        tests=f"{RACES} {LOSSES}",
    ),
    Mutant(
        rule="who has no lease stores nothing",
        file="reading/one.py",
        old="    if fill.lease is None:\n        with computing():\n            return",
        new="    fill = type(fill)(lease=fill.lease or b'', versions=fill.versions)\n"
        "    if fill.lease is None:\n        with computing():\n            return",
        tests=LOSSES,
    ),
    Mutant(
        rule="a reader that stores nothing gives its lease back",
        file="reading/one.py",
        old="        if not stored:\n",
        new="        if False:\n",
        tests=LOSSES,
    ),
    Mutant(
        rule="writes are marked before COMMIT",
        file="journal.py",
        old="            store.mark(names, writer, lasts, list(held))\n",
        new="            pass\n",
        tests=RACES,
    ),
    Mutant(
        rule="the mark comes before COMMIT, not after it",
        file="writing/transactions.py",
        old="        with journal_of(connection).committing():\n            run()\n    except",
        new="        run()\n        with journal_of(connection).committing():\n            pass\n    except",
        tests=RACES,
    ),
    Mutant(
        rule="done after COMMIT",
        file="journal.py",
        old="so it counts as done.\n            store.done(names, writer, held, wait=monotonic() > stands_until)",
        new="so it counts as done.\n            pass",
        tests=RACES,
    ),
    Mutant(
        rule="done comes after COMMIT, not before it",
        file="journal.py",
        old="            store.keep([*tags, *held], writer)\n        try:\n            yield\n        finally:",
        new="            store.keep([*tags, *held], writer)\n        store.done(names, writer, held)\n"
        "        try:\n            yield\n        finally:\n            return",
        tests=RACES,
    ),
    Mutant(
        rule="a COMMIT that raised counts as done",
        file="journal.py",
        old="        try:\n            yield\n        finally:\n            # A COMMIT",
        new="        try:\n            yield\n        except KeyboardInterrupt:\n            raise\n        else:\n"
        "            # A COMMIT",
        tests="tests/transactions/test_commits.py",
    ),
    Mutant(
        rule="a lone write of raw SQL is marked and done",
        file="journal.py",
        old='            with self.publishing(dict.fromkeys([*names, *told], "")):',
        new="            if True:",
        tests="tests/test_raw_sql.py",
    ),
    Mutant(
        rule="one writer's mark ends with its own done alone",
        file="journal.py",
        old="store, writer = current_store(), token_hex(8)",
        new="store, writer = current_store(), 'writer'",
        tests=RACES,
        store="redis",
    ),
    Mutant(
        rule="nothing is marked for a rollback",
        file="writing/transactions.py",
        old="        run()\n        journal.forget()",
        new="        with journal.committing():\n            run()",
        tests=f"{RACES} tests/test_budgets.py",
    ),
    # When the store does not answer
    Mutant(
        rule="a write that cannot be announced is not trusted meanwhile",
        file="journal.py",
        old="            store.keep([*tags, *held], writer)\n",
        new="            pass\n",
        tests="tests/test_outage.py",
    ),
    Mutant(
        rule="by the policy, a write that cannot be announced fails",
        file="journal.py",
        old='settings().on_mark_failure == "raise"',
        new="False",
        tests="tests/test_outage.py",
    ),
    Mutant(
        rule="what was announced in part is taken back",
        file="journal.py",
        old="                store.done(names, writer, held)\n                raise",
        new="                raise",
        tests="tests/test_outage.py",
    ),
    Mutant(
        rule="a write that fails by the policy is rolled back",
        file="writing/transactions.py",
        old="        connection.rollback()\n        raise",
        new="        raise",
        tests="tests/test_outage.py",
    ),
    # What an entry may be
    Mutant(
        rule="an entry lives as long as it was said to",
        file="reading/one.py",
        old="entry, fill.lease, lifetime)",
        new="entry, fill.lease, None)",
        tests=READING,
    ),
    Mutant(
        rule="a timeout of 0 stores nothing",
        file="reading/entries.py",
        old="    if wanted.timeout == 0:",
        new="    if False:",
        tests="tests/test_policies.py",
    ),
    Mutant(
        rule="an entry over the limit of bytes is not stored",
        file="reading/entries.py",
        old="    if len(entry) > limits.size:",
        new="    if False:",
        tests=READING,
    ),
    Mutant(
        rule="an answer over the limit of rows is not stored",
        file="queries/bodies.py",
        old="    if len(rows) > settings().limits.rows:",
        new="    if False:",
        tests=READING,
    ),
    Mutant(
        rule="VERIFY tells a stale answer",
        file="reading/entries.py",
        old="stale = differs and store",
        new="stale = False and store",
        tests="tests/test_verify.py",
    ),
    Mutant(
        rule="a hit is stamped anew only where it is still valid",
        file="reading/entries.py",
        old="        return live\n    if store.renews and None not in now:",
        new="        pass\n    if store.renews and None not in now:",
        tests="tests/test_renewed.py",
        store="redis",
    ),
    Mutant(
        rule="only the entry that was read is stamped anew",
        file="stores/lua/renew.lua",
        old="if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) == ARGV[1] then",
        new="if true then",
        tests="tests/test_renewed.py",
        store="redis",
    ),
    Mutant(
        rule="harmless moves do not add up",
        file="reading/one.py",
        old="            if has_moved:\n",
        new="            if False:\n",
        tests="tests/test_renewed.py",
        store="redis",
    ),
]
