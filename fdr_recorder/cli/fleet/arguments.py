# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Values that verbs of `fdr fleet` take."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import datetime, timedelta, timezone
import re
from typing import Final

from fdr_recorder.cli.argument_types import parse_moment
from fdr_recorder.units import EPOCH

_PERIOD: Final = re.compile(r'(\d{1,6}(?:\.\d+)?)\s*(s|m|min|h|d|w)?', re.IGNORECASE)
_UNITS_S: Final = {'s': 1.0, 'm': 60.0, 'min': 60.0, 'h': 3600.0, 'd': 86400.0, 'w': 604800.0}


def parse_period(text: str) -> float:
    """Return seconds: `60s`, `5min`, `1h`, `7d`, `2w`; a number alone is of seconds."""
    match = _PERIOD.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise ArgumentTypeError(f'invalid time: {text!r}; write for example 60s, 5min, 1h or 7d')
    return float(match[1]) * _UNITS_S[(match[2] or 's').lower()]


def parse_when(text: str) -> datetime:
    """Return a time in UTC: a date, a date and time, or how long ago: `7d`."""
    match = _PERIOD.fullmatch(text.strip())
    if match is not None and match[2]:
        return datetime.now(timezone.utc) - timedelta(seconds=parse_period(text))
    try:
        moment = parse_moment(text)
    except ArgumentTypeError:
        moment = None
    if moment is None or moment.time_ns is None:
        raise ArgumentTypeError(
            f'invalid time: {text!r}; write a date (2026-11-22), a date and time '
            '(2026-11-22T09:14:02Z), or how long ago (7d, 12h)'
        )
    return EPOCH + timedelta(microseconds=moment.time_ns // 1000)
