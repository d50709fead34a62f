# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Compression of chunks, by the names that MCAP gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import sys
from typing import Final

Compressor = Callable[[bytes], bytes]


def _lz4() -> Compressor:
    from lz4.frame import compress  # noqa: PLC0415 - loaded only where it is configured

    return compress  # type: ignore[no-any-return]


def _zstd() -> Compressor:
    if sys.version_info >= (3, 14):
        from compression.zstd import compress  # noqa: PLC0415
    else:
        from backports.zstd import compress  # noqa: PLC0415
    return lambda data: compress(data, level=1)


_LOADERS: Final[Mapping[str, Callable[[], Compressor]]] = {'lz4': _lz4, 'zstd': _zstd}


def compressor(name: str) -> Compressor | None:
    """Return the function that compresses a chunk; None for `none`."""
    return None if name == 'none' else _LOADERS[name]()
