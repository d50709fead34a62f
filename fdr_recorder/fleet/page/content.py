# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the page shows: numbers over all flights, and the flights in parts that load on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final

from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.units import short

PART_FLIGHTS: Final = 5000
"""A part has so many flights at most: a browser reads one in a blink."""
POINTS: Final = 40
"""Of a track on the map of many."""
_MOST_VEHICLES: Final = 2000
_MOST_CODES: Final = 100
_LONGEST: Final = 300
_MOST_ALERTS: Final = 20
_SCALE: Final = 100_000
"""Of degrees: a metre."""

LEVELS: Final[Mapping[str, str]] = {
    'complete': 'good',
    'unknown': 'soft',
    'losses': 'loss',
    'not_as_asked': 'loss',
    'unclosed': 'warn',
    'partly_authentic': 'warn',
    'unproved': 'warn',
    'not_checked': 'warn',
    'damaged': 'bad',
    'not_authentic': 'bad',
    'bad_upload': 'bad',
}
"""How bad a verdict is; one that is not known here is `bad`."""
LEVEL_NAMES: Final = ('good', 'soft', 'loss', 'warn', 'bad')

TABLES: Final = 'flights alerts places'
"""Of the catalogue, which the page is made of."""

Ask = Callable[[str, Sequence[object]], list[tuple[Any, ...]]]
"""Answers a question in SQL on the catalogue, with its parameters."""

_FLIGHTS: Final = """
SELECT
    vehicle, flight, epoch_ms(started), duration_s, bytes, messages, lost, verdict, sentence,
    recorder, firmware, manifest
FROM flights ORDER BY started DESC NULLS LAST, vehicle, flight
"""
_ALERTS: Final = """
SELECT vehicle, flight, code, level, sum(times)::BIGINT FROM alerts
GROUP BY ALL ORDER BY ALL
"""
_PLACES: Final = f"""
WITH numbered AS (
    SELECT
        vehicle, flight, lat, lon, time,
        row_number() OVER (PARTITION BY vehicle, flight ORDER BY time) - 1 AS place,
        count(*) OVER (PARTITION BY vehicle, flight) AS points
    FROM places
    WHERE (vehicle, flight) IN (SELECT (unnest(?), unnest(?)))
    AND abs(lat) <= 90 AND abs(lon) <= 180
)
SELECT vehicle, flight, lat, lon FROM numbered
WHERE place % ceil(points / {POINTS})::BIGINT = 0 OR place = points - 1
ORDER BY vehicle, flight, time
"""


@dataclass
class Part:
    """
    Flights of one month, those next to each other.

    Attributes:
        month: `2026-11`; empty for flights of which nobody knows when they were.
        first_ms: When its earliest flight began; 0 if unknown.
        last_ms: When its latest did.
        keys: The flights, the newest first.
        texts: Every text that its rows name by number.
        rows: A list for each flight; see `_row`.

    """

    month: str
    first_ms: int = 0
    last_ms: int = 0
    keys: list[FlightKey] = field(default_factory=list)
    texts: dict[str, int] = field(default_factory=dict)
    rows: list[list[Any]] = field(default_factory=list)

    def text(self, value: str | None) -> int:
        """Return the number of a text."""
        return self.texts.setdefault(short(value or '', _LONGEST), len(self.texts))

    def to_list(self) -> list[Any]:
        """Return it for `json.dumps`."""
        return [list(self.texts), self.rows]


