"""Rows with entries of their own, lists that point to them, and what a reader may say of both (DESIGN section 7)."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

RACES = "tests/rows/test_races.py"
WATCHING = "tests/queries/test_watching.py"

MUTANTS = [
    Mutant(
        rule="a row that its order gives several times is not asked for by its key",
        file="rows.py",
        old="return keys if all(_is_own_column(term, queryset.model) for term in order) else None",
        new="return keys",
        tests="tests/rows/test_reading.py",
    ),
    Mutant(
        rule="what was read before holds still when more is read",
        file="reading/many.py",
        old="                raise Moved(wanted.key)",
        new="                pass",
        tests=RACES,
    ),
    Mutant(
        rule="rows that came with a list are stored where nothing moved since",
        file="reading/many.py",
        old="                if fenced == [after[name] for name in fences]:",
        new="                if True:",
        tests=RACES,
    ),
    Mutant(
        rule="what the database was asked after the last look is not settled yet",
        file="reading/many.py",
        old="        self._is_settled = not self._known and len(wanted) == 1",
        new="        pass",
        tests=RACES,
    ),
    Mutant(
        rule="a row is not stored under a version that matches none",
        file="reading/many.py",
        old="            if not reason_not_to_store(each, versions):",
        new="            if each.timeout != 0:",
        tests=RACES,
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
    Mutant(
        rule="fields that are named leave out conditions, never tables",
        file="queries/dependencies.py",
        old="                equalities = watched.kept(alias, facts, equalities)\n",
        new="                equalities = watched.kept(alias, facts, equalities)\n"
        "                if watched.watch.fields and alias not in watched.columns:\n"
        "                    continue\n",
        tests=WATCHING,
    ),
    Mutant(
        rule="where no equality counts by itself, any write does",
        file="queries/outlines.py",
        old="for group in groups or {frozenset({place.any})})",
        new="for group in groups)",
        tests=WATCHING,
    ),
    Mutant(
        rule="what a computation read is what its result depends on",
        file="reading/entries.py",
        old="        recording.note(wanted.clauses.named("
        "wanted.names), zip(wanted.names, versions, strict=True), timeout)",
        new="        pass",
        tests="tests/functions/test_recorded.py",
    ),
    Mutant(
        rule="what nobody can follow is not stored",
        file="recorded/reasons.py",
        old="    if recorded.untracked:",
        new="    if False:",
        tests="tests/functions/test_recorded.py",
    ),
    Mutant(
        rule="parts of two moments are not stored together",
        file="recorded/reasons.py",
        old="    if recorded.moved:",
        new="    if False:",
        tests="tests/functions/test_recorded.py",
    ),
    Mutant(
        rule="a computation inside hands on what it read",
        file="recorded/reading.py",
        old="                    outer.absorb(recorded)",
        new="                    pass",
        tests="tests/functions/test_recorded.py",
    ),
    Mutant(
        rule="what a transaction wrote is computed for itself alone",
        file="recorded/reasons.py",
        old="        if journal_of(connection).answers_are_private:",
        new="        if False:",
        tests="tests/functions/test_recorded.py",
    ),
    Mutant(
        rule="a pickle is opened for who signed it alone",
        file="codec/pickled.py",
        old="    if not any(hmac.compare_digest(signature, _signature(packed, name, secret)) for secret in secrets):",
        new="    if False:",
        tests="tests/functions/test_recorded.py",
    ),
    Mutant(
        rule="a method runs on the row as it is, not on what was loaded once",
        file="methods.py",
        old="        row: Any = _row(instance)",
        new="        row: Any = instance",
        tests="tests/published/test_published.py",
    ),
]
