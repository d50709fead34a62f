# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A catalogue of many flights that never were; written as the fleet's side writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
import random
from typing import Any

from fdr_recorder.fleet.catalogue.arrow_rows import schema_of
from fdr_recorder.fleet.catalogue.batches import write_batch
from fdr_recorder.fleet.catalogue.columns import TABLES
from fdr_recorder.fleet.store import Store
import pyarrow as pa

START_MS = 1_767_225_600_000
"""2026-01-01."""
YEAR_MS = 365 * 86_400_000
SITES = ((47.38, 8.54), (30.27, -97.74), (-33.86, 151.2))
VERDICTS = ('complete',) * 80 + ('losses',) * 9 + ('unknown',) * 6 + ('unclosed',) * 3 + (
    'damaged', 'not_authentic',
)
CODES = (('disk_full', 'error'), ('overrun', 'warning'), ('topic_silent', 'warning'))

Row = Mapping[str, Any]


def write_rows(store: Store, **tables: Sequence[Row]) -> None:
    """Write rows as a batch; columns that they lack are null."""
    found = {}
    for name, table in TABLES.items():
        rows, schema = tables.get(name, ()), schema_of(table)
        columns = {column: [row.get(column) for row in rows] for column in schema.names}
        found[name] = pa.Table.from_pydict(columns, schema=schema)
    write_batch(store, found)


def flight_row(vehicle: str, flight: str, **values: Any) -> dict[str, Any]:
    return {
        'vehicle': vehicle, 'flight': flight, 'duration_s': 600.0, 'bytes': 1 << 30,
        'messages': 90_000, 'lost': 0, 'verdict': 'complete', 'sentence': 'complete',
        'recorder': '0.2.0', 'firmware': '1.15.2', 'manifest': f'{hash(flight) & 0xfff:064x}',
        **values,
    }


def write_many(store: Store, count: int, vehicles: int = 300, points: int = 12) -> None:
    """Write so many flights of a year, with alerts of some and a track of each."""
    chance = random.Random(7)
    flights, alerts, places = [], [], []
    for number in range(count):
        vehicle = f'drone-{int(chance.random() ** 2 * vehicles):03}'
        started_us = (START_MS + int(YEAR_MS * number / count)) * 1000
        flight = f'flight_{number:06}'
        verdict = chance.choice(VERDICTS)
        flights.append(flight_row(
            vehicle, flight, started=started_us, verdict=verdict,
            duration_s=chance.uniform(60, 2400), bytes=chance.randrange(1 << 34),
            lost=chance.randrange(1000) if verdict == 'losses' else 0,
            sentence=f'{verdict} for a reason', firmware=f'1.{number * 4 // count}.0',
        ))
        if chance.random() < 0.1:
            code, level = chance.choice(CODES)
            alerts.append({
                'vehicle': vehicle, 'flight': flight, 'code': code, 'level': level,
                'times': chance.randrange(1, 5),
            })
        lat, lon = SITES[hash(vehicle) % 3]
        turn, reach = chance.uniform(0, 6), chance.uniform(0.002, 0.02)
        for point in range(points):
            angle = turn + point / points * 6
            places.append({
                'vehicle': vehicle, 'flight': flight, 'time': started_us + point * 1_000_000,
                'lat': lat + reach * math.sin(angle), 'lon': lon + reach * (math.cos(angle) - 1),
            })
    write_rows(store, flights=flights, alerts=alerts, places=places)
