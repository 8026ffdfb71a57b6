"""What goes to the database just before a captured statement: its transaction's BEGIN, and the old images it needs.

Where the driver takes several statements in one text, all of it is one round trip. It is put in front of the text at
the last moment, below execute wrappers: there the statement is the one that the application wrote. With the query log
on, each goes by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.backends.base.base import BaseDatabaseWrapper

from everfresh.conf import settings
from everfresh.tables import Facts
from everfresh.writing.images import Image, fetch

__all__ = ["Prelude", "Question", "leads_statements"]

_IDLE = 0
_NO_PIPELINE = 0


class Question:
    """``SELECT`` of the old images of the rows that a statement on one table will write, locked as it locks them.

    By hand and not by a query: the statement's compiler knows the condition, and the columns are known by name.
    """

    def __init__(self, compiler: Any, facts: Facts, columns: Sequence[str], lock: str) -> None:
        self._compiler = compiler
        self._connection: BaseDatabaseWrapper = compiler.connection
        self._fields = [facts.fields[column] for column in columns]
        self._limit = settings().limits.written_rows
        quote = self._connection.ops.quote_name
        table = quote(facts.name)
        chosen = ", ".join([f"{table}.{quote(column)}" for column in columns]) or "1"
        self.params: tuple[Any, ...] = ()
        self.sql = f"SELECT {chosen} FROM {table}"  # noqa: S608  quoted names
        self.images: list[Image] | None = None
        """``None``: not asked, or more rows than the limit, or asked twice: then nobody knows what was there before."""

        self._is_answered = False

        try:
            where, params = self._compiler.compile(self._compiler.query.where)
        except FullResultSet:
            pass
        except EmptyResultSet:
            self.sql, self.images = "", []
            return
        else:
            self.sql += f" WHERE {where}"
            self.params = tuple(params)
        self.sql += f" LIMIT {self._limit + 1}"
        if self._connection.features.has_select_for_update:
            no_key = lock == "no key update" and self._connection.features.has_select_for_no_key_update
            self.sql += " FOR NO KEY UPDATE" if no_key else " FOR UPDATE"

    def ask(self) -> None:
        """Ask by itself, past Django's cursor."""
        if self.sql:
            self.answered(fetch(self._connection, self.sql, self.params))

    def answered(self, rows: Sequence[Sequence[Any]]) -> None:
        """Take what the driver gave."""
        asked_again, self._is_answered = self._is_answered, True
        if asked_again or len(rows) > self._limit:
            self.images = None
            return
        if self._connection.vendor == "postgresql":
            # Whose driver gives the values of these fields, which are all of Django's own classes, as Django does.
            self.images = list(rows)
            return
        table = self._compiler.query.get_meta().db_table
        converters = self._compiler.get_converters([field.get_col(table) for field in self._fields])
        if converters:
            rows = list(self._compiler.apply_converters(rows, converters))
        self.images = list(rows)


class Prelude:
    """What the next execution of the statement *sql* takes along. It is that statement's as long as `journal.ahead`."""

    def __init__(self, connection: BaseDatabaseWrapper, *, begins: bool) -> None:
        self._connection = connection
        self._begins = begins
        self.question: Question | None = None
        self.sql = ""

    def leads(self, sql: object) -> bool:
        """Is this our statement, perhaps with a comment that an execute wrapper has added?"""
        return bool(self.sql) and (sql is self.sql or (isinstance(sql, str) and self.sql in sql))

    def send(self, cursor: Any, sql: str, params: Any, execute: Callable[[str, Any], Any]) -> Any:
        """Execute the statement and all that goes before it by *execute*, which runs one on the driver's *cursor*."""
        driver: Any = self._connection.connection
        question = self.question if self.question is not None and self.question.sql else None
        # Django's log asks the driver's cursor what it sent.
        is_alone = self._connection.queries_logged or driver.pgconn.pipeline_status != _NO_PIPELINE
        if question is not None and (is_alone or not _is_sequence(params)):
            question.ask()
            question = None
        begins = self._begins and not is_alone and _would_begin(driver)
        if question is not None:
            sql, params = f"{question.sql}; {sql}", (*question.params, *params)
        if not begins:
            result = execute(sql, params)
        else:
            # The driver would send a BEGIN of its own, and wait for the answer. Told that there is autocommit it does
            # not, and what it is asked for at the end, COMMIT or ROLLBACK, it does all the same.
            driver.autocommit = True
            try:
                result = execute(f"BEGIN; {sql}", params)
            finally:
                if driver.pgconn.transaction_status == _IDLE and not driver.closed:
                    # The text was refused before its first statement: what comes next must begin after all.
                    driver.autocommit = False
        with self._connection.wrap_database_errors:
            if begins:
                cursor.nextset()
            if question is not None:
                question.answered(cursor.fetchall())
                cursor.nextset()
        return result


def _is_sequence(params: object) -> bool:
    return isinstance(params, (list, tuple))


def _would_begin(driver: Any) -> bool:
    """Is the driver's next statement the first one of a transaction that begins with a mere BEGIN?"""
    return (
        driver.pgconn.transaction_status == _IDLE
        and not driver.autocommit
        and driver.isolation_level is None
        and driver.read_only is None
        and driver.deferrable is None
    )


def leads_statements(connection: BaseDatabaseWrapper) -> bool:
    """Does the driver of *connection* take several statements in one text? psycopg 3 does, where it binds itself."""
    features: Any = connection.features
    if connection.vendor != "postgresql" or features.uses_server_side_binding:
        return False
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    return bool(is_psycopg3)
