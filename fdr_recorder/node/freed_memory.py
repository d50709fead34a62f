# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Let the allocator keep some memory that is freed, for the next messages."""

from __future__ import annotations

from collections.abc import Mapping
import ctypes
from typing import Final

KEPT_BYTES: Final = 16 * 1024 * 1024
"""In each of the allocator's arenas; there is one for the thread that takes messages."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's mallopt(3)."""


def keep_freed_memory(environment: Mapping[str, str]) -> bool:
    """
    Let glibc return memory to the kernel, and map blocks of their own, above `KEPT_BYTES` only.

    By default it returns what is freed at the end of an arena above 128 KiB. With large messages
    that is nearly all of it, many times a second, and the kernel clears each page that is taken
    again: at 100 KB and 300 messages/s an eighth of the recorder's processor time. One threshold
    alone would stop glibc from adapting the other.

    Does nothing with another C library, or where the environment configures glibc's allocator.

    Returns:
        Whether it is done.

    """
    if any(name.startswith('MALLOC_') for name in environment):
        return False
    if 'glibc.malloc' in environment.get('GLIBC_TUNABLES', ''):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(option, KEPT_BYTES) for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
