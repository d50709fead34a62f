# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""How busy this computer is, as the kernel tells (Linux: proc(5))."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import time

_STAT = Path('/proc/stat')
_MEMORY = Path('/proc/meminfo')


@dataclass(frozen=True)
class ComputerLoad:
    """
    How busy the computer is.

    Attributes:
        uptime_ms: Since it was started.
        cores: Of each processor, how busy it was since the last look (percent).
        combined: The same, of all together.
        memory_used: Bytes that are not available.
        memory_total: Bytes.

    """

    uptime_ms: int = 0
    cores: tuple[int, ...] = ()
    combined: int = 0
    memory_used: int = 0
    memory_total: int = 0


class Computer:
    """Looks at this computer, again and again."""

    def __init__(self) -> None:
        self._before = _ticks()

    def look(self) -> ComputerLoad:
        """Return the load since the last look."""
        now, before = _ticks(), self._before
        self._before = now
        busy = [
            _percent(new, before[name]) for name, new in now.items() if name in before
        ]
        memory = _memory()
        total = memory.get('MemTotal', 0)
        return ComputerLoad(
            uptime_ms=int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000),
            cores=tuple(busy[1:]),
            combined=busy[0] if busy else 0,
            memory_used=total - memory.get('MemAvailable', total),
            memory_total=total,
        )


def _ticks() -> dict[str, tuple[int, int]]:
    """Return idle and all ticks of all processors together, and of each."""
    found = {}
    for line in _STAT.read_text(encoding='ascii').splitlines():
        name, *fields = line.split()
        if not name.startswith('cpu'):
            break
        ticks = [int(field) for field in fields[:8]]
        found[name] = (ticks[3] + ticks[4], sum(ticks))
    return found


def _percent(new: tuple[int, int], old: tuple[int, int]) -> int:
    idle, everything = new[0] - old[0], new[1] - old[1]
    return min(100, max(0, round(100 * (1 - idle / everything)))) if everything > 0 else 0


def _memory() -> dict[str, int]:
    lines = _MEMORY.read_text(encoding='ascii').splitlines()
    pairs = (line.partition(':') for line in lines)
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in pairs}
