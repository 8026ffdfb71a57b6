"""Compression of bodies, where this Python has zstd or the ``zstandard`` package is installed."""

from __future__ import annotations

from importlib import import_module
from threading import local


class ZstandardPackage:
    """zstd by the ``zstandard`` package."""

    def __init__(self) -> None:
        import zstandard

        self._zstandard = zstandard
        # Its (de)compressors must not be shared between threads.
        self._own = local()

    def compress(self, body: bytes) -> bytes:
        """Return *body* at level 1, the fastest."""
        try:
            compressor = self._own.compressor
        except AttributeError:
            compressor = self._own.compressor = self._zstandard.ZstdCompressor(level=1)
        compressed: bytes = compressor.compress(body)
        return compressed

    def decompress(self, stored: bytes, size: int) -> bytes:
        """Return the body of *size* bytes; input that is anything else raises what it likes."""
        # It trusts the size that the frame claims over any limit given to it.
        if self._zstandard.frame_content_size(stored) != size:
            message = f"the frame does not hold {size} bytes"
            raise ValueError(message)
        try:
            decompressor = self._own.decompressor
        except AttributeError:
            decompressor = self._own.decompressor = self._zstandard.ZstdDecompressor()
        body: bytes = decompressor.decompress(stored, max_output_size=size, allow_extra_data=False)
        return body


class StandardLibrary:
    """zstd by Python 3.14's ``compression.zstd``."""

    def __init__(self) -> None:
        self._zstd = import_module("compression.zstd")

    def compress(self, body: bytes) -> bytes:
        """Return *body* at level 1, the fastest."""
        compressed: bytes = self._zstd.compress(body, 1)
        return compressed

    def decompress(self, stored: bytes, size: int) -> bytes:
        """Return the body of *size* bytes; input that is anything else raises what it likes."""
        decompressor = self._zstd.ZstdDecompressor()
        body: bytes = decompressor.decompress(stored, size + 1)
        if not decompressor.eof or decompressor.unused_data or len(body) != size:
            message = f"{len(stored)} bytes are not one frame of {size} bytes"
            raise ValueError(message)
        return body


def _find() -> StandardLibrary | ZstandardPackage | None:
    for library in (StandardLibrary, ZstandardPackage):
        try:
            return library()
        except ImportError:
            continue
    return None


library: StandardLibrary | ZstandardPackage | None = _find()
"""Who compresses here, if anyone."""
