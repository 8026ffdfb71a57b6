"""What is stored of a computation: what it depends on, its times, the packed result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from everfresh.codec.entry import count_versions, pack_entry, unpack_entry
from everfresh.exceptions import Unencodable

__all__ = ["Computed", "pack_computed", "unpack_computed"]

_SIZE_BYTES: Final = 4


class Computed(msgspec.Struct, frozen=True, array_like=True):
    """The head of the entry of a computation."""

    names: tuple[str, ...]
    """The store's names of its tags, in the order in which the entry holds their versions."""

    positions: tuple[tuple[tuple[int, ...], ...], ...]
    """Of each clause its groups, as positions in *names*."""

    seconds: float
    """How long it took to compute."""

    expires: float | None
    """When it stops being served as current, in seconds since the epoch; ``None``: never by itself."""


_decoder = msgspec.msgpack.Decoder(Computed)


def pack_computed(
    head: Computed, versions: Sequence[bytes | None], body: bytes, *, compress_above: int | None = None
) -> bytes:
    """Return the entry that holds *body* under *versions*, one for each of the head's names.

    Raises:
        Unencodable: for more names or bytes than an entry can hold.
    """
    packed = msgspec.msgpack.encode(head)
    if len(packed) >> 8 * _SIZE_BYTES:
        raise Unencodable(f"a head of {len(packed)} bytes")
    return pack_entry(versions, len(packed).to_bytes(_SIZE_BYTES, "big") + packed + body, compress_above=compress_above)


def unpack_computed(data: object) -> tuple[Computed, tuple[bytes | None, ...], bytes] | None:
    """Return head, versions and body; ``None`` if *data* is no such entry."""
    count = count_versions(data)
    found = None if count is None else unpack_entry(data, count)
    if found is None:
        return None
    versions, packed = found
    end = _SIZE_BYTES + int.from_bytes(packed[:_SIZE_BYTES], "big")
    try:
        head = _decoder.decode(packed[_SIZE_BYTES:end])
    except msgspec.MsgspecError:
        return None
    known = range(len(head.names))
    if len(head.names) != len(versions) or any(
        at not in known for clause in head.positions for group in clause for at in group
    ):
        return None
    return head, versions, packed[end:]
