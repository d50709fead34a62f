# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Looks for a secret in the memory of another process, one that this one has started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re
from typing import Final

_WRITABLE: Final = re.compile(r'^([0-9a-f]+)-([0-9a-f]+) rw', re.MULTILINE)


_SEED_BYTES: Final = 32
_WORD_BYTES: Final = 8
_LEAST_WORD: Final = 1 << 48
"""Words of a seed are larger, but for one in 2**16; pointers, counters and most zeros are not."""
_LEAST_DIFFERENT: Final = 24
"""Of the bytes of a seed so many are different, but for one seed in 10,000."""


def copies_in(pid: int, secret: bytes) -> int:
    """Return how often bytes stand in the memory that a process can write to."""
    return sum(memory.count(secret) for memory in _memory_of(pid))


def possible_seeds(pid: int) -> set[bytes]:
    """Return what may be the seed of an Ed25519 key in the memory that a process can write to."""
    found = set()
    for memory in _memory_of(pid):
        words = memoryview(memory).cast('Q')
        large = [number for number, word in enumerate(words) if word >= _LEAST_WORD]
        for first, last in zip(large, large[3:], strict=False):
            if last - first == 3:
                seed = memory[first * _WORD_BYTES: first * _WORD_BYTES + _SEED_BYTES]
                if len({*seed}) >= _LEAST_DIFFERENT:
                    found.add(seed)
    return found


def _memory_of(pid: int) -> Iterator[bytes]:
    maps = Path(f'/proc/{pid}/maps').read_text(encoding='utf-8')
    with Path(f'/proc/{pid}/mem').open('rb', buffering=0) as memory:
        for start, end in ((int(a, 16), int(b, 16)) for a, b in _WRITABLE.findall(maps)):
            memory.seek(start)
            yield memory.read(end - start)
