"""An entry: a header with the versions of its tags, then the body.

The header starts with everything that a hit must find unchanged, in one piece, so a hit is one comparison of bytes::

    magic, format | settled? | number of versions | versions | how the body is stored | its plain size | body
    2        1        1               2              8 each              1                    4
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from everfresh.codec import zstd
from everfresh.exceptions import Unencodable

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT: Final = 1
"""Number of the stored formats, entry, rows and value together. Entries of another number are misses."""

PENDING: Final = bytes(8)
"""What an entry holds in place of the version of a pending tag. No tag ever has this version."""

_MAGIC = b"\xeeF%c" % FORMAT
_prefix = Struct(">3sBH")
_tail = Struct(">BI")
_SETTLED, _UNSETTLED = 1, 0
_PLAIN, _ZSTD = 0, 1
_MAX_COUNT, _MAX_SIZE = 0xFFFF, 0xFFFFFFFF


def pack_entry(versions: Sequence[bytes | None], body: bytes, *, compress_above: int | None = None) -> bytes:
    """Return the entry that holds *body* as the answer under *versions*, in the caller's order of tags.

    A version is 8 bytes, or ``None`` for a pending tag, which then never equals any version. A body of more than
    *compress_above* bytes is compressed where zstd is installed and makes it smaller.
    """
    held = _held(versions)
    if any(len(version) != 8 for version in held):
        message = f"a version is 8 bytes long, not {next(len(v) for v in held if len(v) != 8)}"
        raise ValueError(message)
    if len(held) > _MAX_COUNT or len(body) > _MAX_SIZE:
        message = f"an entry of {len(held)} versions and {len(body)} bytes; the most is {_MAX_COUNT} and {_MAX_SIZE}"
        raise Unencodable(message)
    storage, stored = _PLAIN, body
    if compress_above is not None and len(body) > compress_above and zstd.library is not None:
        compressed = zstd.library.compress(body)
        if len(compressed) < len(body):
            storage, stored = _ZSTD, compressed
    return b"".join((head(versions), _tail.pack(storage, len(body)), stored))


def head(versions: Sequence[bytes | None]) -> bytes:
    """Return what an entry under these *versions* begins with; as long for as many others."""
    held = _held(versions)
    settled = _UNSETTLED if PENDING in held else _SETTLED
    return b"".join((_prefix.pack(_MAGIC, settled, len(held)), *held))


def _held(versions: Sequence[bytes | None]) -> list[bytes]:
    return [PENDING if version is None else version for version in versions]


def matches(data: object, versions: Sequence[bytes | None]) -> bytes | None:
    """Return the body if *data* is an entry whose every version equals the live one, else ``None``: the fast path.

    An empty body is ``b""``, so compare with ``None``. When it says no, `unpack_versions` tells which version moved.
    """
    try:
        head = _prefix.pack(_MAGIC, _SETTLED, len(versions)) + b"".join(versions)  # type: ignore[arg-type]
        if not data.startswith(head):  # type: ignore[attr-defined]
            return None
    except Exception:  # noqa: BLE001  a pending live version, or something else stored under the key
        return None
    return _body(data, len(head))  # type: ignore[arg-type]


def unpack_versions(data: object, count: int) -> tuple[bytes | None, ...] | None:
    """Return the *count* versions of the entry, ``None`` for those pending then; ``None`` if it is no such entry."""
    if type(data) is not bytes or len(data) < _prefix.size + 8 * count + _tail.size:
        return None
    magic, settled, held = _prefix.unpack_from(data)
    if magic != _MAGIC or held != count or settled not in (_SETTLED, _UNSETTLED):
        return None
    ends = range(_prefix.size + 8, _prefix.size + 8 * count + 1, 8)
    versions = tuple([data[end - 8 : end] for end in ends])
    if (PENDING in versions) is (settled == _SETTLED):
        return None
    return versions if settled else tuple([None if version == PENDING else version for version in versions])


def count_versions(data: object) -> int | None:
    """Return how many versions the entry holds, for who cannot know; ``None`` if it is no entry."""
    if type(data) is not bytes or len(data) < _prefix.size:
        return None
    magic, _, held = _prefix.unpack_from(data)
    return int(held) if magic == _MAGIC else None


def unpack_body(data: object, count: int) -> bytes | None:
    """Return the body of an entry of *count* versions, whatever they are; ``None`` if it is no such entry."""
    if unpack_versions(data, count) is None:
        return None
    return _body(data, _prefix.size + 8 * count)  # type: ignore[arg-type]


def unpack_entry(data: object, count: int) -> tuple[tuple[bytes | None, ...], bytes] | None:
    """Return the *count* versions and the body of the entry; ``None`` if it is no such entry, or cut short."""
    versions = unpack_versions(data, count)
    if versions is None:
        return None
    body = _body(data, _prefix.size + 8 * count)  # type: ignore[arg-type]
    return None if body is None else (versions, body)


def _body(data: bytes, start: int) -> bytes | None:
    start += _tail.size
    if len(data) < start:
        return None
    storage, size = _tail.unpack_from(data, start - _tail.size)
    if storage == _PLAIN:
        return data[start:] if len(data) - start == size else None
    if storage != _ZSTD or zstd.library is None:
        return None
    try:
        body = zstd.library.decompress(data[start:], size)
    except Exception:  # noqa: BLE001  each library has its own errors for broken input
        return None
    return body if len(body) == size else None
