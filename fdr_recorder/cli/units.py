# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sizes and times as people write them, both ways."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
import re
from typing import Final

NS_PER_S: Final = 1_000_000_000

_SIZE: Final = re.compile(r'(\d+(?:\.\d+)?)\s*(?:([kmgtp])(i?b)?|b)?', re.IGNORECASE)
_PREFIXES: Final = ' kmgtp'
_SECONDS: Final = re.compile(r'[+-]?\d{1,9}(\.\d*)?')
_COUNT: Final = re.compile(r'\d{1,18}')
_FRACTION: Final = re.compile(r'\.(\d+)')
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_size(text: str) -> int:
    """Return bytes, for `argparse`: `20GB` is decimal; `20GiB` and, as in `du`, `20G` binary."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        msg = f'{text!r} is no size; write for example 20GB, 512MiB or 1000000'
        raise ArgumentTypeError(msg)
    number, prefix, unit = match.groups()
    base = 1000 if unit and unit.lower() == 'b' else 1024
    return int(float(number) * base ** _PREFIXES.index((prefix or ' ').lower()))


def format_duration(seconds: float) -> str:
    """Return a duration as text: `0.040 s`, `12.5 s`, `3 min 05 s`, `1 h 02 min`, `7 days`."""
    if seconds < 1:
        return f'{seconds:.3f} s'
    if seconds < 59.95:
        return f'{seconds:.1f} s'
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f'{minutes} min {rest:02} s'
    hours = minutes // 60
    return f'{hours} h {minutes % 60:02} min' if hours < 72 else f'{hours // 24:,} days'


def format_time(time_ns: int) -> str:
    """Return a time of the system clock (nanoseconds) as text: UTC, to the second."""
    moment = _EPOCH + timedelta(microseconds=time_ns // 1000)
    return moment.strftime('%Y-%m-%d %H:%M:%SZ')


@dataclass(frozen=True)
class Moment:
    """
    A time that a user wrote.

    Attributes:
        seconds: Into the flight; before its end if negative. Without meaning with `time_ns`.
        time_ns: Of the system clock; None if it was not written so.

    """

    seconds: float = 0.0
    time_ns: int | None = None

    def in_flight(self, started_ns: int, ended_ns: int) -> int:
        """Return it as a time of the system clock (nanoseconds)."""
        if self.time_ns is not None:
            return self.time_ns
        return (ended_ns if self.seconds < 0 else started_ns) + round(self.seconds * NS_PER_S)


def parse_moment(text: str) -> Moment:
    """Return a time, for `argparse`: seconds into the flight, or ISO 8601 (UTC if not said)."""
    if _SECONDS.fullmatch(text):
        return Moment(seconds=float(text))
    # Python 3.10 takes neither `Z` nor any number of decimal places but three or six
    tidy = _FRACTION.sub(lambda match: f'.{match[1][:6]:0<6}', text.strip().replace('Z', '+00:00'))
    try:
        moment = datetime.fromisoformat(tidy)
    except ValueError:
        msg = (
            f'{text!r} is no time; write seconds into the flight (12.5), before its end (-10), or '
            'a date and time (2026-05-04T09:14:02Z)'
        )
        raise ArgumentTypeError(msg) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return Moment(time_ns=(moment - _EPOCH) // timedelta(microseconds=1) * 1000)


def parse_seconds(text: str) -> float:
    """Return a duration, for `argparse`: more than nothing."""
    if not _SECONDS.fullmatch(text) or float(text) <= 0:
        msg = f'{text!r} is no duration; write a number, for example 30'
        raise ArgumentTypeError(msg)
    return float(text)


def parse_count(text: str) -> int:
    """Return a number of things, for `argparse`."""
    if not _COUNT.fullmatch(text):
        msg = f'{text!r} is no number; write for example 10'
        raise ArgumentTypeError(msg)
    return int(text)
