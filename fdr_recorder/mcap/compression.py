# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Compression and decompression of chunks, by the names that MCAP gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import sys
from typing import Final, Protocol

Compressor = Callable[[bytes], bytes]


class _Decompressor(Protocol):
    """What both libraries offer, in the manner of `bz2.BZ2Decompressor`."""

    eof: bool
    unused_data: bytes | None

    def decompress(self, data: memoryview, *, max_length: int) -> bytes: ...


def compressor(name: str) -> Compressor | None:
    """Return the function that compresses a chunk; None for `none`."""
    return None if name == 'none' else _COMPRESSORS[name]()


def decompress(compression: str, data: memoryview, size: int) -> memoryview:
    """
    Return the records of a chunk; at most one byte more than they should have.

    Args:
        compression: As the chunk names it; empty for none.
        data: The compressed records.
        size: The uncompressed size that the chunk claims, in bytes.

    Raises:
        ValueError: The compression is unknown, or the data is not of that kind.

    """
    if not compression:
        return data
    make_decompressor = _DECOMPRESSORS.get(compression)
    if make_decompressor is None:
        msg = f'unknown compression {compression!r}'
        raise ValueError(msg)
    decompressor = make_decompressor()
    try:
        records = decompressor.decompress(data, max_length=size + 1)
    except Exception as error:  # each library has errors of its own
        msg = f'cannot decompress: {error}'
        raise ValueError(msg) from error
    is_one_frame = decompressor.eof and not decompressor.unused_data  # readers refuse the rest
    if not is_one_frame and len(records) <= size:
        msg = 'what is compressed has no end'
        raise ValueError(msg)
    return memoryview(records)


# --- the libraries, imported only where they are needed ----------------------------------


def _lz4_compressor() -> Compressor:
    from lz4.frame import compress  # noqa: PLC0415

    return compress  # type: ignore[no-any-return]


def _zstd_compressor() -> Compressor:
    if sys.version_info >= (3, 14):
        from compression.zstd import compress  # noqa: PLC0415
    else:
        from backports.zstd import compress  # noqa: PLC0415
    return lambda data: compress(data, level=1)


def _lz4_decompressor() -> _Decompressor:
    from lz4.frame import LZ4FrameDecompressor  # noqa: PLC0415

    decompressor: _Decompressor = LZ4FrameDecompressor()
    return decompressor


def _zstd_decompressor() -> _Decompressor:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor  # noqa: PLC0415
    else:
        from backports.zstd import ZstdDecompressor  # noqa: PLC0415
    decompressor: _Decompressor = ZstdDecompressor()
    return decompressor


_COMPRESSORS: Final[Mapping[str, Callable[[], Compressor]]] = {
    'lz4': _lz4_compressor,
    'zstd': _zstd_compressor,
}
_DECOMPRESSORS: Final[Mapping[str, Callable[[], _Decompressor]]] = {
    'lz4': _lz4_decompressor,
    'zstd': _zstd_decompressor,
}
