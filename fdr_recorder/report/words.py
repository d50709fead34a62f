# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

from fdr_recorder.report.sampling import NS_PER_S

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SLOW_HZ: Final = 0.995
_LONGEST: Final = 160
_MINUS: Final = '\N{MINUS SIGN}'


def moment(time_ns: int) -> datetime:
    """Return a time of the system clock (nanoseconds), to the microsecond."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def clock(time_ns: int, decimals: int = 1) -> str:
    """Return the time of day, UTC, cut after so many decimals of a second: `14:03:11.2`."""
    at = f'{moment(time_ns):%H:%M:%S.%f}'
    return at[: 9 + decimals] if decimals else at[:8]


def date(time_ns: int) -> str:
    """Return the date, UTC: `2026-11-22`."""
    return f'{moment(time_ns):%Y-%m-%d}'


def elapsed(seconds: float, decimals: int = 1) -> str:
    """Return a time since the start: `3:11.2`, `1:02:03.4`."""
    sign, tenths = (_MINUS if seconds < 0 else ''), 10**decimals
    whole, part = divmod(int(abs(seconds) * tenths + 1e-6), tenths)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f'.{part:0{decimals}}' if decimals else ''
    head = f'{hours}:{minutes:02}' if hours else f'{minutes}'
    return f'{sign}{head}:{rest:02}{fraction}'


def duration(seconds: float) -> str:
    """Return how long: `40 ms`, `12.5 s`, `3 min 05 s`, `1 h 02 min`."""
    if seconds < 0.9995:
        return f'{seconds * 1000:.{0 if seconds >= 0.01 else 1}f} ms'
    if seconds < 59.95:
        return f'{seconds:.1f} s'
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f'{minutes} min {rest:02} s'
    return f'{minutes // 60:,} h {minutes % 60:02} min'


def hertz(rate: float | None) -> str:
    """Return a rate: `198.4 Hz`, `0.02 Hz`; a dash if there is none."""
    if rate is None:
        return '\N{EN DASH}'
    return f'{rate:,.1f} Hz' if rate >= _SLOW_HZ else f'{rate:.2g} Hz'


def number(value: float, decimals: int) -> str:
    """Return a number with a real minus sign."""
    return f'{value:,.{decimals}f}'.replace('-', _MINUS)


def short(text: str, longest: int = _LONGEST) -> str:
    """Return a name from a recording, cut if it is longer than any sensible one."""
    return text if len(text) <= longest else f'{text[:longest]}\N{HORIZONTAL ELLIPSIS}'


def span(first_ns: int, last_ns: int) -> str:
    """
    Return when something was: `at 14:03:11.2`, `between 14:03:11.2 and 14:03:11.9`.

    A time of 0 is not known; a clock may have been set back between them.
    """
    if not first_ns or not last_ns:
        word = 'after' if first_ns else 'before'
        return f'{word} {clock(first_ns or last_ns)}' if first_ns or last_ns else ''
    first_ns, last_ns = sorted((first_ns, last_ns))
    decimals = 1 if last_ns - first_ns >= NS_PER_S // 10 else 3
    first, last = clock(first_ns, decimals), clock(last_ns, decimals)
    if date(first_ns) != date(last_ns):
        last = f'{date(last_ns)} {last}'
    return f'at {first}' if first == last else f'between {first} and {last}'
