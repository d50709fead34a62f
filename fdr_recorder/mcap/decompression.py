# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Gets a chunk's records back from what a compression made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import sys
from typing import Final, Protocol


def decompress(compression: str, data: memoryview, size: int) -> memoryview:
    """
    Return the records of a chunk; at most one byte more than they should have.

    Args:
        compression: As the chunk names it; empty for none.
        data: What is in the chunk.
        size: How large the records should be.

    Raises:
        ValueError: The compression is not known, or the data are not of that kind.

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


class _Decompressor(Protocol):
    """What both libraries have, as `bz2.BZ2Decompressor` has it."""

    eof: bool
    unused_data: bytes | None

    def decompress(self, data: memoryview, *, max_length: int) -> bytes: ...


def _lz4() -> _Decompressor:
    from lz4.frame import LZ4FrameDecompressor  # noqa: PLC0415 - only where it is needed

    decompressor: _Decompressor = LZ4FrameDecompressor()
    return decompressor


def _zstd() -> _Decompressor:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor  # noqa: PLC0415
    else:
        from backports.zstd import ZstdDecompressor  # noqa: PLC0415
    decompressor: _Decompressor = ZstdDecompressor()
    return decompressor


_DECOMPRESSORS: Final[Mapping[str, Callable[[], _Decompressor]]] = {'lz4': _lz4, 'zstd': _zstd}
