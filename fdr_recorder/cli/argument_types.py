# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What people type as arguments: sizes, counts and times, for `argparse`."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
import re
from typing import Final

from fdr_recorder.units import EPOCH, NS_PER_S

_SIZE: Final = re.compile(r'(\d+(?:\.\d+)?)\s*(?:([kmgtp])(i?b)?|b)?', re.IGNORECASE)
_PREFIXES: Final = ' kmgtp'
_SECONDS: Final = re.compile(r'[+-]?\d{1,9}(\.\d*)?')
_COUNT: Final = re.compile(r'\d{1,18}')
_FRACTION: Final = re.compile(r'\.(\d+)')
_SHA256: Final = re.compile(r'[0-9a-f]{24,64}')


def parse_size(text: str) -> int:
    """Return bytes: `20GB` is decimal; `20GiB` and, as in `du`, `20G` are binary."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ArgumentTypeError(
            f'invalid size: {text!r}; write for example 20GB, 512MiB or 1000000'
        )
    number, prefix, unit = match.groups()
    base = 1000 if unit and unit.lower() == 'b' else 1024
    return int(float(number) * base ** _PREFIXES.index((prefix or ' ').lower()))


def parse_count(text: str) -> int:
    """Return a number of things."""
    if not _COUNT.fullmatch(text):
        raise ArgumentTypeError(f'invalid number: {text!r}; write for example 10')
    return int(text)


def parse_seconds(text: str) -> float:
    """Return a duration above zero."""
    if not _SECONDS.fullmatch(text) or float(text) <= 0:
        raise ArgumentTypeError(f'invalid duration: {text!r}; write a number, for example 30')
    return float(text)


def parse_interval(text: str) -> float:
    """Return a duration, or zero."""
    if not _SECONDS.fullmatch(text) or float(text) < 0:
        raise ArgumentTypeError(f'invalid duration: {text!r}; write a number, for example 2 or 0')
    return float(text)


def parse_rate(text: str) -> float:
    """Return how many times as fast."""
    if not _SECONDS.fullmatch(text) or float(text) <= 0:
        raise ArgumentTypeError(
            f'invalid rate: {text!r}; write how many times as fast, above 0: 2 for twice as fast, '
            '0.5 for half as fast'
        )
    return float(text)


def parse_frequency(text: str) -> float:
    """Return how often a second."""
    if not _SECONDS.fullmatch(text) or float(text) <= 0:
        raise ArgumentTypeError(
            f'invalid frequency: {text!r}; write how often a second, above 0, for example 100'
        )
    return float(text)


def parse_sha256(text: str) -> str:
    """Return a SHA-256, or its first 24 digits or more, in hexadecimal and small letters."""
    if not _SHA256.fullmatch(text.strip().lower()):
        wanted = 'write its 64 hexadecimal digits, or the first 24'
        raise ArgumentTypeError(f'invalid SHA-256: {text!r}; {wanted}')
    return text.strip().lower()


@dataclass(frozen=True)
class Moment:
    """
    A time that a user typed.

    Attributes:
        seconds: Seconds into the flight; before its end if negative. Ignored with `time_ns`.
        time_ns: Time of the system clock; None if the user typed seconds.

    """

    seconds: float = 0.0
    time_ns: int | None = None

    def in_flight(self, started_ns: int, ended_ns: int) -> int:
        """Return it as a log time of a flight (nanoseconds); `time_ns` as it is."""
        if self.time_ns is not None:
            return self.time_ns
        return (ended_ns if self.seconds < 0 else started_ns) + round(self.seconds * NS_PER_S)


def parse_moment(text: str) -> Moment:
    """Return a time: seconds into the flight, or ISO 8601 (UTC if it names no zone)."""
    if _SECONDS.fullmatch(text):
        return Moment(seconds=float(text))
    # Python 3.10 accepts neither `Z` nor any number of decimals but three or six
    tidy = _FRACTION.sub(lambda match: f'.{match[1][:6]:0<6}', text.strip().replace('Z', '+00:00'))
    try:
        moment = datetime.fromisoformat(tidy)
    except ValueError:
        raise ArgumentTypeError(
            f'invalid time: {text!r}; write seconds into the flight (12.5), before its end (-10), '
            'or a date and time (2026-05-04T09:14:02Z)'
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return Moment(time_ns=(moment - EPOCH) // timedelta(microseconds=1) * 1000)
