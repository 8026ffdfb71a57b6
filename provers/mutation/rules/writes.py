"""Capturing the ORM's writes (DESIGN section 4)."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

MATRIX = "tests/matrix/test_matrix.py::test_after"
PRECISION = "tests/matrix/test_precision.py"
RACES = "tests/protocol/test_races.py"
ROWS = "tests/protocol/test_rows.py"

MUTANTS = [
    # Images
    Mutant(
        rule="the old image counts",
        file="writing/capture.py",
        old="images = [*old, *(new or ())]",
        new="images = list(new or old)",
        tests=PRECISION,
    ),
    Mutant(
        rule="the new image counts",
        file="writing/capture.py",
        old="images = [*old, *(new or ())]",
        new="images = list(old)",
        tests=PRECISION,
    ),
    Mutant(
        rule="an expression's new values are read",
        file="writing/capture.py",
        old="new = self._new_images(old) if self.unknown else None",
        new="new = list(old.values())",
        tests=RACES,
    ),
    Mutant(
        rule="an update that changes nothing moves nothing",
        file="writing/capture.py",
        old="            changed = self._changed(old, new)\n",
        new="            changed = list(self.assigned)\n",
        tests=PRECISION,
    ),
    Mutant(
        rule="a foreign key set to an instance is what it points to",
        file="writing/capture.py",
        old="    return value.prepare_database_save(field) if isinstance(value, Model) else value",
        new="    return value.pk if isinstance(value, Model) else value",
        tests=f"{MATRIX}[update_to_field_by_instance]",
    ),
    Mutant(
        rule="changed columns count",
        file="writing/images.py",
        old="    moved = {stem(*place, Kind.COLUMN, (column,)) for column in (*changed, *facts.generated)}",
        new="    moved = set()",
        tests=PRECISION,
    ),
    Mutant(
        rule="generated columns change with others",
        file="writing/images.py",
        old="(*changed, *facts.generated)",
        new="changed",
        tests=f"{MATRIX}[save_generated] {MATRIX}[update_generated]",
    ),
    Mutant(
        rule="rows that come or go count",
        file="writing/images.py",
        old="return {place.any.name, event.name, *_values",
        new="return {place.any.name, *_values",
        tests=PRECISION,
    ),
    Mutant(
        rule="rows that come or go are a write to the table",
        file="writing/images.py",
        old="return {place.any.name, event.name, *_values",
        new="return {event.name, *_values",
        tests=f"{MATRIX}[create] {MATRIX}[delete_instance]",
    ),
    Mutant(
        rule="any write to a table counts",
        file="writing/images.py",
        old="return {*moved, place.any.name, *_values",
        new="return {*moved, *_values",
        tests=PRECISION,
    ),
    Mutant(
        rule="each value of a written row counts",
        file="writing/images.py",
        old="    for column in facts.tag_columns:\n",
        new="    for column in facts.tag_columns[:1]:\n",
        tests=PRECISION,
    ),
    Mutant(
        rule="each set of values of a written row counts",
        file="writing/images.py",
        old="    for columns_of_set in facts.tag_sets:\n",
        new="    for columns_of_set in ():\n",
        tests=PRECISION,
    ),
    # What is not known
    Mutant(
        rule="rows that are not known are all rows",
        file="writing/images.py",
        old="    return [place.epoch.name, place.any.name]",
        new="    return [place.any.name]",
        tests="tests/test_raw_sql.py",
    ),
    Mutant(
        rule="rows that are not known are a write to the table",
        file="writing/images.py",
        old="    return [place.epoch.name, place.any.name]",
        new="    return [place.epoch.name]",
        tests="tests/test_raw_sql.py",
    ),
    Mutant(
        rule="more rows than the limit are all rows",
        file="writing/preludes.py",
        old="        if asked_again or len(rows) > self._limit:",
        new="        if asked_again:",
        tests=f"{MATRIX}[update_more_rows_than_are_looked_at] {PRECISION}",
    ),
    Mutant(
        rule="rows that came to match after they were read are not known",
        file="writing/capture.py",
        old="        old = question.images\n        if old is None or count(result) != len(old):",
        new="        old = question.images\n        if old is None:",
        tests=ROWS,
        db="postgresql",
    ),
    Mutant(
        rule="rows that conflict may have changed",
        file="writing/capture.py",
        old='raise Uncertain("rows that were there before may have changed")',
        new="pass",
        tests=f"{MATRIX}[bulk_create_updating_conflicts]",
    ),
    Mutant(
        rule="a column or a key left to the database is not known",
        file="writing/capture.py",
        old='raise Uncertain(f"the column {column} is left to the database")',
        new="value = None",
        tests="tests/test_captured.py",
    ),
    Mutant(
        rule="where keys change, new rows are not known by their old keys",
        file="writing/capture.py",
        old="            # The rows are not known by their old keys.\n            return None",
        new="            return list(old.values())",
        tests=f"{MATRIX}[update_primary_key_by_f]",
    ),
    Mutant(
        rule="a statement that raised may have been executed",
        file="writing/statement.py",
        old="                self.record_whole_table()\n                raise",
        new="                raise",
        tests="tests/transactions/test_by_hand.py",
    ),
    # Between reading and writing
    Mutant(
        rule="a write is a transaction",
        file="writing/statement.py",
        old="        if self.journal.in_transaction:\n            yield\n        elif",
        new="        if True:\n            yield\n        elif",
        tests=RACES,
    ),
    Mutant(
        rule="old rows are read under lock",
        file="writing/preludes.py",
        old="        if self._connection.features.has_select_for_update:",
        new="        if False:",
        tests=ROWS,
        db="postgresql",
    ),
    Mutant(
        rule="the rows that were read are the rows that are written",
        file="writing/capture.py",
        old='    if connection.vendor != "sqlite" and not is_plain(query):',
        new="    if False:",
        tests=ROWS,
        db="postgresql",
    ),
    Mutant(
        rule="what any write ends is marked beside a hold",
        file="writing/statement.py",
        old="                self.journal.record([every])\n",
        new="                pass\n",
        tests="tests/protocol/test_holds.py",
        store="redis",
    ),
    # Deletes
    Mutant(
        rule="deleted rows count",
        file="writing/capture.py",
        old="        elif old:\n            self._record(old)\n        return",
        new="        return",
        tests=PRECISION,
    ),
    Mutant(
        rule="the database's own cascades count",
        file="writing/capture.py",
        old="statement.under_way(besides)",
        new="statement.under_way()",
        tests=f"{MATRIX}[database_cascade] {MATRIX}[database_cascade_queryset] {MATRIX}[database_cascade_raw_delete]",
    ),
    Mutant(
        rule="the database's own cascades go on",
        file="writing/capture.py",
        old="                waiting.append(child)",
        new="                pass",
        tests="tests/test_captured.py",
    ),
    # By hand
    Mutant(
        rule="an instance is invalidated in its parents' tables too",
        file="writing/invalidation.py",
        old="    for model in [type(instance), *type(instance)._meta.all_parents]:",
        new="    for model in [type(instance)]:",
        tests=f"{MATRIX}[unseen_child_then_instance]",
    ),
    Mutant(
        rule="writes invalidate also where reads are disabled",
        file="writing/statement.py",
        old="    if not moved:\n        return ()",
        new="    if not moved or not settings().enabled:\n        return ()",
        tests="tests/test_policies.py",
    ),
]
