# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""The ten questions of docs/fleet.md are answered rightly, about a fleet that is known."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import datetime, timedelta, timezone
import io
import json
from math import cos, hypot, radians
from pathlib import Path
from typing import Any

from bench.synthetic_fleet import receipts, store_catalogue
from fdr_recorder.cli.main import main
from fdr_recorder.fleet.receipt import Receipt
from fdr_recorder.fleet.store import Store
from fdr_recorder.units import EPOCH
import pytest
from ten_questions import PAGE, questions

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason='there is no docs/ beside the tests')
FLIGHTS, VEHICLES = 400, 20


class Fleet:
    """A fleet, as plain rows; asks the catalogue as users do."""

    def __init__(self, directory: Path) -> None:
        self.now = datetime.now(timezone.utc)
        self.receipts: list[Receipt] = list(receipts(FLIGHTS, self.now, VEHICLES))
        store_catalogue(Store.open(str(directory)), self.receipts)
        self._url = str(directory)

    def ask(self, number: int) -> list[list[Any]]:
        """Ask a question of the page."""
        said = io.StringIO()
        with redirect_stdout(said):
            assert main(['fleet', 'sql', self._url, questions()[number - 1], '--json']) == 0
        rows: list[list[Any]] = json.loads(said.getvalue())['rows']
        return rows

    def flights(self) -> Iterator[dict[str, Any]]:
        """Yield each flight, with its tables as lists of rows."""
        for receipt in self.receipts:
            found: dict[str, Any] = {}
            for name, columns in receipt.rows.items():
                rows = [
                    dict(zip(columns, row, strict=True))
                    for row in zip(*columns.values(), strict=True)
                ]
                found |= rows[0] if name == 'flights' else {f'all_{name}': rows}
            vehicle, flight = receipt.key
            yield {**found, 'vehicle': vehicle, 'flight': flight}

    def since(self, days: float) -> int:
        """Return the time so many days ago, in microseconds."""
        return (self.now - EPOCH) // timedelta(microseconds=1) - round(days * 86_400e6)


def when(time_us: int) -> str:
    """Return a time as JSON has it."""
    time = (EPOCH + timedelta(microseconds=time_us)).replace(tzinfo=None)
    return f'{time.isoformat()}Z'


@pytest.fixture(scope='module')
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
        yield Fleet(tmp_path_factory.mktemp('store'))


def test_there_are_ten() -> None:
    assert len(questions()) == 10


def test_lost_imu_messages_by_firmware(fleet: Fleet) -> None:
    flights: Counter[tuple[str, str]] = Counter()
    lost: Counter[tuple[str, str]] = Counter()
    for flight in fleet.flights():
        for topic in flight['all_topics']:
            is_recent = flight['started'] > fleet.since(30)
            if is_recent and topic['type'] == 'sensor_msgs/msg/Imu' and topic['lost']:
                key = flight['firmware'], flight['vehicle']
                flights[key] += 1
                lost[key] += topic['lost']
    expected = [[*key, flights[key], count] for key, count in lost.items()]
    expected.sort(key=lambda row: (row[0], -row[3], row[1]))
    assert len({row[0] for row in expected}) == 3
    assert fleet.ask(1) == expected


def test_hours_flown(fleet: Fleet) -> None:
    found: dict[str, list[float]] = defaultdict(list)
    for flight in fleet.flights():
        if flight['started'] > fleet.since(7):
            found[flight['vehicle']].append(flight['duration_s'])
    expected = [[name, len(some), round(sum(some) / 3600, 2)] for name, some in found.items()]
    assert len(expected) == VEHICLES - 1
    assert fleet.ask(2) == sorted(expected, key=lambda row: (-row[2], row[0]))


def test_missing_flights(fleet: Fleet) -> None:
    numbers: dict[str, dict[int, str]] = defaultdict(dict)
    for flight in fleet.flights():
        numbers[flight['vehicle']][flight['flight_number']] = flight['flight']
    expected = []
    for vehicle, there in sorted(numbers.items()):
        gap: list[int] = []
        for number in range(min(there), max(there) + 1):
            if number not in there:
                gap.append(number)
            elif gap:
                expected.append([vehicle, gap[0], gap[-1], None, there[number]])
                gap = []
    assert len(expected) > 8
    assert fleet.ask(3) == expected


def test_what_to_look_at(fleet: Fleet) -> None:
    expected = [item for item in fleet.flights() if item['verdict'] == 'damaged']
    assert len(expected) > 8
    found = fleet.ask(4)
    assert {row[2] for row in found} == {item['flight'] for item in expected}
    assert [row[0] for row in found] == sorted((row[0] for row in found), reverse=True)
    assert {row[3] for row in found} == {'damaged'}


def test_the_most_frequent_alerts(fleet: Fleet) -> None:
    times: Counter[str] = Counter()
    vehicles: dict[str, set[str]] = defaultdict(set)
    for flight in fleet.flights():
        for alert in flight['all_alerts']:
            times[alert['code']] += alert['times']
            vehicles[alert['code']].add(flight['vehicle'])
    expected = [[code, count, len(vehicles[code])] for code, count in times.most_common()]
    assert len(expected) == 4
    assert fleet.ask(5) == expected


def test_losses_by_firmware(fleet: Fleet) -> None:
    flights: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    messages: Counter[str] = Counter()
    for flight in fleet.flights():
        flights[flight['firmware']] += 1
        lost[flight['firmware']] += flight['lost']
        messages[flight['firmware']] += flight['messages']
    assert fleet.ask(6) == [
        [name, flights[name], round(1e6 * lost[name] / messages[name], 3)]
        for name in sorted(flights)
    ]


def test_topics_that_were_not_recorded(fleet: Fleet) -> None:
    blind = [
        flight['vehicle']
        for flight in fleet.flights()
        for topic in flight['all_topics']
        if topic['outcome'] != 'recorded'
    ]
    assert len(blind) > 15
    expected = [['/camera/image_raw', 'no_publisher', len(blind), len({*blind})]]
    assert fleet.ask(7) == expected


def test_flights_without_a_position(fleet: Fleet) -> None:
    expected = [
        [flight['vehicle'], flight['flight'], '/gps/fix', topic['gap_s'], when(topic['gap_at'])]
        for flight in fleet.flights()
        for topic in flight['all_topics']
        if topic['topic'] == '/gps/fix' and topic['gap_s'] > 2
    ]
    assert len(expected) > 3
    assert fleet.ask(8) == sorted(expected, key=lambda row: (-row[3], row[1]))


def test_flights_that_came_near(fleet: Fleet) -> None:
    expected = []
    for flight in fleet.flights():
        near = [
            (round(111.2 * hypot(lat - 47.5, (lon - 8.546) * cos(radians(47.5))), 3), time)
            for time, lat, lon in (
                (place['time'], place['lat'], place['lon']) for place in flight['all_places']
            )
        ]
        if min(near)[0] < 1:
            expected.append([flight['vehicle'], flight['flight'], min(near)[0]])
    found = fleet.ask(9)
    assert len(expected) > 10
    assert sorted(row[:3] for row in found) == sorted(expected)[:100]
    assert [row[3] for row in found] == sorted((row[3] for row in found), reverse=True)


def test_vehicles_that_do_not_fly(fleet: Fleet) -> None:
    newest: dict[str, dict[str, Any]] = {}
    for flight in fleet.flights():
        newest[flight['vehicle']] = flight
    expected = [
        [vehicle, when(flight['started']), flight['firmware']]
        for vehicle, flight in newest.items()
        if flight['started'] < fleet.since(14)
    ]
    assert len(expected) == 1
    assert fleet.ask(10) == expected
