"""Inside a transaction (DESIGN section 4)."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

ISOLATION = "tests/protocol/test_isolation.py"
SAVEPOINTS = "tests/transactions/test_savepoints.py"
COMMITS = "tests/transactions/test_commits.py"
BY_HAND = "tests/transactions/test_by_hand.py"
DJANGO = "tests/transactions/test_django.py"

MUTANTS = [
    Mutant(
        rule="a snapshot neither fills nor hits the shared store",
        file="reading/one.py",
        old="if journal.reads_snapshot or wanted",
        new="if wanted",
        tests=ISOLATION,
    ),
    Mutant(
        rule="what the journal touches is bypassed",
        file="reading/one.py",
        old="if journal.reads_snapshot or wanted.clauses.stale(journal.touches(wanted.names)):",
        new="if journal.reads_snapshot:",
        tests=ISOLATION,
        db="postgresql",
        store="redis",
    ),
    Mutant(
        rule="the journal is bypassed by tag, not by table",
        file="reading/one.py",
        old="if journal.reads_snapshot or wanted.clauses.stale(journal.touches(wanted.names)):",
        new="if journal.reads_snapshot or not journal.is_empty:",
        tests=ISOLATION,
        db="postgresql",
        store="redis",
    ),
    Mutant(
        rule="a broken transaction is served nothing",
        file="reading/one.py",
        old="    if connection.needs_rollback:\n        # Django",
        new="    if False:\n        # Django",
        tests=SAVEPOINTS,
    ),
    Mutant(
        rule="with autocommit off, all is a transaction",
        file="journal.py",
        old="connection.in_atomic_block or not connection.autocommit or self.begun_by_hand",
        new="connection.in_atomic_block or self.begun_by_hand",
        tests=f"{ISOLATION} {BY_HAND}",
    ),
    Mutant(
        rule="what raw SQL began is a transaction",
        file="journal.py",
        old="connection.in_atomic_block or not connection.autocommit or self.begun_by_hand",
        new="connection.in_atomic_block or not connection.autocommit",
        tests=BY_HAND,
    ),
    Mutant(
        rule="an isolation level that raw SQL sets counts",
        file="journal.py",
        old="        self.snapshot_by_hand = self._level_by_hand = True",
        new="        pass",
        tests=ISOLATION,
        db="postgresql",
        store="redis",
    ),
    # The overlay
    Mutant(
        rule="own writes move the overlay",
        file="journal.py",
        old="            overlay.move(tags)",
        new="            pass",
        tests=SAVEPOINTS,
    ),
    Mutant(
        rule="a savepoint rollback empties the overlay",
        file="journal.py",
        old="        self._overlays.clear()\n        self.write_locked = False",
        new="        self.write_locked = False",
        tests=SAVEPOINTS,
    ),
    Mutant(
        rule="a savepoint rollback that raw SQL asks for is one",
        file="writing/cursors.py",
        old="            elif control in (Control.ROLLBACK, Control.ROLLBACK_TO):",
        new="            elif control is Control.ROLLBACK:",
        tests=SAVEPOINTS,
    ),
    Mutant(
        rule="the overlay dies with its transaction",
        file="journal.py",
        old="        self._frames = [_Frame(None)]\n        self._overlays.clear()\n",
        new="        self._frames = [_Frame(None)]\n",
        tests=SAVEPOINTS,
    ),
    Mutant(
        rule="a COMMIT that fails empties the overlay",
        file="journal.py",
        old="                self.discard_answers()\n                raise",
        new="                raise",
        tests=f"{BY_HAND}::test_manual_commit_that_fails",
        db="postgresql",
    ),
    Mutant(
        rule="under READ COMMITTED the overlay sees the commits of others",
        file="journal.py",
        old="LocalStore(under=None if alone else current_store())",
        new="LocalStore(under=None)",
        tests=ISOLATION,
        db="postgresql",
        store="redis",
    ),
    # Savepoints
    Mutant(
        rule="a released savepoint's writes are the outer block's",
        file="journal.py",
        old="                self._frames[depth - 1].add(frame)",
        new="                pass",
        tests=SAVEPOINTS,
    ),
    Mutant(
        rule="what a savepoint took back is not announced",
        file="journal.py",
        old="            del self._frames[depth + 1 :]\n"
        "            self._frames[depth] = _Frame(savepoint, self._frames[depth].is_transaction)",
        new="            pass",
        tests=f"{SAVEPOINTS} tests/protocol/test_races.py",
    ),
    Mutant(
        rule="what was written before a savepoint outlives its rollback",
        file="journal.py",
        old="            del self._frames[depth + 1 :]\n"
        "            self._frames[depth] = _Frame(savepoint, self._frames[depth].is_transaction)",
        new="            self._frames = [_Frame(None)]",
        tests=SAVEPOINTS,
    ),
    # Ways to commit
    Mutant(
        rule="switching autocommit on commits",
        file="writing/transactions.py",
        old="    elif journal.is_empty:",
        new="    elif True:",
        tests=BY_HAND,
    ),
    Mutant(
        rule="done comes before the user's hooks",
        file="writing/transactions.py",
        old="            connection.run_commit_hooks_on_set_autocommit_on,\n            False,\n",
        new="            False,\n            connection.run_commit_hooks_on_set_autocommit_on,\n",
        tests=BY_HAND,
    ),
    Mutant(
        rule="a script commits what is open",
        file="writing/cursors.py",
        old='            if name == "executescript" and journal_of(connection).in_transaction:',
        new="            if False:",
        tests=DJANGO,
    ),
    Mutant(
        rule="a rollback after a script takes nothing back",
        file="writing/transactions.py",
        old="    if _has_committed_itself(connection) and not journal.is_empty:",
        new="    if False:",
        tests=f"{DJANGO} {BY_HAND}",
    ),
    Mutant(
        rule="DDL commits on MariaDB",
        file="writing/cursors.py",
        old="            if control in (Control.COMMIT, Control.MAY_COMMIT) or (",
        new="            if control is Control.COMMIT or (",
        tests=BY_HAND,
        db="mariadb",
    ),
    Mutant(
        rule="COMMIT by raw SQL commits",
        file="writing/cursors.py",
        old="            if control in (Control.COMMIT, Control.MAY_COMMIT) or (",
        new="            if control is Control.MAY_COMMIT or (",
        tests=BY_HAND,
    ),
    Mutant(
        rule="a connection that is closed has rolled back",
        file="writing/transactions.py",
        old="    run()\n    journal_of(connection).reconnected()",
        new="    run()",
        tests=COMMITS,
    ),
    Mutant(
        rule="SQLite's write lock before old rows are read",
        file="writing/statement.py",
        old='if self.connection.vendor == "sqlite" and not self.journal.write_locked:',
        new="if False:",
        tests=BY_HAND,
    ),
]
