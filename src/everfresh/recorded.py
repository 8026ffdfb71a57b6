"""Entries whose dependencies record themselves: what a function returned, and everything it read to do so.

Such an entry holds the names of its tags beside their versions, for nothing but running the function tells them. The
rest is as everywhere: versions taken before each query, and an entry is served as long as none of them moved.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from django.conf import settings as django_settings
from django.db import connections
from django.db.models import QuerySet

from everfresh import codec
from everfresh.conf import settings
from everfresh.databases import logical_database, point_of_view
from everfresh.events import Outcome, Read, emit
from everfresh.exceptions import Unencodable
from everfresh.journal import journal_of
from everfresh.keys import digest, encode
from everfresh.reading import Answer
from everfresh.recording import Dependencies, Named, Recording, current_recording, recording
from everfresh.stores import NO_KEY, Store, current_store
from everfresh.switches import is_disabled

__all__ = ["read_recorded", "reason_to_bypass"]

T = TypeVar("T")

log = logging.getLogger("everfresh")

_MOST_NAMES = 10_000
"""Tags of one entry; with more it is not stored."""

_REMEMBERED = 4_096
"""Entries whose tags one process keeps at hand; for another one a hit costs a second look at the store."""

_warned: set[str] = set()
"""What was warned of: once is enough."""

_names: dict[str, tuple[str, ...]] = {}
"""The tags of the entries seen last, by key."""


def read_recorded(
    key: str,
    timeout: float | None,
    compute: Callable[[], T],
    *,
    also: Iterable[Named] = (),
    label: str = "",
    fresh: bool = False,
) -> Answer[T]:
    """What *compute* returns, from the cache where that is the same as computing it now.

    Args:
        key: names the computation and its arguments.
        timeout: seconds; ``None`` is for ever, 0 stores nothing.
        compute: called at most once.
        also: clauses of what is read by ways that nobody can follow.
        label: what to call it in events and warnings.
        fresh: compute and store it anew, whatever is stored.
    """
    answer = _read(f"{key}{_databases()}", timeout, compute, also, label, fresh)
    emit(Read(answer.outcome, answer.reason, label))
    return answer


def _read(
    key: str, timeout: float | None, compute: Callable[[], T], also: Iterable[Named], label: str, fresh: bool
) -> Answer[T]:
    if reason := reason_to_bypass():
        return Answer(compute(), Outcome.BYPASS, reason)
    store = current_store()
    if not fresh:
        found = _stored(store, key, timeout)
        if found is not None:
            return Answer(found[0], Outcome.HIT)
    return _fill(store, key, timeout, compute, also, label or key)


def reason_to_bypass() -> str:
    """Why a computation is nobody else's here and now; empty when it is not."""
    if not settings().enabled or is_disabled():
        return "the cache is switched off"
    for connection in connections.all(initialized_only=True):
        if journal_of(connection).answers_are_private:
            return "a transaction has written, or reads a snapshot"
    return ""


def _databases() -> str:
    """What tells the databases that a computation may read from those of another project, or of another test run."""
    return digest(encode([(alias, logical_database(alias), point_of_view(alias)) for alias in sorted(connections)]))


def _stored(store: Store, key: str, timeout: float | None) -> tuple[Any] | None:
    names = _names.get(key, ())
    snapshot = store.read(key, names)
    if snapshot.entry is None:
        return None
    unpacked = _unpack(snapshot.entry)
    if unpacked is None:
        return None
    dependencies, versions, body = unpacked
    live = snapshot.versions
    if dependencies.names != names:
        live = store.read(NO_KEY, dependencies.names).versions
        _remember(key, dependencies.names)
    moved = [was is None or was != now for was, now in zip(versions, live, strict=True)]
    if dependencies.stale(moved):
        return None
    value = codec.unpack_any(body, key, _secrets())
    if isinstance(value, codec.Miss):
        return None
    if (outer := current_recording()) is not None:
        outer.note(dependencies.clauses(), zip(dependencies.names, live, strict=True), timeout)
    return (value,)


