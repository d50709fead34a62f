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
    decompressor = _DECOMPRESSORS.get(compression)
    if decompressor is None:
        msg = f'unknown compression {compression!r}'
        raise ValueError(msg)
    try:
        records, is_whole = decompressor(data, size + 1)
    except Exception as error:  # each library has errors of its own
        msg = f'cannot decompress: {error}'
        raise ValueError(msg) from error
    if not is_whole and len(records) <= size:
        msg = 'what is compressed has no end'
        raise ValueError(msg)
    return memoryview(records)


def _decompress_lz4(data: memoryview, max_length: int) -> tuple[bytes, bool]:
    from lz4.frame import LZ4FrameDecompressor  # noqa: PLC0415 - only where it is needed

    decompressor = LZ4FrameDecompressor()
    return decompressor.decompress(data, max_length=max_length), _has_ended(decompressor)


def _decompress_zstd(data: memoryview, max_length: int) -> tuple[bytes, bool]:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor  # noqa: PLC0415
    else:
        from backports.zstd import ZstdDecompressor  # noqa: PLC0415
    decompressor = ZstdDecompressor()
    return decompressor.decompress(data, max_length=max_length), _has_ended(decompressor)


class _Decompressor(Protocol):
    eof: bool
    unused_data: bytes | None


def _has_ended(decompressor: _Decompressor) -> bool:
    """Tell whether the data were one frame, all of it; readers refuse anything else."""
    return decompressor.eof and not decompressor.unused_data


_DECOMPRESSORS: Final[Mapping[str, Callable[[memoryview, int], tuple[bytes, bool]]]] = {
    'lz4': _decompress_lz4,
    'zstd': _decompress_zstd,
}
