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

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module
import sys
from typing import Any, Final

Compressor = Callable[[bytes], bytes]

_ZSTD: Final = 'compression.zstd' if sys.version_info >= (3, 14) else 'backports.zstd'
_LIBRARIES: Final[Mapping[str, tuple[str, str, dict[str, int]]]] = {
    'lz4': ('lz4.frame', 'LZ4FrameDecompressor', {}),
    'zstd': (_ZSTD, 'ZstdDecompressor', {'level': 1}),
}
"""Module, class that decompresses, options of `compress`; imported only where it is needed."""
_PIECE_BYTES: Final = 1 << 20


def compressor(name: str) -> Compressor | None:
    """Return the function that compresses a chunk; None for `none`."""
    if name == 'none':
        return None
    module, _, options = _LIBRARIES[name]
    return partial(import_module(module).compress, **options)


def unpack(compression: str, source: Iterable[bytes]) -> Iterator[bytes]:
    """
    Yield what is in a compressed file, piece by piece.

    Args:
        compression: `lz4` or `zstd`.
        source: The file, in pieces.

    Raises:
        ValueError: The compression is unknown, or the data is not of that kind, or has no end.

    """
    decompressor: Any = None
    for data in source:
        while data:
            decompressor = decompressor or _decompressor(compression)
            try:
                yield decompressor.decompress(data, max_length=_PIECE_BYTES)
                while not (decompressor.eof or decompressor.needs_input):
                    yield decompressor.decompress(b'', max_length=_PIECE_BYTES)
            except Exception as error:  # each library has errors of its own
                raise ValueError(f'cannot decompress: {error}') from error
            data = b''
            if decompressor.eof:  # another frame may follow
                data, decompressor = decompressor.unused_data, None
    if decompressor is not None:
        raise ValueError('what is compressed has no end')


def unpack_whole(compression: str, data: bytes, most: int) -> bytes:
    """Return what is in compressed data; raise `ValueError` as `unpack`, or if it is more."""
    unpacked = b''
    for piece in unpack(compression, [data]):
        unpacked += piece
        if len(unpacked) > most:
            raise ValueError(f'more than {most} bytes are not believed')
    return unpacked


def _decompressor(compression: str) -> Any:  # noqa: ANN401 - of one of the libraries
    if compression not in _LIBRARIES:
        raise ValueError(f'unknown compression {compression!r}')
    module, decompressor_class, _ = _LIBRARIES[compression]
    return getattr(import_module(module), decompressor_class)()


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
    decompressor = _decompressor(compression)
    try:
        records = decompressor.decompress(data, max_length=size + 1)
    except Exception as error:  # each library has errors of its own
        raise ValueError(f'cannot decompress: {error}') from error
    is_one_frame = decompressor.eof and not decompressor.unused_data  # readers refuse the rest
    if not is_one_frame and len(records) <= size:
        raise ValueError('what is compressed has no end')
    return memoryview(records)