def _fill(
    store: Store, key: str, timeout: float | None, compute: Callable[[], T], also: Iterable[Named], label: str
) -> Answer[T]:
    lease = store.begin_fill(key, (), settings().limits.lease_seconds).lease
    stored = False
    try:
        declared = Dependencies.of(also)
        before = store.begin_fill(NO_KEY, declared.names, 0).versions if declared.names else ()
        with recording() as recorded:
            recorded.note(declared.clauses(), zip(declared.names, before, strict=True))
            value = compute()
            body, reason = _pack_body(value, key)
        if declared.names:
            # Who says what it depends on answers for what cannot be followed.
            recorded.untracked.clear()
        if (outer := current_recording()) is not None:
            outer.absorb(recorded)
            outer.note((), (), timeout)
        reason = reason or _reason_not_to_store(recorded, timeout, label)
        if body is not None and lease is not None and not reason:
            entry = _pack(recorded, body)
            if len(entry) > settings().limits.size:
                reason = f"it has {len(entry)} bytes, more than the limit of {settings().limits.size}"
            else:
                lifetimes = [each for each in (timeout, recorded.timeout) if each is not None]
                store.fill(key, entry, lease, min(lifetimes, default=None))
                stored = True
    finally:
        if lease is not None and not stored:
            store.release(key, lease)
    if stored:
        return Answer(value, Outcome.FILL)
    return Answer(value, Outcome.MISS, reason or "another one fills it, or the store is down")


def _pack_body(value: Any, key: str) -> tuple[bytes | None, str]:
    """The bytes of *value*. While the recording runs: what is lazy asks the database only now."""
    if isinstance(value, QuerySet):
        len(value)
    try:
        return codec.pack_any(value, key, django_settings.SECRET_KEY if settings().pickle else None), ""
    except Unencodable as error:
        return None, f"it holds {error}, which has no exact bytes"


def _reason_not_to_store(recorded: Recording, timeout: float | None, label: str) -> str:
    if timeout == 0:
        return "its timeout is 0"
    if recorded.untracked:
        if label not in _warned:
            _warned.add(label)
            log.warning(
                "%s is not cached: nobody can tell which writes would change what it read by %s. "
                "Declare the tables with depends_on.",
                label,
                recorded.untracked[0],
            )
        return f"it is untracked: {recorded.untracked[0]}"
    if recorded.moved:
        return "what it read changed while it was computed"
    if len(recorded.versions) > _MOST_NAMES:
        return f"it depends on {len(recorded.versions)} tags, more than the limit of {_MOST_NAMES}"
    if reason := reason_to_bypass():
        return reason
    dependencies = Dependencies.of(recorded.clauses)
    if dependencies.stale([recorded.versions[name] is None for name in dependencies.names]):
        return "a writer is about to commit"
    return ""


def _pack(recorded: Recording, body: bytes) -> bytes:
    dependencies = Dependencies.of(recorded.clauses)
    head = msgspec.msgpack.encode((dependencies.names, dependencies.positions))
    versions = [recorded.versions[name] for name in dependencies.names]
    packed = len(head).to_bytes(4, "big") + head + body
    return codec.pack_entry(versions, packed, compress_above=settings().limits.compress_above)


_head = msgspec.msgpack.Decoder(tuple[tuple[str, ...], list[list[list[int]]]])


def _unpack(entry: bytes) -> tuple[Dependencies, tuple[bytes | None, ...], bytes] | None:
    count = codec.count_versions(entry)
    found = None if count is None else codec.unpack_entry(entry, count)
    if found is None:
        return None
    versions, packed = found
    size = int.from_bytes(packed[:4], "big")
    try:
        names, positions = _head.decode(packed[4 : 4 + size])
    except msgspec.MsgspecError:
        return None
    if len(names) != len(versions) or any(
        not 0 <= at < len(names) for clause in positions for group in clause for at in group
    ):
        return None
    return Dependencies(names, positions), versions, packed[4 + size :]


def _secrets() -> list[str]:
    return (
        [str(key) for key in (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS)]
        if settings().pickle
        else []
    )


def _remember(key: str, names: tuple[str, ...]) -> None:
    if len(_names) >= _REMEMBERED:
        _names.pop(next(iter(_names)), None)
    _names[key] = names