@dataclass
class Overview:
    """
    What is known without reading the parts.

    Attributes:
        flights: How many there are.
        duration_s: How long they were in all.
        bytes: Their size.
        levels: How many flights there are of each level, by month.
        verdicts: How many of each verdict.
        vehicles: Of each vehicle: flights, and how many of these are not `good` or `soft`.
        codes: Of each code of an alert and its level: in how many flights, and how often.

    """

    flights: int = 0
    duration_s: float = 0.0
    bytes: int = 0
    levels: dict[str, list[int]] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)
    vehicles: dict[str, list[int]] = field(default_factory=dict)
    codes: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, vehicle: str, month: str, verdict: str, duration_s: float, size: int) -> None:
        """Count a flight."""
        level = LEVELS.get(verdict, 'bad')
        self.flights += 1
        self.duration_s += duration_s
        self.bytes += size
        self.levels.setdefault(month, [0] * len(LEVEL_NAMES))[LEVEL_NAMES.index(level)] += 1
        self.verdicts[verdict] = self.verdicts.get(verdict, 0) + 1
        counts = self.vehicles.setdefault(vehicle, [0, 0])
        counts[0] += 1
        counts[1] += level not in ('good', 'soft')

    def add_alert(self, code: str, level: str, times: int) -> None:
        """Count an alert of a flight."""
        counts = self.codes.setdefault((code, level), [0, 0])
        counts[0] += 1
        counts[1] += times

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`; of very many vehicles and codes, those that matter."""
        vehicles = sorted(self.vehicles.items(), key=lambda item: (-item[1][0], item[0]))
        codes = sorted(self.codes.items(), key=lambda item: (-item[1][0], item[0]))
        return {
            'flights': self.flights,
            'duration_s': round(self.duration_s),
            'bytes': self.bytes,
            'months': [[month, *self.levels[month]] for month in sorted(self.levels)],
            'verdicts': sorted(self.verdicts.items(), key=lambda item: (-item[1], item[0])),
            'vehicles': [
                [short(name, _LONGEST), *counts] for name, counts in vehicles[:_MOST_VEHICLES]
            ],
            'vehicle_count': len(vehicles),
            'codes': [
                [short(code, _LONGEST), short(level), *counts]
                for (code, level), counts in codes[:_MOST_CODES]
            ],
        }


def read_flights(
    ask: Ask, reports: Mapping[tuple[FlightKey, str], str]
) -> tuple[Overview, list[Part]]:
    """
    Ask the catalogue for all flights; return numbers over all, and the flights in parts.

    Args:
        ask: Asks the catalogue.
        reports: The key of the report, by flight and the beginning of its manifest's hash.

    """
    overview = Overview()
    parts: list[Part] = []
    alerts = _alerts(ask, overview)
    for values in ask(_FLIGHTS, ()):
        vehicle, flight, started_ms, duration_s, size, messages, lost, verdict = values[:8]
        sentence, recorder, firmware, manifest = values[8:]
        key = FlightKey(vehicle or '', flight or '')
        month, verdict = _month(started_ms), verdict or 'not_checked'
        overview.add(key.vehicle, month, verdict, duration_s or 0.0, size or 0)
        if not parts or parts[-1].month != month or len(parts[-1].rows) >= PART_FLIGHTS:
            parts.append(Part(month, last_ms=started_ms or 0))
        part = parts[-1]
        part.first_ms = started_ms or 0
        part.keys.append(key)
        part.rows.append([
            started_ms,
            part.text(key.vehicle),
            short(key.flight, _LONGEST),
            round(duration_s, 1) if duration_s is not None else None,
            size,
            messages,
            lost,
            part.text(verdict),
            part.text(sentence),
            part.text(recorder),
            part.text(firmware),
            part.text(reports.get((key, (manifest or '')[:12]), '')),
            [
                [part.text(code), part.text(level), times]
                for code, level, times in alerts.get(key, ())
            ],
        ])
    return overview, parts


def _alerts(ask: Ask, overview: Overview) -> dict[FlightKey, list[tuple[str, str, int]]]:
    found: dict[FlightKey, list[tuple[str, str, int]]] = {}
    for vehicle, flight, code, level, times in ask(_ALERTS, ()):
        overview.add_alert(code or '', level or '', times or 1)
        alerts = found.setdefault(FlightKey(vehicle, flight), [])
        if len(alerts) < _MOST_ALERTS:
            alerts.append((code or '', level or '', times or 1))
    return found


def read_tracks(ask: Ask, part: Part) -> list[list[int]]:
    """
    Return the track of each flight of a part: latitude and longitude, in turn, of a few points.

    The first point is in hundred thousandths of a degree, each other one the way from the one
    before.
    """
    vehicles, flights = [key.vehicle for key in part.keys], [key.flight for key in part.keys]
    tracks: dict[FlightKey, list[tuple[int, int]]] = {}
    for vehicle, flight, lat, lon in ask(_PLACES, (vehicles, flights)):
        point = round(lat * _SCALE), round(lon * _SCALE)
        tracks.setdefault(FlightKey(vehicle, flight), []).append(point)
    return [list(_steps(tracks.get(key, ()))) for key in part.keys]


def _steps(points: Iterable[tuple[int, int]]) -> Iterator[int]:
    before = 0, 0
    for lat, lon in points:
        yield lat - before[0]
        yield lon - before[1]
        before = lat, lon


def _month(started_ms: int | None) -> str:
    if started_ms is None:
        return ''
    return f'{datetime.fromtimestamp(started_ms / 1000, timezone.utc):%Y-%m}'
