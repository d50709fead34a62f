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

from pathlib import Path
import re
from typing import Final

_WRITABLE: Final = re.compile(r'^([0-9a-f]+)-([0-9a-f]+) rw', re.MULTILINE)


def copies_in(pid: int, secret: bytes) -> int:
    """Return how often bytes stand in the memory that a process can write to."""
    found = 0
    maps = Path(f'/proc/{pid}/maps').read_text(encoding='utf-8')
    with Path(f'/proc/{pid}/mem').open('rb', buffering=0) as memory:
        for start, end in ((int(a, 16), int(b, 16)) for a, b in _WRITABLE.findall(maps)):
            memory.seek(start)
            found += memory.read(end - start).count(secret)
    return found
