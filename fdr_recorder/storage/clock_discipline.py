# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Who keeps the system clock right, and whether it is: as far as that can be read at once."""

from __future__ import annotations

from collections.abc import Mapping
import ctypes
from dataclasses import field
from functools import cache
from pathlib import Path
import sys
from typing import Any, Final

from fdr_recorder.quick_dataclass import dataclass

UNKNOWN: Final = 0
UNSYNCHRONISED: Final = 1
SYNCHRONISED: Final = 2
"""What the kernel says of the clock, as `clock_state` in records."""

_TIME_ERROR: Final = 5
_STA_UNSYNC: Final = 0x0040
_STA_NANO: Final = 0x2000
_PPM: Final = 65536

_RUNTIME: Final = Path('/run')
_SIGNS: Final = {
    'chrony': ('chrony/chronyd.pid', 'chrony/chronyd.sock', 'chronyd.pid'),
    'systemd-timesyncd': ('systemd/timesync',),
    'ntpd': ('ntpd.pid', 'ntpd/ntpd.pid', 'openntpd.pid'),
    'ptp4l': ('ptp4l', 'ptp4l.pid'),
    'phc2sys': ('phc2sys', 'phc2sys.pid'),
    'gpsd': ('gpsd.sock', 'gpsd/gpsd.sock'),
}
"""What each program has below /run while it runs."""


@dataclass(frozen=True)
class Discipline:
    """
    How the system clock is kept right.

    Attributes:
        state: `UNKNOWN`, `UNSYNCHRONISED` or `SYNCHRONISED`.
        source: Programs that may set it, joined by `+`; `unknown` if none is seen.
        values: The kernel's estimates (adjtimex(2)); empty if it does not tell.

    """

    state: int = UNKNOWN
    source: str = 'unknown'
    values: Mapping[str, str] = field(default_factory=dict)


class _Timex(ctypes.Structure):
    """`struct timex`, as glibc and musl have it on 64-bit machines."""

    _fields_ = (
        ('modes', ctypes.c_uint),
        ('offset', ctypes.c_long),
        ('freq', ctypes.c_long),
        ('maxerror', ctypes.c_long),
        ('esterror', ctypes.c_long),
        ('status', ctypes.c_int),
        ('constant', ctypes.c_long),
        ('precision', ctypes.c_long),
        ('tolerance', ctypes.c_long),
        ('time_s', ctypes.c_long),
        ('time_us', ctypes.c_long),
        ('tick', ctypes.c_long),
        ('more', ctypes.c_byte * 256),
    )


@cache
def _adjtimex() -> Any | None:  # noqa: ANN401 - a function of libc
    """Return the system call; None where its structure may be another one."""
    if sys.platform != 'linux' or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    return getattr(ctypes.CDLL(None), 'adjtimex', None)


def _ask_kernel() -> tuple[int, _Timex]:
    said = _Timex()
    call = _adjtimex()
    return (call(ctypes.byref(said)) if call is not None else -1), said


def clock_state() -> int:
    """Return what the kernel says of the clock; does not wait for anything."""
    result, said = _ask_kernel()
    if result < 0:
        return UNKNOWN
    is_wrong = result == _TIME_ERROR or said.status & _STA_UNSYNC
    return UNSYNCHRONISED if is_wrong else SYNCHRONISED


def read_discipline(runtime: Path = _RUNTIME) -> Discipline:
    """Return how the clock is kept; looks at a few names below /run, which is in memory."""
    state = clock_state()
    values: dict[str, str] = {}
    if state != UNKNOWN:
        _, said = _ask_kernel()
        offset_us = said.offset / 1000 if said.status & _STA_NANO else said.offset
        values = {
            'offset_us': f'{offset_us:g}',
            'estimated_error_us': str(said.esterror),
            'maximum_error_us': str(said.maxerror),
            'frequency_ppm': f'{said.freq / _PPM:.3f}',
            'status': hex(said.status),
        }
    running = [
        program
        for program, names in _SIGNS.items()
        if any(_is_there(runtime / name) for name in names)
    ]
    return Discipline(state, '+'.join(running) or 'unknown', values)


def _is_there(path: Path) -> bool:
    """
    Tell whether there is a file; raises no error.

    A directory that only its program may enter, as that of chrony, is there while that runs.
    """
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True
