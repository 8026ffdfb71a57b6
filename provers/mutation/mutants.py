"""The rules of DESIGN sections 3 to 5, each broken on purpose."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MUTANTS", "Mutant"]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One rule, and the edit that breaks it."""

    rule: str
    file: str
    """Under ``src/everfresh``."""

    old: str
    new: str
    tests: str
    """Where it must be noticed: paths for pytest."""

    db: str = "sqlite"
    store: str = "locmem"


RACES = "tests/protocol"
MATRIX = "tests/matrix"
QUERIES = "tests/queries"
TRANSACTIONS = "tests/transactions tests/matrix"

MUTANTS = [
    # The protocol
    Mutant(
        rule="versions are taken before the query",
        file="reading.py",
        old="        value = compute()\n        reason",
        new="        value = compute()\n"
        "        fill = store.begin_fill(wanted.key, wanted.names, 0) if False else type(fill)(\n"
        "            lease=fill.lease, versions=store.begin_fill(wanted.key + '?', wanted.names, 0).versions)\n"
        "        reason",
        tests=RACES,
    ),
    Mutant(
        rule="a tag that is missing or pending has moved",
        file="clauses.py",
        old="was is None or was != now",
        new="was is not None and now is not None and was != now",
        tests=f"{RACES} {MATRIX}",
    ),
    Mutant(
        rule="every clause counts",
        file="clauses.py",
        old="return any(all(any(map(has_moved, group)) for group in clause) for clause in self._positions)",
        new="return all(all(any(map(has_moved, group)) for group in clause) for clause in self._positions)",
        tests=MATRIX,
    ),
    Mutant(
        rule="writes are marked before COMMIT",
        file="journal.py",
        old="            store.mark(names, writer, settings().limits.mark_seconds)\n",
        new="            pass\n",
        tests=f"{RACES} tests/test_budgets.py",
    ),
    Mutant(
        rule="done after COMMIT",
        file="journal.py",
        old="so it counts as done.\n            store.done(names, writer)",
        new="so it counts as done.\n            pass",
        tests=f"{RACES} tests/test_budgets.py",
    ),
    Mutant(
        rule="a COMMIT that raised counts as done",
        file="journal.py",
        old="        try:\n            yield\n        finally:\n            # A COMMIT",
        new="        try:\n            yield\n        except KeyboardInterrupt:\n            raise\n        else:\n"
        "            # A COMMIT",
        tests="tests/transactions",
    ),
    Mutant(
        rule="begin_fill looks at the pending record itself",
        file="stores/lua/begin_fill.lua",
        old="redis.call('ZCOUNT', pending, '(' .. now, '+inf') > 0",
        new="false",
        tests="tests/stores/test_redis.py",
        store="redis",
    ),
    Mutant(
        rule="marks of overlapping writers count",
        file="stores/lua/done.lua",
        old="'ZREM', ",
        new="'UNLINK', ",
        tests="tests/stores/test_redis.py",
        store="redis",
    ),
    Mutant(
        rule="nothing is stored that would be stale at once",
        file="reading.py",
        old="    if wanted.clauses.stale([version is None for version in versions]):",
        new="    if False:",
        tests=RACES,
    ),
    Mutant(
        rule="what could not be sent is not trusted",
        file="stores/guard.py",
        old="return tuple(None if tag in doubted else version for tag, version in zip(tags, versions, strict=True))",
        new="return versions",
        tests="tests/stores/test_guard.py",
    ),
    # Transactions
    Mutant(
        rule="a snapshot neither fills nor hits the shared store",
        file="reading.py",
        old="if journal.reads_snapshot or wanted",
        new="if wanted",
        tests=RACES,
    ),
    Mutant(
        rule="what the journal touches is bypassed",
        file="reading.py",
        old="if journal.reads_snapshot or wanted.clauses.stale(journal.touches(wanted.names)):",
        new="if journal.reads_snapshot:",
        tests=TRANSACTIONS + " tests/protocol",
        db="postgresql",
        store="redis",
    ),
    Mutant(
        rule="own writes move the overlay",
        file="journal.py",
        old="            overlay.move(names)",
        new="            pass",
        tests=TRANSACTIONS,
    ),
    Mutant(
        rule="a savepoint rollback empties the overlay",
        file="journal.py",
        old="        self._overlays.clear()\n        self.write_locked = False",
        new="        self.write_locked = False",
        tests=TRANSACTIONS,
    ),
    Mutant(
        rule="a released savepoint's writes are the outer block's",
        file="journal.py",
        old="                self._frames[depth - 1].add(frame)",
        new="                pass",
        tests=TRANSACTIONS,
    ),
    # Writes
    Mutant(
        rule="the old image counts",
        file="writing/capture.py",
        old="images = [*old.values(), *new.values()]",
        new="images = [*new.values()]",
        tests=MATRIX,
    ),
    Mutant(
        rule="the new image counts",
        file="writing/capture.py",
        old="images = [*old.values(), *new.values()]",
        new="images = [*old.values()]",
        tests=MATRIX,
    ),
    Mutant(
        rule="changed columns count",
        file="writing/images.py",
        old="    moved = {place.column(column) for column in (*changed, *facts.generated)}",
        new="    moved = set()",
        tests=MATRIX,
    ),
    Mutant(
        rule="generated columns change with others",
        file="writing/images.py",
        old="(*changed, *facts.generated)",
        new="changed",
        tests=f"{MATRIX} {QUERIES}",
    ),
    Mutant(
        rule="rows that come or go count",
        file="writing/images.py",
        old="return {place.any, event} | {",
        new="return {place.any} | {",
        tests=MATRIX,
    ),
    Mutant(
        rule="any write to a table counts",
        file="writing/images.py",
        old="return moved | {place.any} | {",
        new="return moved | {",
        tests=MATRIX,
    ),
    Mutant(
        rule="rows that are not known are all rows",
        file="writing/images.py",
        old="    return [place.epoch, place.any]",
        new="    return [place.any]",
        tests=f"{MATRIX} tests/test_raw_sql.py",
    ),
    Mutant(
        rule="rows that conflict may have changed",
        file="writing/capture.py",
        old='raise Uncertain("rows that were there before may have changed")',
        new="pass",
        tests=MATRIX,
    ),
    Mutant(
        rule="raw SQL that is not understood writes everything",
        file="writing/cursors.py",
        old="if effect.tables is not None and not effect.tables:",
        new="if not effect.tables:",
        tests="tests/test_raw_sql.py",
        db="postgresql",
    ),
    Mutant(
        rule="SQLite's write lock before old rows are read",
        file="writing/capture.py",
        old='if self.connection.vendor == "sqlite" and not self.journal.write_locked:',
        new="if False:",
        tests="tests/transactions tests/protocol",
    ),
    # Clauses
    Mutant(
        rule="every alias is covered",
        file="queries/dependencies.py",
        old="            if not query.alias_refcount[alias]:\n                continue\n",
        new="            if not query.alias_refcount[alias] or isinstance(source, Join):\n                continue\n",
        tests=f"{MATRIX} {QUERIES}",
    ),
    Mutant(
        rule="nested queries are covered",
        file="queries/dependencies.py",
        old="        for inner in nested:\n",
        new="        for inner in ():\n",
        tests=f"{MATRIX} {QUERIES}",
    ),
    Mutant(
        rule="NOT gives no group",
        file="queries/dependencies.py",
        old="if node.negated or node.connector not in (AND, OR):",
        new="if node.connector not in (AND, OR):",
        tests=f"{MATRIX} {QUERIES}",
    ),
    Mutant(
        rule="the alternatives of OR are told apart",
        file="queries/dependencies.py",
        old="        if node.connector == OR:\n",
        new="        if False:\n",
        tests=f"{MATRIX} {QUERIES}",
    ),
    Mutant(
        rule="a missing row satisfies IS NULL",
        file="queries/dependencies.py",
        old="and not (outer_joined and None in equality.values)",
        new="",
        tests=f"{MATRIX} {QUERIES}",
    ),
    Mutant(
        rule="a column group lists every column that is named",
        file="queries/dependencies.py",
        old="frozenset({place.created, place.deleted, *map(place.column, named)})",
        new="frozenset({place.created, place.deleted})",
        tests=f"{MATRIX} {QUERIES}",
    ),
    Mutant(
        rule="a column group lists inserts and deletes",
        file="queries/dependencies.py",
        old="frozenset({place.created, place.deleted, *map(place.column, named)})",
        new="frozenset(map(place.column, named))",
        tests=f"{MATRIX} {QUERIES}",
    ),
    Mutant(
        rule="the epoch is part of every entry",
        file="queries/outlines.py",
        old="    yield frozenset({frozenset({place.epoch})})\n",
        new="",
        tests=f"{MATRIX} tests/test_raw_sql.py",
    ),
    Mutant(
        rule="text is equal only under a collation that tells it apart",
        file="tables.py",
        old='_EXACT_TEXT = frozenset({"postgresql", "sqlite"})',
        new='_EXACT_TEXT = frozenset({"postgresql", "sqlite", "mysql"})',
        tests=QUERIES,
        db="mariadb",
    ),
    Mutant(
        rule="a shape's outline is filled with each query's own values",
        file="queries/outlines.py",
        old="given = equality.values if equality.slot is None else free[equality.slot]",
        new="given = equality.values if equality.slot is None else free[0]",
        tests=f"{MATRIX} {QUERIES}",
    ),
    Mutant(
        rule="a decimal beyond its scale has no name",
        file="tables.py",
        old="    if exact != found:\n",
        new="    if False:\n",
        tests=QUERIES,
    ),
    Mutant(
        rule="volatile SQL is not cached",
        file="queries/dependencies.py",
        old='if part := volatile_part(sql, params, guesses_types=connections[using].vendor == "postgresql"):',
        new="if part := '':",
        tests=f"{QUERIES} tests/test_policies.py",
    ),
    Mutant(
        rule="fields that are named leave out conditions, never tables",
        file="queries/dependencies.py",
        old="                equalities = watched.kept(alias, facts, equalities)\n",
        new="                equalities = watched.kept(alias, facts, equalities)\n"
        "                if watched.watch.fields and alias not in watched.columns:\n"
        "                    continue\n",
        tests="tests/queries/test_watching.py",
    ),
    Mutant(
        rule="where no equality counts by itself, any write does",
        file="queries/outlines.py",
        old="for group in groups or {frozenset({place.any})})",
        new="for group in groups)",
        tests="tests/queries/test_watching.py",
    ),
    # Rows
    Mutant(
        rule="what was read before holds still when more is read",
        file="reading.py",
        old="                raise Moved(wanted.key)",
        new="                pass",
        tests="tests/rows/test_races.py",
    ),
    Mutant(
        rule="rows that came with a list are stored where nothing moved since",
        file="reading.py",
        old="                if fenced == [after[name] for name in fences]:",
        new="                if True:",
        tests="tests/rows/test_races.py",
    ),
    Mutant(
        rule="an answer that minds deletes is told of them",
        file="queries/terms.py",
        old="_CHANGE[tag.kind] in self.expire_on",
        new="tag.kind is not Kind.DELETED",
        tests="tests/rows/test_terms.py",
    ),
    Mutant(
        rule="a list that lost an entry is no list",
        file="rows.py",
        old=" if len(parts) == len(found) else None",
        new="",
        tests="tests/rows/test_many.py",
    ),
]
