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
from typing import Final


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
        return memoryview(decompressor(data, size + 1))
    except Exception as error:  # each library has errors of its own
        msg = f'cannot decompress: {error}'
        raise ValueError(msg) from error


def _decompress_lz4(data: memoryview, max_length: int) -> bytes:
    from lz4.frame import LZ4FrameDecompressor  # noqa: PLC0415 - only where it is needed

    result: bytes = LZ4FrameDecompressor().decompress(data, max_length=max_length)
    return result


def _decompress_zstd(data: memoryview, max_length: int) -> bytes:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor  # noqa: PLC0415
    else:
        from backports.zstd import ZstdDecompressor  # noqa: PLC0415
    result: bytes = ZstdDecompressor().decompress(data, max_length=max_length)
    return result


_DECOMPRESSORS: Final[Mapping[str, Callable[[memoryview, int], bytes]]] = {
    'lz4': _decompress_lz4,
    'zstd': _decompress_zstd,
}
