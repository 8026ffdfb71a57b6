"""Raw SQL: the tables it writes, by the cursor (DESIGN section 4)."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

RAW = "tests/test_raw_sql.py"
STATEMENTS = "tests/writing/test_statements.py"

MUTANTS = [
    Mutant(
        rule="raw SQL writes the tables it names",
        file="writing/cursors.py",
        old="if effect.tables is not None and not effect.tables:\n        return run()",
        new="if effect.tables is not None:\n        return run()",
        tests=RAW,
    ),
    Mutant(
        rule="raw SQL that is not understood writes everything",
        file="writing/cursors.py",
        old="if effect.tables is not None and not effect.tables:",
        new="if not effect.tables:",
        tests=RAW,
        db="postgresql",
    ),
    Mutant(
        rule="raw SQL drops exactly its tables",
        file="writing/cursors.py",
        old="    if names is None:\n        found",
        new="    if True:\n        found",
        tests=RAW,
    ),
    Mutant(
        rule="raw SQL is marked before it commits itself",
        file="writing/cursors.py",
        old="    with written(connection, effect.tables):\n        return run()\n\n\ndef _run_control",
        new="    result = run()\n"
        "    with written(connection, effect.tables):\n        return result\n\n\ndef _run_control",
        tests="tests/protocol/test_races.py",
    ),
    Mutant(
        rule="raw SQL's deletes cascade in the database",
        file="writing/cursors.py",
        old="return names.union(*(changed_by_database(model) for facts in described for model in facts.models))",
        new="return names",
        tests="tests/matrix/test_matrix.py::test_after[database_cascade_by_raw_sql]",
    ),
    Mutant(
        rule="raw SQL beside a compiler's own is raw SQL",
        file="writing/cursors.py",
        old="any(sql is own for own in journal.own_sql)",
        new="journal.own_sql",
        tests="tests/transactions/test_by_hand.py",
    ),
    Mutant(
        rule="a procedure may write everything",
        file="install.py",
        old="    with cursors.written(self.db, None):\n        return original(self, *args, **kwargs)",
        new="    return original(self, *args, **kwargs)",
        tests=f"{RAW}::test_callproc",
        db="mariadb",
    ),
    Mutant(
        rule="a driver's own ways to write are writes",
        file="install.py",
        old="cursors.wrap_unparsed(self.db, name, found) if name in cursors.UNPARSED else found",
        new="found",
        tests=RAW,
        db="postgresql",
    ),
    Mutant(
        rule="a COPY is over when its block is",
        file="writing/cursors.py",
        old="                _Spanning(written(connection, names), function(*args, **kwargs))",
        new="                [written(connection, names).__enter__(), function(*args, **kwargs)][1]",
        tests=f"{RAW}::test_copy_while_others_read",
        db="postgresql",
    ),
    Mutant(
        rule="a model's table is found by any case of its name",
        file="tables.py",
        old="known.setdefault(last.casefold(), [])",
        new="known.setdefault(last, [])",
        tests="tests/test_captured.py",
    ),
    # Statements
    Mutant(
        rule="WITH may hold a write",
        file="writing/targets.py",
        old='    "with": _scan,\n',
        new='    "with": lambda reader: None,\n',
        tests=STATEMENTS,
    ),
    Mutant(
        rule="TRUNCATE writes",
        file="writing/targets.py",
        old="    reader.names_listed()\n"
        "    if _cascades(reader.rest(), reader.vendor):\n        raise UnclearError\n\n\ndef _create",
        new="    if _cascades(reader.rest(), reader.vendor):\n        raise UnclearError\n\n\ndef _create",
        tests=STATEMENTS,
    ),
    Mutant(
        rule="TRUNCATE … CASCADE may write everything",
        file="writing/targets.py",
        old="    reader.names_listed()\n"
        "    if _cascades(reader.rest(), reader.vendor):\n        raise UnclearError\n\n\ndef _create",
        new="    reader.names_listed()\n\n\ndef _create",
        tests=STATEMENTS,
    ),
    Mutant(
        rule="ALTER TABLE writes",
        file="writing/targets.py",
        old='    "alter": _alter,\n',
        new='    "alter": lambda reader: None,\n',
        tests=STATEMENTS,
    ),
    Mutant(
        rule="SELECT INTO makes a table",
        file="writing/statements.py",
        old='            if "into" not in sql.lower():\n                return READ',
        new="            return READ",
        tests=STATEMENTS,
    ),
    Mutant(
        rule="each of several statements counts",
        file="writing/statements.py",
        old="            names |= reader.names\n",
        new="            names = reader.names\n",
        tests=STATEMENTS,
    ),
    Mutant(
        rule="a multi-table UPDATE writes any of its tables",
        file="writing/targets.py",
        old='    if reader.vendor == "mysql":\n        _joined(reader, "set")\n        return\n',
        new="",
        tests=STATEMENTS,
    ),
    Mutant(
        rule="an unknown verb may write everything",
        file="writing/statements.py",
        old='    elif verb not in _HARMLESS and not (verb == "declare" and reader.vendor == "postgresql"):\n'
        "        raise UnclearError",
        new="",
        tests=STATEMENTS,
    ),
]
