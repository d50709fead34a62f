# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Sizes, counts and times as people write them."""

from __future__ import annotations

from datetime import datetime, timezone


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


def iso_time(time_ns: int) -> str:
    """Return a time of the system clock (nanoseconds) as ISO 8601: UTC, microseconds, `Z`."""
    time_utc = datetime.fromtimestamp(time_ns / 1e9, timezone.utc)
    return time_utc.isoformat(timespec='microseconds').replace('+00:00', 'Z')
