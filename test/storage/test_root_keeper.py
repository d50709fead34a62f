# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The cap of the root: the oldest flights go while another is recorded, each with its record."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from conftest import QUICK, Record
from fdr_recorder import Alert, AlertBoard, FdrConfig, FileFdrWriter, FlightRoot
from fdr_recorder.config import SealConfig
from fdr_recorder.flights.directory import flights_in, segment_files
from fdr_recorder.flights.prune_log import removed_flights
from fdr_recorder.flights.verify import verify
from fdr_recorder.flights.verify.succession import check_succession
from fdr_recorder.flights.verify.trust import Trust
from fdr_recorder.record.kinds import FlightRemoved
from fdr_recorder.storage.pins import everything_pinned, PINS_NAME
from fdr_recorder.storage.record_flight import make_writer as composed_writer
from fdr_recorder.storage.retention import decide, KnownFlight, Limits, State
from flight_check import open_flight_files
from producers import make_client, open_flight, send
import pytest
from sealed_flight import vehicle_key
from waiting import wait_until

SEGMENT = 24 * 1024


def names(root: Path) -> list[str]:
    return [path.name for path in flights_in(root)]


def size_of(*flights: Path) -> int:
    return sum(file.path.stat().st_size for flight in flights for file in segment_files(flight))


def recorder(owned: FlightRoot, cap: int, **options: object) -> tuple[FileFdrWriter, list[Alert]]:
    told: list[Alert] = []
    alerts = AlertBoard()
    alerts.listen(told.append)
    small = {'segment_size_bytes': SEGMENT, 'chunk_size_bytes': 2048, 'root_cap_bytes': cap}
    values = {f'writer.{name}': value for name, value in {**QUICK, **small}.items()}
    values |= {name.replace('__', '.'): value for name, value in options.items()}
    writer = composed_writer(FdrConfig.from_options(values), owned, alerts)
    writer.start()
    return writer, told


def test_the_oldest_flights_go_first_each_with_its_record(
    record_flight: Record, root: Path, tmp_path: Path
) -> None:
    """Not one with pins, nor one that was not closed, nor one that another program has locked."""
    flights = {name: record_flight(name, close=name != 'unclosed') for name in (
        'pinned', 'oldest', 'unclosed', 'locked', 'middle', 'newest'
    )}
    (flights['pinned'] / PINS_NAME).write_bytes(everything_pinned('for ever').encode())
    sizes = {name: size_of(path) for name, path in flights.items()}
    fd = os.open(flights['locked'], os.O_RDONLY)
    with FlightRoot.acquire(root) as owned:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            cap = sum(sizes.values()) - sizes['oldest'] - sizes['middle'] // 2
            writer, told = recorder(owned, cap)
            open_flight(writer, 'now', make_client())
            wait_until(lambda: len(names(root)) == 5, 'two flights are removed')
            writer.close_flight('now')
        finally:
            os.close(fd)
        writer.stop()
    assert {*names(root)} == {'pinned', 'unclosed', 'locked', 'newest', 'now'}
    removed = open_flight_files(root / 'now').payloads(FlightRemoved)
    assert [item.flight_id for item in removed] == ['oldest', 'middle']
    assert [item.bytes for item in removed] == [sizes['oldest'], sizes['middle']]
    assert all(item.cause == 'root_cap_bytes' for item in removed)
    assert [*removed_flights(root)] == ['oldest', 'middle']
    assert [(item.code, item.raised) for item in told if item.code == 'flights_removed'] == [
        ('flights_removed', True), ('flights_removed', False)
    ]
    assert not list(root.glob('.fdr.pruned.*'))


def test_then_the_oldest_segments_of_the_flight_go(record_flight: Record, root: Path) -> None:
    old = record_flight('old', close=True)
    (old / PINS_NAME).write_bytes(everything_pinned('for ever').encode())
    with FlightRoot.acquire(root) as owned:
        writer, told = recorder(owned, size_of(old) + 4 * SEGMENT)
        client = make_client()
        open_flight(writer, 'now', client)
        wait_until(lambda: writer.root_allowance is not None, 'the keeper has looked')
        send(client, range(900), 300)
        summary = writer.close_flight('now')
        writer.stop()
    assert summary.footer.segments_dropped > 3
    assert size_of(root / 'now') <= 6 * SEGMENT
    assert old.exists()
    assert 'cap_misconfigured' not in [item.code for item in told]


