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
Pins: what of a flight no cap and no lack of space may remove.

A pin is a window of log times: the segments that overlap it are pinned. After landing single
segments can be pinned, too. They stand in the file PINS of the flight's directory, which is
replaced as a whole: so they are known after a kill, a power cut, and on any other machine.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
import json
import os
from pathlib import Path
import stat
from typing import Any, Final

from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.storage.files import close_fd

PINS_NAME: Final = 'PINS'
FIRST_NS: Final = 0
LAST_NS: Final = 2**63 - 1
"""A window from `FIRST_NS` to this is the whole flight."""
_MOST_WINDOWS: Final = 1000
"""Of more, those with the shortest time between them are joined: more is kept then, never less."""
_MOST_REASONS: Final = 5
_MOST_BYTES: Final = 4 << 20
_UNREADABLE: Final = f'{PINS_NAME} cannot be read'


@dataclass(frozen=True)
class Window:
    """
    A time that is pinned, both ends included, in log time.

    Attributes:
        from_ns: When it begins.
        to_ns: When it ends.
        why: The first few reasons, each once.
        times: How many pins were joined to it.

    """

    from_ns: int
    to_ns: int
    why: tuple[str, ...] = ()
    times: int = 1

    @property
    def is_whole_flight(self) -> bool:
        """Whether it has neither beginning nor end."""
        return self.from_ns <= FIRST_NS and self.to_ns >= LAST_NS

    def joined(self, other: Window) -> Window:
        """Return one window over both, and over the time between them."""
        return Window(
            min(self.from_ns, other.from_ns),
            max(self.to_ns, other.to_ns),
            tuple(dict.fromkeys((*self.why, *other.why)))[:_MOST_REASONS],
            self.times + other.times,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        return {
            'from_ns': self.from_ns,
            'to_ns': self.to_ns,
            'why': list(self.why),
            'times': self.times,
        }


@dataclass
class Pins:
    """
    The pins of one flight. Used by one thread.

    Attributes:
        windows: By time; none overlaps another.
        segments: Reasons of single segments, by number.

    """

    windows: list[Window] = field(default_factory=list)
    segments: dict[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether anything is pinned."""
        return bool(self.windows or self.segments)

    @property
    def reasons(self) -> str:
        """Return the first few reasons, for people."""
        every = [reason for window in self.windows for reason in window.why]
        every += self.segments.values()
        some = list(dict.fromkeys(every))
        return '; '.join(some[:_MOST_REASONS]) + ('; ...' if len(some) > _MOST_REASONS else '')

    def take_away(self, from_ns: int, to_ns: int) -> bool:
        """Cut a time out of the windows; return whether any of it was pinned."""
        left: list[Window] = []
        for window in self.windows:
            if window.to_ns < from_ns or window.from_ns > to_ns:
                left.append(window)
                continue
            if window.from_ns < from_ns:
                left.append(replace(window, to_ns=from_ns - 1))
            if window.to_ns > to_ns:
                left.append(replace(window, from_ns=to_ns + 1))
        is_changed = left != self.windows
        self.windows = left
        return is_changed

    def add(self, window: Window) -> Window:
        """Pin a window, joined with those that overlap it; return the joined one."""
        before = [other for other in self.windows if other.to_ns < window.from_ns]
        behind = [other for other in self.windows if other.from_ns > window.to_ns]
        for other in self.windows[len(before):len(self.windows) - len(behind)]:
            window = other.joined(window)
        self.windows = [*before, window, *behind]
        if len(self.windows) > _MOST_WINDOWS:
            gaps = [
                after.from_ns - other.to_ns
                for other, after in zip(self.windows, self.windows[1:], strict=False)
            ]
            place = gaps.index(min(gaps))
            pair = self.windows[place].joined(self.windows[place + 1])
            self.windows[place:place + 2] = [pair]
        return window

    def covers(self, window: Window) -> bool:
        """Tell whether all of a window is pinned already."""
        return any(
            other.from_ns <= window.from_ns and window.to_ns <= other.to_ns
            for other in self.windows
        )

    def why(self, index: int, first_ns: int, last_ns: int) -> str:
        """Return why a segment of these log times is pinned; empty if it is not."""
        place = bisect_left(self.windows, first_ns, key=lambda window: window.to_ns)
        if place < len(self.windows) and self.windows[place].from_ns <= last_ns:
            return '; '.join(self.windows[place].why) or 'no reason given'
        return self.segments.get(index, '')

    def pinned(self, segments: Iterable[tuple[int, int, int]]) -> dict[int, str]:
        """Return which of segments (number, first and last log time) are pinned, and why."""
        found = {index: self.why(index, first, last) for index, first, last in segments}
        return {index: why for index, why in found.items() if why}

    def to_dict(self) -> dict[str, Any]:
        """Return them for `json.dumps`."""
        return {
            'windows': [window.to_dict() for window in self.windows],
            'segments': [
                {'segment': index, 'why': why} for index, why in sorted(self.segments.items())
            ],
        }

    def encode(self) -> bytes:
        """Return the content of PINS."""
        return json.dumps({'version': 1, **self.to_dict()}, indent=1).encode() + b'\n'


def everything_pinned(why: str) -> Pins:
    """Return pins on a whole flight."""
    return Pins([Window(FIRST_NS, LAST_NS, (why,))])


def read_pins(flight: Path | int) -> Pins:
    """
    Return the pins of a flight, by its directory or a descriptor of it; none without the file.

    Where the file cannot be read, or is no list of pins, all of the flight is pinned.
    """
    fd = -1
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        if isinstance(flight, int):
            fd = os.open(PINS_NAME, flags, dir_fd=flight)
        else:
            fd = os.open(flight / PINS_NAME, flags)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return everything_pinned(_UNREADABLE)
        with open(fd, 'rb', closefd=False) as file:
            return parse_pins(file.read(_MOST_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return Pins()
    except OSError:
        return everything_pinned(_UNREADABLE)
    finally:
        close_fd(fd)


def parse_pins(text: bytes) -> Pins:
    """Return the pins in the text of a file; all is pinned if that is no list of pins."""
    try:
        said = json.loads(text)
        pins = Pins()
        for item in _list(said, 'windows'):
            why = tuple(str(reason) for reason in _list(item, 'why'))[:_MOST_REASONS]
            times = max(int(item.get('times', 1)), 1)
            from_ns, to_ns = int(item['from_ns']), int(item['to_ns'])
            if from_ns <= to_ns:
                pins.add(replace(Window(from_ns, to_ns, why), times=times))
        for item in _list(said, 'segments'):
            pins.segments[int(item['segment'])] = str(item.get('why', '')) or 'no reason given'
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return everything_pinned(_UNREADABLE)
    return pins


def _list(said: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = said.get(name, [])
    if not isinstance(found, list):
        raise TypeError(name)
    return found
