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
A fleet that never flew: receipts as `fdr fleet receive` would write them, known to the last row.

The same arguments give the same fleet. `test/fleet/test_ten_questions.py` uses a small one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
import hashlib
import random
from typing import Any, Final

from fdr_recorder.fleet.catalogue.arrow_rows import TableBuilder
from fdr_recorder.fleet.catalogue.batches import write_batch
from fdr_recorder.fleet.catalogue.columns import empty_rows, Rows, TABLES
from fdr_recorder.fleet.catalogue.writing import BatchWriter, MOST_FLIGHTS
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.receipt import Link, Receipt
from fdr_recorder.fleet.store import Store
from fdr_recorder.units import EPOCH
import pyarrow as pa
from pyarrow import compute as pc

FIRMWARE: Final = ('1.14.3', '1.15.2', '1.16.0-rc1')
TYPES: Final = {
    '/imu/data': 'sensor_msgs/msg/Imu', '/gps/fix': 'sensor_msgs/msg/NavSatFix',
    '/battery': 'sensor_msgs/msg/BatteryState', '/camera/image_raw': 'sensor_msgs/msg/Image',
    '/odom': 'nav_msgs/msg/Odometry', '/tf': 'tf2_msgs/msg/TFMessage',
}  # fmt: skip
ALERTS: Final = ('disk_low', 'topic_stale', 'overrun', 'transport_loss')
HOME: Final = (47.3977, 8.5456)
POINTS: Final = 100
_TOPICS: Final = 25
_US: Final = timedelta(microseconds=1)


