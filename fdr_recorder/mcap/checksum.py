# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
CRC-32 of MCAP (that of zlib), by the fastest library that is installed.

With the optional package `isal` it takes a third of the time of zlib's, which for large messages
is most of what the writer does besides the system call.
"""

from __future__ import annotations

from collections.abc import Iterable

try:
    from isal.isal_zlib import crc32 as _crc32
except ImportError:
    from zlib import crc32 as _crc32


def crc32(pieces: Iterable[bytes | memoryview], crc: int = 0) -> int:
    """Return the CRC-32 of pieces, one after the other; `crc` is that of earlier pieces."""
    for piece in pieces:
        crc = _crc32(piece, crc)
    return crc
