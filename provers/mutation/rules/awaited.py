"""What coroutines are told on their event loop, and the connections that they ask on."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

LINES = "tests/stores/test_lines.py"
ASYNC = "tests/test_async_store.py"

MUTANTS = [
    Mutant(
        rule="a task that is cancelled leaves its answer to be passed over",
        file="stores/lines.py",
        old="            at = following\n",
        new="            at = following\n"
        "            while self._waiting[0][0].done():\n                self._waiting.popleft()\n",
        tests=f"{LINES}::TestLooks::test_cancelled",
    ),
    Mutant(
        rule="the first reads of a loop open no connection",
        file="stores/lines.py",
        old="if seat.reads > FIRST_READS and not seat.is_opening",
        new="if not seat.is_opening",
        tests=f"{LINES}::TestLooks::test_first_reads",
    ),
    Mutant(
        rule="a loop's connection is not used once another server was met",
        file="stores/lines.py",
        old="if line.is_open and line.incarnation == incarnation:",
        new="if line.is_open:",
        tests=f"{LINES}::TestLost::test_another_server",
    ),
    Mutant(
        rule="a coroutine waits no longer than an exchange may take",
        file="stores/lines.py",
        old="        if not self._has_alarm and self._timeout is not None:\n",
        new="        if False and self._timeout is not None:\n",
        tests=f"{LINES}::TestLost::test_silence",
    ),
    Mutant(
        rule="what nobody asked for ends a loop's connection",
        file="stores/lines.py",
        old="            if not self._waiting:\n                raise InvalidResponse(",
        new="            if not self._waiting:\n                break\n                raise InvalidResponse(",
        tests=f"{LINES}::TestLost::test_not_asked_for",
    ),
    Mutant(
        rule="whoever waits is told when a loop's connection is lost",
        file="stores/lines.py",
        old='                answer.set_exception(error or RedisConnectionError("The connection was closed."))\n',
        new="                pass\n",
        tests=f"{LINES}::TestLost::test_while_one_waits",
    ),
    Mutant(
        rule="a question that the socket does not take at once goes out later",
        file="stores/lines.py",
        old="        if self._unsent:\n            Context().run(",
        new="        if False:\n            Context().run(",
        tests=f"{LINES}::TestLooks::test_large",
    ),
    Mutant(
        rule="the connection of a loop that ended is closed in time",
        file="stores/lines.py",
        old="        weakref.finalize(self, connection.disconnect)\n",
        new="",
        tests=f"{LINES}::TestEnds::test_line",
    ),
    Mutant(
        rule="a loop that ended while somebody waited is not kept",
        file="stores/lines.py",
        old="                if other.is_closed():\n",
        new="                if False:\n",
        tests=f"{LINES}::TestEnds::test_loop",
    ),
    Mutant(
        rule="no context of a task stays with a loop's connection",
        file="stores/lines.py",
        old="Context().run(loop.add_reader, self._sock.fileno(), self._take)",
        new="loop.add_reader(self._sock.fileno(), self._take)",
        tests=f"{LINES}::TestLooks::test_context",
    ),
    Mutant(
        rule="a store that is closed closes the connections of loops that go on",
        file="stores/redis.py",
        old="        self._lines.close()\n",
        new="",
        tests=f"{LINES}::TestEnds::test_store",
    ),
    Mutant(
        rule="a forked child forgets its parent's loops",
        file="stores/redis.py",
        old="        self._lines.forget()\n",
        new="",
        tests=f"{LINES}::TestEnds::test_fork",
    ),
    Mutant(
        rule="a debt that is made while the store is asked is heeded",
        file="stores/guard.py",
        old="        return None if self._is_in_doubt() else seen\n",
        new="        return seen\n",
        tests=f"{ASYNC}::test_debts_that_change_meanwhile",
    ),
    Mutant(
        rule="no coroutine looks while a tag is in debt",
        file="stores/guard.py",
        old="        if self._is_in_doubt() or self._aread_many is None:\n",
        new="        if self._aread_many is None:\n",
        tests=f"{ASYNC}::test_debts_that_change_meanwhile",
    ),
    Mutant(
        rule="a look on the loop that fails begins a pause",
        file="stores/guard.py",
        old="            seen = await self._aread_many(keys, tags)\n"
        "        except Exception as error:  # noqa: BLE001 - see the class\n            self._failed(error)\n",
        new="            seen = await self._aread_many(keys, tags)\n"
        "        except Exception as error:  # noqa: BLE001 - see the class\n",
        tests=f"{ASYNC}::test_silent_store",
    ),
    Mutant(
        rule="a transaction that begins while the store is asked is heeded",
        file="reading/one.py",
        old="settings().verify or is_in_transaction(alias):",
        new="settings().verify:",
        tests=f"{ASYNC}::test_transaction_that_begins_meanwhile",
    ),
    Mutant(
        rule="a transaction that begins while the store is asked for a computation is heeded",
        file="recorded/reading.py",
        old="if stored is None or not stored.is_noted_at_once or is_in_transaction():",
        new="if stored is None or not stored.is_noted_at_once:",
        tests=f"{ASYNC}::test_transaction_that_begins_meanwhile",
    ),
    Mutant(
        rule="a hit on the loop of which a tag has moved is stamped anew in a thread",
        file="reading/entries.py",
        old="if (has_moved and not wanted.near) or (",
        new="if (",
        tests=f"{ASYNC}::test_harmless_writes",
    ),
]
