# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sizes, counts and times, written as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

NS_PER_S: Final = 1_000_000_000

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MINUS: Final = '\N{MINUS SIGN}'
_SLOW_HZ: Final = 0.995
_LONGEST: Final = 160

# --- text ------------------------------------------------------------------------------------


def encodable(text: object) -> str:
    """
    Return text that UTF-8 can encode, whatever it is made from.

    Names of the graph may have lone surrogates, for bytes that are no UTF-8; they are escaped.
    """
    try:
        return str(text).encode(errors='backslashreplace').decode()
    except Exception:  # whatever foreign objects raise
        return f'<{type(text).__name__}>'


# --- sizes and counts ------------------------------------------------------------------------


def format_size(count: float) -> str:
    """Return bytes as text: `960 B`, `50.8 KiB`."""
    for unit in ('B', 'KiB', 'MiB', 'GiB'):
        if count < 1024:
            return f'{count:.0f} {unit}' if unit == 'B' else f'{count:.1f} {unit}'
        count /= 1024
    return f'{count:.1f} TiB'


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: `1 flight`, `1,002 records`."""
    return f'{count:,} {noun}{"s" * (count != 1)}'


def are(count: int) -> str:
    """Return the verb that follows a count: `is` for one, else `are`."""
    return 'is' if count == 1 else 'are'


def were(count: int) -> str:
    """Return the verb that follows a count: `was` for one, else `were`."""
    return 'was' if count == 1 else 'were'


def format_number(value: float, decimals: int) -> str:
    """Return a number with a true minus sign, not a hyphen."""
    return f'{value:,.{decimals}f}'.replace('-', _MINUS)


def format_rate(rate_hz: float | None) -> str:
    """Return a rate as text: `198.4 Hz`, `0.02 Hz`; a dash for None."""
    if rate_hz is None:
        return '\N{EN DASH}'
    return f'{rate_hz:,.1f} Hz' if rate_hz >= _SLOW_HZ else f'{rate_hz:.2g} Hz'


def short(text: str, longest: int = _LONGEST) -> str:
    """Return a text from a recording, cut if it is longer than a reader needs."""
    return text if len(text) <= longest else f'{text[:longest]}\N{HORIZONTAL ELLIPSIS}'


# --- times: nanoseconds since 1970, shown in UTC ---------------------------------------------


def _utc(time_ns: int) -> datetime:
    return EPOCH + timedelta(microseconds=time_ns // 1000)


def format_time(time_ns: int) -> str:
    """Return date and time of day, to the second: `2026-11-22 14:03:11Z`."""
    return f'{_utc(time_ns):%Y-%m-%d %H:%M:%SZ}'


def iso_time(time_ns: int) -> str:
    """Return a time as ISO 8601: `2026-11-22T14:03:11.204117Z`."""
    time_utc = datetime.fromtimestamp(time_ns / 1e9, timezone.utc)
    return time_utc.isoformat(timespec='microseconds').replace('+00:00', 'Z')


def format_date(time_ns: int) -> str:
    """Return the date: `2026-11-22`."""
    return f'{_utc(time_ns):%Y-%m-%d}'


def time_of_day(time_ns: int, decimals: int = 1) -> str:
    """Return the time of day, cut after so many decimals of a second: `14:03:11.2`."""
    text = f'{_utc(time_ns):%H:%M:%S.%f}'
    return text[: 9 + decimals] if decimals else text[:8]


def time_span(first_ns: int, last_ns: int) -> str:
    """
    Return when something happened: `at 14:03:11.2`, `between 14:03:11.2 and 14:03:11.9`.

    A time of 0 is unknown. The earlier time comes first: the clock may have been set back.
    """
    if not first_ns or not last_ns:
        word = 'after' if first_ns else 'before'
        return f'{word} {time_of_day(first_ns or last_ns)}' if first_ns or last_ns else ''
    first_ns, last_ns = sorted((first_ns, last_ns))
    decimals = 1 if last_ns - first_ns >= NS_PER_S // 10 else 3
    first, last = time_of_day(first_ns, decimals), time_of_day(last_ns, decimals)
    if format_date(first_ns) != format_date(last_ns):
        last = f'{format_date(last_ns)} {last}'
    return f'at {first}' if first == last else f'between {first} and {last}'


# --- durations, in seconds -------------------------------------------------------------------


def format_duration(seconds: float) -> str:
    """Return a duration as text: `0.040 s`, `12.5 s`, `3 min 05 s`, `1 h 02 min`, `7 days`."""
    if seconds < 1:
        return f'{seconds:.3f} s'
    hours = round(seconds) // 3600
    return f'{hours // 24:,} days' if hours >= 72 else precise_duration(seconds)


def precise_duration(seconds: float) -> str:
    """Return a duration as text: `40 ms`, `12.5 s`, `3 min 05 s`, `1,002 h 02 min`."""
    if seconds < 0.9995:
        return f'{seconds * 1000:.{0 if seconds >= 0.01 else 1}f} ms'
    if seconds < 59.95:
        return f'{seconds:.1f} s'
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f'{minutes} min {rest:02} s'
    return f'{minutes // 60:,} h {minutes % 60:02} min'


def time_into_flight(seconds: float) -> str:
    """Return a time since the start, to a tenth of a second: `3:11.2`, `1:02:03.4`."""
    whole, tenth = divmod(int(abs(seconds) * 10 + 1e-6), 10)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    head = f'{hours}:{minutes:02}' if hours else f'{minutes}'
    return f'{_MINUS if seconds < 0 else ""}{head}:{rest:02}.{tenth}'