def test_pins_alone_above_the_cap_of_the_root_are_one_alert(
    record_flight: Record, root: Path
) -> None:
    """To drop what is recorded now would not help; nothing is."""
    old = record_flight('old', close=True)
    (old / PINS_NAME).write_bytes(everything_pinned('for ever').encode())
    with FlightRoot.acquire(root) as owned:
        writer, told = recorder(owned, size_of(old) // 2)
        client = make_client()
        open_flight(writer, 'now', client)
        wait_until(lambda: [item.code for item in told] == ['cap_misconfigured'], 'the alert')
        send(client, range(400), 300)
        summary = writer.close_flight('now')
        writer.stop()
    assert summary.footer.segments_dropped == 0
    assert old.exists()


def test_low_space_takes_the_oldest_flight_first(
    record_flight: Record, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = record_flight('old', close=True)
    free = [0]
    for module in ('root_keeper', 'free_space'):
        place = f'fdr_recorder.storage.{module}.free_bytes'
        monkeypatch.setattr(place, lambda _place: free[0] if old.exists() else 1 << 40)
    free[0] = 1 << 40
    with FlightRoot.acquire(root) as owned:
        options = {'writer__on_low_space': 'drop_oldest', 'writer__min_free_bytes': 1 << 30}
        writer, _ = recorder(owned, 1 << 40, **options)
        client = make_client()
        open_flight(writer, 'now', client)
        send(client, range(300), 300)
        free[0] = 1 << 20
        wait_until(lambda: not old.exists(), 'it is removed')
        summary = writer.close_flight('now')
        writer.stop()
    assert summary.is_complete
    assert summary.footer.segments_dropped == 0
    (removed,) = open_flight_files(root / 'now').payloads(FlightRemoved)
    assert removed.cause == 'min_free_bytes'


def test_a_sealed_flight_proves_what_was_removed(root: Path, tmp_path: Path) -> None:
    key, allowed = vehicle_key(tmp_path)
    with FlightRoot.acquire(root) as owned:
        writer, _ = recorder(owned, 1 << 40, seal__key_file=str(key))
        client = make_client()
        writer.register(client)
        for name in 'ab':
            open_flight(writer, name)
            send(client, range(100), 300)
            writer.close_flight(name)
        writer.apply(type(writer.config)(**{
            **QUICK, 'root_cap_bytes': size_of(root / 'b') * 3 // 2,
            'seal': SealConfig(key_file=str(key)),
        }))
        open_flight(writer, 'c')
        send(client, range(100, 200), 300)
        wait_until(lambda: names(root) == ['b', 'c'], 'the oldest is gone')
        writer.close_flight('c')
        writer.stop()
    trust = Trust.of_file(allowed)
    results = [verify(path, keys=allowed) for path in flights_in(root)]
    assert check_succession(results, root, trust) == []
    (root / '.fdr.pruned').unlink()
    assert check_succession(results, root, trust) == []
    alone = [result for result in results if result.flight_id == 'b']
    (finding,) = check_succession(alone, root, trust)
    assert 'no log says that it was removed' in finding.what


def test_the_policy_explains_itself() -> None:
    flights = [
        KnownFlight('d', 4, 10, State.OPEN),
        KnownFlight('a', 1, 10, State.CLOSED, 'near miss'),
        KnownFlight('b', 2, 10, State.UNCLOSED),
        KnownFlight('c', 3, 10, State.RECOVERED),
    ]
    limits = Limits(most_bytes=15, name='root_cap_bytes')
    decisions = decide(flights, limits, may_go={State.CLOSED, State.RECOVERED})
    assert [(item.flight.name, item.goes, item.why) for item in decisions] == [
        ('a', False, 'pinned: near miss'),
        ('b', False, 'not closed'),
        ('c', True, 'root_cap_bytes 15'),
        ('d', False, 'being recorded'),
    ]
    limits = Limits(most_bytes=40)
    assert {item.why for item in decide(flights, limits, may_go=())} == {'within the limits'}
