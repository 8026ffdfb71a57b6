"""Any result of a function: as a value where that is exact, else pickled, and signed.

Whoever can write to the cache could otherwise run code here: pickles are opened only when they carry the keyed hash of
a secret, over the bytes and over the name they are stored under, so that one entry's bytes are no other's.
"""

from __future__ import annotations

import hmac
import pickle
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from everfresh.codec.values import MISS, Miss, decode_value, encode_value
from everfresh.exceptions import Unencodable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["pack_any", "unpack_any"]

_VALUE, _PICKLE = b"v", b"p"
_DIGEST_BYTES: Final = 32
_PURPOSE: Final = b"everfresh pickle"  # at most 16 bytes


def pack_any(value: object, name: str, secret: str | None) -> bytes:
    """Return the bytes of *value* as stored under *name*.

    Args:
        value: anything.
        name: the key of its entry.
        secret: signs what has to be pickled; ``None``: nothing is pickled.

    Raises:
        Unencodable: when it would have to be pickled and may not, or cannot.
    """
    try:
        return _VALUE + encode_value(value)
    except Unencodable:
        if secret is None:
            raise
    try:
        packed = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # pickle raises whatever the value's own methods do
        raise Unencodable(f"{type(value).__qualname__}, which cannot be pickled ({error})") from error
    return _PICKLE + _signature(packed, name, secret) + packed


def unpack_any(data: bytes | memoryview, name: str, secrets: Sequence[str]) -> Any | Miss:
    """Return the value stored under *name*, or `MISS`; *secrets* are those that may have signed it."""
    data = bytes(data)
    if data[:1] == _VALUE:
        return decode_value(data[1:])
    if data[:1] != _PICKLE:
        return MISS
    signature, packed = data[1 : 1 + _DIGEST_BYTES], data[1 + _DIGEST_BYTES :]
    if not any(hmac.compare_digest(signature, _signature(packed, name, secret)) for secret in secrets):
        return MISS
    try:
        return pickle.loads(packed)  # noqa: S301  signed by this project
    except Exception:  # noqa: BLE001  a class that moved or changed since
        return MISS


def _signature(packed: bytes, name: str, secret: str) -> bytes:
    # A key of a fixed length, whatever the length of the secret.
    key = blake2b(secret.encode(), person=_PURPOSE).digest()
    named = name.encode()
    return blake2b(
        len(named).to_bytes(4, "big") + named + packed, key=key, person=_PURPOSE, digest_size=_DIGEST_BYTES
    ).digest()