def receipts(count: int, now: datetime, vehicles: int = 20, seed: int = 1) -> Iterator[Receipt]:
    """
    Yield the receipts of so many flights.

    Vehicles fly in turn, the last flights half a day ago, a round each 36 hours, around a home of
    their own. One flight in 29 is missing, one of 31 is damaged, one of 17 lacks the camera.

    Args:
        count: How many flights.
        now: The time by which they are dated, in UTC.
        vehicles: Of how many vehicles.
        seed: Gives another fleet.

    """
    chance = random.Random(seed)
    rounds = -(-count // vehicles)
    for number in range(count):
        vehicle, turn = number % vehicles, number // vehicles
        if number % 29 == 28 and 0 < turn < rounds - 1:
            continue  # it is still on the drone
        pauses = timedelta(days=20) if vehicle == vehicles - 1 else timedelta()
        began = now - timedelta(hours=12) - (rounds - 1 - turn) * timedelta(hours=36) - pauses
        yield _receipt(chance, number, vehicle, turn, began)


def _receipt(
    chance: random.Random, number: int, vehicle: int, turn: int, began: datetime
) -> Receipt:
    key = FlightKey(f'drone-{vehicle:03}', f'flight_{began:%Y%m%dT%H%M%SZ}_{number:04x}')
    rows, start = empty_rows(), (began - EPOCH) // _US
    duration_s = chance.randrange(300, 1800)
    end = start + duration_s * 1_000_000
    is_damaged, is_blind = number % 31 == 30, number % 17 == 16
    lost = _add_topics(rows, chance, start, end, is_blind=is_blind)
    for place, code in enumerate(ALERTS):
        if chance.random() < 0.1 * (place + 1):
            _add(
                rows, 'alerts', code=code, level='warn', subject='', message=f'{code} is raised',
                raised=start + 1_000_000, cleared=end - 1_000_000, times=1,
            )  # fmt: skip
    lat, lon = HOME[0] + 0.1 * vehicle, HOME[1]
    for point in range(POINTS):
        _add(
            rows, 'places', topic='/gps/fix', time=start + point * (end - start) // POINTS,
            lat=lat + 0.0001 * point, lon=lon + chance.uniform(-0.001, 0.001), alt=400.0 + point,
        )  # fmt: skip
    verdict = 'damaged' if is_damaged else 'not_as_asked' if is_blind else 'losses'
    verdict = verdict if verdict != 'losses' or lost else 'complete'
    firmware = FIRMWARE[(vehicle + turn // 8) % len(FIRMWARE)]
    _add(
        rows, 'flights', flight_id=key.flight, flight_number=turn + 1, started=start, ended=end,
        how_ended='closed', duration_s=float(duration_s), bytes=duration_s * 2_000_000,
        records=duration_s * 700, messages=sum(rows['topics']['messages']), topics=_TOPICS,
        segments=duration_s // 30, segments_dropped=0, verdict=verdict, integrity='intact',
        completeness='losses' if lost else 'complete', authenticity='not sealed',
        sentence='Complete: closed, and nothing is missing.', lost=lost, lost_transport=lost,
        lost_overrun=0, lost_write_error=0, lost_before_match=0, lost_unexplained=0,
        dropped_capacity=0, dropped_removed=0, unreadable_bytes=0, left_out=0, recorder='0.2.0',
        firmware=firmware, metadata={'firmware': firmware, 'pilot': f'pilot {vehicle % 7}'},
        ros_distro='kilted', rmw='rmw_fastrtps_cpp', host=f'host-{vehicle}', takeoff_lat=lat,
        takeoff_lon=lon, takeoff_alt=400.0, landing_lat=lat, landing_lon=lon, landing_alt=400.0,
        removed_flights=[], removed_numbers=[], upload='',
    )  # fmt: skip
    return Receipt(
        key=key,
        manifest=hashlib.sha256(key.flight.encode()).hexdigest(),
        stored_ns=end * 1000,
        etag=f'{number:032x}',
        received_ns=end * 1000 + 60 * 10**9,
        arrived=True,
        verdict=verdict,
        link=Link(key.flight, turn + 1),
        rows=rows,
    )


def _add_topics(
    rows: Rows, chance: random.Random, start: int, end: int, *, is_blind: bool
) -> int:
    """Add the topics of a flight, and their losses; return how many messages were lost."""
    names = [*TYPES, *(f'/fmu/out/topic_{number:02}' for number in range(_TOPICS - len(TYPES)))]
    total = 0
    for name in names:
        if is_blind and name == '/camera/image_raw':
            _add(rows, 'topics', topic=name, outcome='no_publisher', messages=0, bytes=0)
            continue
        rate = chance.choice((1, 10, 50, 200))
        messages = rate * (end - start) // 1_000_000
        lost = chance.randrange(1, 100) if chance.random() < 0.05 else 0
        total += lost
        _add(
            rows, 'topics', topic=name, type=TYPES.get(name, 'px4_msgs/msg/VehicleStatus'),
            outcome='recorded', messages=messages, bytes=100 * messages, rate_hz=float(rate),
            first=start, last=end, gap_s=round(chance.expovariate(2.0) + 1 / rate, 6),
            gap_at=start + 5_000_000, silence_s=0.0, publishers=1, offered=messages, lost=lost,
            lost_transport=lost, lost_overrun=0, lost_write_error=0, lost_before_match=0,
            left_out=0, why_unseen='',
        )  # fmt: skip
        if lost:
            _add(
                rows, 'losses', topic=name, publisher='0a' * 16, cause='transport', records=lost,
                bytes=0, times=1, first=start + 2_000_000, last=start + 3_000_000,
            )  # fmt: skip
    return total


def _add(rows: Rows, table: str, **values: Any) -> None:  # noqa: ANN401
    for name, column in rows[table].items():
        column.append(values.get(name))


def store_catalogue(store: Store, found: list[Receipt], times: int = 1) -> int:
    """
    Write the catalogue of so many fleets like this one; return how many flights it has.

    Each further fleet has vehicles of other names, which flew three days before.
    """
    if times == 1:
        writer = BatchWriter(store)
        for receipt in found:
            writer.add(receipt, is_signed=True)
        writer.write()
        return len(found)
    builders = {name: TableBuilder(table) for name, table in TABLES.items()}
    for receipt in found:
        rows = {name: dict(columns) for name, columns in receipt.rows.items()}
        metadata = rows['flights']['metadata'][0]
        rows['flights'].update(
            metadata=[list(metadata.items())], manifest=[receipt.manifest],
            stored_at=[receipt.stored_ns // 1000], received_at=[receipt.received_ns // 1000],
            signed=[True],
        )  # fmt: skip
        for builder in builders.values():
            builder.add(*receipt.key, rows, etag=receipt.etag)
    one = {name: builder.table() for name, builder in builders.items()}
    per_batch = max(MOST_FLIGHTS // len(found), 1)
    for first in range(0, times, per_batch):
        fleets = range(first, min(first + per_batch, times))
        write_batch(
            store,
            {
                name: pa.concat_tables([_another(table, fleet) for fleet in fleets])
                for name, table in one.items()
            },
        )
    return times * len(found)


def _another(table: pa.Table, fleet: int) -> pa.Table:
    columns = []
    for name, kind in zip(table.column_names, table.schema.types, strict=True):
        column = table.column(name)
        if name == 'vehicle':
            column = pc.binary_join_element_wise(column, f'fleet-{fleet:03}', '-')
        elif pa.types.is_timestamp(kind):
            column = pc.subtract(column, pa.scalar(fleet * timedelta(days=3)))
        columns.append(column)
    return pa.Table.from_arrays(columns, names=table.column_names).cast(table.schema)
