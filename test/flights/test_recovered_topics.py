# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What became of topics, in the footer of a closed flight and in that of a killed recorder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
import errno
from pathlib import Path
import shutil

from conftest import MakeWriter
from disk_faults import is_segment_fd, SystemCall
from fdr_recorder import (
    AlertBoard,
    CapacityCapPolicy,
    FdrClient,
    FdrConfig,
    FileFdrWriter,
    FlightFooter,
    FlightHeader,
    new_flight_header,
    recover,
    RingConfig,
)
from fdr_recorder.flights.flight_reader import FlightReader
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.kinds import RequestedTopic
from fdr_recorder.record.record_parts import TopicActivity
from producers import make_client, numbered
import pytest
from waiting import wait_until

SECOND = 1_000_000_000
AGE_S = 50
ASKED = tuple(
    RequestedTopic(name=name, option='topics', topic=f'/{name}')
    for name in ('steady', 'gap', 'end', 'late', 'early', 'nobody', 'shy', 'odd', 'ga*', 'no*')
)
QOS = '[{reliability: reliable, durability: transient_local}]'


def old_header(flight_id: str) -> FlightHeader:
    """Return the header of a flight that has begun 50 s ago, and asks for topics."""
    header = new_flight_header(flight_id, FdrConfig())
    return replace(
        header,
        requested=ASKED,
        flight_started_at_ns=header.flight_started_at_ns - AGE_S * SECOND,
        flight_started_at_monotonic_ns=header.flight_started_at_monotonic_ns - AGE_S * SECOND,
    )


class Flight:
    """A flight of 50 s: messages of each topic, by the second in which they were received."""

    def __init__(self, writer: FileFdrWriter, root: Path) -> None:
        self.writer, self.root, self.path = writer, root, root / 'x'
        self.clients = {
            topic: make_client(topic, latched=topic == '/latched')
            for topic in ('/steady', '/gap', '/end', '/late', '/early', '/latched', '/mark')
        }
        channel = self.clients['/latched'].channel
        channel.metadata['offered_qos_profiles'] = QOS  # type: ignore[index]
        for client in self.clients.values():
            writer.register(client)
        self.header = old_header('x')
        writer.open_flight(self.header)

    def send(self, topic: str, *seconds: float) -> None:
        began_ns = self.header.flight_started_at_ns
        for second in seconds:
            time_ns = began_ns + round(second * SECOND)
            self.clients[topic].enqueue(numbered(0, 200), log_time_ns=time_ns)

    def settle(self) -> None:
        """Wait until what comes last is in the files."""
        rings = [client.ring for client in self.clients.values()]
        wait_until(lambda: not any(map(len, rings)), 'all records to be taken')
        last = numbered(1, 200)
        self.clients['/mark'].enqueue(last)
        wait_until(lambda: self._has(last), 'all records to be written')
        wait_until(self._is_tidy, 'dropped segments to be removed')

    def _is_tidy(self) -> bool:
        closed = self.writer.status.segments
        return len(list(self.path.glob('*.mcap'))) == closed + 1

    def _has(self, data: bytes) -> bool:
        for path in sorted(self.path.glob('*.mcap'), reverse=True):
            with suppress(FileNotFoundError):  # dropped
                if data in path.read_bytes():
                    return True
        return False

    def fly(self, rotate: Callable[[int], bool] = lambda second: False) -> None:
        """Send what the topics have in each second."""
        self.send('/latched', 0)
        self.send('/early', 0)
        for second in range(AGE_S):
            self.send('/steady', second, second + 0.5)
            if not 5 <= second < 45:
                self.send('/gap', second)
            if second < 10:
                self.send('/end', second)
            if second >= 30:
                self.send('/late', second)
            if second == 20:
                self.writer.emit(replace(ASKED[6], outcome='silent'))
                self.writer.emit(replace(ASKED[7], outcome='type_unknown'))
            if rotate(second):
                self.settle()
                self.writer.split()
        self.settle()

    def killed(self) -> FlightFooter:
        """Recover a copy of the flight as it is now: a killed recorder would leave that."""
        self.settle()
        copies = self.root.parent / 'copies'
        shutil.copytree(self.root, copies, ignore=shutil.ignore_patterns('.*'))
        [recovered] = recover(copies / 'x')
        assert verify(copies / 'x').verdict not in (Verdict.DAMAGED, Verdict.UNCLOSED)
        return recovered.footer

    def close(self) -> FlightFooter:
        return self.writer.close_flight('x').footer


def silences(footer: FlightFooter, header: FlightHeader) -> dict[str, tuple[int, str]]:
    """
    Return by topic the second in which the longest silence began, and how long it was.

    How long the flight goes on behind the last message depends on the machine.
    """
    began_ns = header.flight_started_at_ns
    ended_ns = footer.flight_ended_at_monotonic_ns - header.flight_started_at_monotonic_ns
    found = {}
    for item in footer.topics:
        start_ns, silent_ns = item.silence_began_ns - began_ns, item.longest_silence_ns
        is_last = abs(start_ns + silent_ns - ended_ns) < SECOND
        text = 'to the end' if is_last else f'{round(silent_ns / SECOND)} s'
        if is_last and start_ns > (AGE_S - 2) * SECOND:
            silent_ns = 0
        if item.topic != '/mark':
            found[item.topic] = (round(start_ns / SECOND), text) if silent_ns else (0, '')
    return found


def outcomes(footer: FlightFooter) -> dict[str, tuple[str, int]]:
    return {item.name: (item.outcome, item.topics) for item in footer.requested}


def records(footer: FlightFooter) -> dict[str, int]:
    return {item.topic: item.records for item in footer.topics if item.topic in RECORDS}


SILENCES = {
    '/steady': (0, ''),
    '/gap': (4, '41 s'),
    '/end': (9, 'to the end'),
    '/late': (0, '30 s'),
    '/early': (0, 'to the end'),
    '/latched': (0, ''),
}
OUTCOMES = {
    'steady': ('recorded', 1),
    'gap': ('recorded', 1),
    'end': ('recorded', 1),
    'late': ('recorded', 1),
    'early': ('recorded', 1),
    'nobody': ('no_publisher', 0),
    'shy': ('silent', 0),
    'odd': ('type_unknown', 0),
    'ga*': ('recorded', 1),
    'no*': ('no_publisher', 0),
}
RECORDS = {'/gap': 10, '/end': 10, '/late': 20, '/early': 1, '/latched': 1}


@pytest.fixture
def flight(make_writer: MakeWriter, root: Path) -> Flight:
    return Flight(make_writer(segment_size_bytes=1 << 20), root)


@pytest.mark.parametrize('segments', ['one segment', 'many segments'])
def test_a_killed_recorder_leaves_the_same_as_a_closed_flight(
    flight: Flight, segments: str
) -> None:
    flight.fly(lambda second: segments == 'many segments' and second % 7 == 6)
    killed, closed = flight.killed(), flight.close()
    for footer in (killed, closed):
        assert silences(footer, flight.header) == SILENCES
        assert outcomes(footer) == OUTCOMES
        assert records(footer) == RECORDS
    assert [item.records for item in killed.topics] == [item.records for item in closed.topics]
    assert {item.topic for item in closed.topics if item.latched} == {'/latched'}
    assert {item.topic for item in killed.topics if item.latched} == {'/latched'}


def test_what_the_cap_has_dropped_is_counted_all_the_same(
    make_writer: MakeWriter, root: Path
) -> None:
    writer = make_writer(segment_size_bytes=64 * 1024, chunk_size_bytes=2048)
    writer.on_rotation = CapacityCapPolicy(150 * 1024, writer, writer.alerts).on_rotation
    flight = Flight(writer, root)

    def rotates(second: int) -> bool:
        flight.send('/steady', *(second + number / 1000 for number in range(200)))
        return second % 3 == 0

    flight.fly(rotates)
    killed, closed = flight.killed(), flight.close()
    assert closed.segments_dropped > 3
    for footer in (killed, closed):
        assert silences(footer, flight.header) == SILENCES
        assert outcomes(footer) == OUTCOMES
        assert records(footer) == RECORDS
        assert sum(item.records for item in footer.topics) > 50 * 200


def test_a_segment_whose_beginning_is_lost_takes_nothing_of_it_away(flight: Flight) -> None:
    flight.fly(lambda second: second in (15, 40))
    flight.settle()
    last = sorted(flight.path.glob('*.mcap'))[-1]
    with last.open('r+b') as file:  # its header, and so what it had of the topics
        file.seek(100)
        file.write(bytes(2000))
    killed = flight.killed()
    assert silences(killed, flight.header)['/gap'] == (4, '41 s')
    assert outcomes(killed) == OUTCOMES
    flight.close()


def test_a_long_flight_of_an_older_recorder_says_nothing_of_silence(
    flight: Flight, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its headers do not tell; all of it would have to be read."""
    monkeypatch.setattr('fdr_recorder.storage.segment_log.HEADER_SHARE', 1 << 30)
    flight.fly(lambda second: second in (10, 20, 30, 40))
    killed = flight.killed()
    assert killed.topics == ()
    assert outcomes(killed) == OUTCOMES
    flight.close()


def test_a_recorder_that_was_killed_at_once_has_recorded_nothing(flight: Flight) -> None:
    killed, closed = flight.killed(), flight.close()
    assert {outcome for outcome, _ in outcomes(killed).values()} == {'no_publisher'}
    assert killed.requested == closed.requested
    assert [item.topic for item in killed.topics] == ['/mark']


def test_a_program_without_ros_asks_for_nothing(make_writer: MakeWriter, root: Path) -> None:
    writer, client = make_writer(), make_client('/x')
    writer.register(client)
    writer.open_flight(new_flight_header('x', FdrConfig(topics=('/x', '/y'))))
    client.enqueue(numbered(0))
    footer = writer.close_flight('x').footer
    assert footer.requested == ()
    [activity] = footer.topics
    assert (activity.topic, activity.records, activity.longest_silence_ns) == ('/x', 1, 0)


def test_messages_that_a_failing_disk_discards_are_no_silence(
    make_writer: MakeWriter, root: Path, alerts: AlertBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are losses, and told as such."""
    writev = SystemCall(monkeypatch, 'writev', only=is_segment_fd)
    writer = make_writer(alerts=alerts)
    client = make_client('/x', ring=RingConfig(max_records=20))
    writer.register(client)
    header = old_header('x')
    writer.open_flight(header)
    writev.fail(errno.EIO)
    for second in range(AGE_S):
        time_ns = header.flight_started_at_ns + second * SECOND
        wait_until(lambda: client.ring.fill < 0.9, 'room in the ring')
        client.enqueue(numbered(0), log_time_ns=time_ns)
        if not second:
            wait_until(alerts.present, 'the alert')
    writev.work()
    wait_until(lambda: not alerts.present(), 'the disk to be used again')
    footer = writer.close_flight('x').footer
    assert footer.records_dropped_write_error > 10
    [activity] = footer.topics
    assert activity.longest_silence_ns < 3 * SECOND


def test_two_publishers_are_one_topic_and_two_types_are_two(
    make_writer: MakeWriter, root: Path
) -> None:
    writer = make_writer()
    clients = [make_client('/x', '01'), make_client('/x', '02')]
    for client in clients:
        writer.register(client)
    header = old_header('x')
    writer.open_flight(header)
    for second in range(AGE_S):
        time_ns = header.flight_started_at_ns + second * SECOND
        clients[second % 2].enqueue(numbered(0), log_time_ns=time_ns)
    footer = writer.close_flight('x').footer
    [activity] = footer.topics
    assert activity.records == AGE_S
    assert activity.longest_silence_ns in (0, pytest.approx(SECOND, abs=SECOND // 5))


def test_every_segment_says_what_was_asked_and_what_has_become_of_it(flight: Flight) -> None:
    flight.fly(lambda second: second == 25)
    flight.close()
    headers = [
        payload for payload in FlightReader(flight.path).own_records()
        if isinstance(payload, FlightHeader)
    ]
    assert [len(header.requested) for header in headers] == [len(ASKED)] * 2
    assert {item.outcome for item in headers[0].requested} == {''}
    assert headers[0].topics == ()
    second = {item.name: item.outcome for item in headers[1].requested}
    assert (second['steady'], second['shy'], second['nobody']) == ('recorded', 'silent', '')
    counts = {item.topic: item.records for item in headers[1].topics}
    assert (counts['/steady'], counts['/gap'], counts['/late']) == (52, 5, 0)


def test_topics_that_never_were_heard_by_this_flight_have_no_time(flight: Flight) -> None:
    [activity] = [item for item in flight.close().topics if item.topic == '/late']
    assert (activity.records, activity.last_message_ns) == (0, 0)
    assert activity.longest_silence_ns >= AGE_S * SECOND
    assert isinstance(activity, TopicActivity)
    assert isinstance(flight.clients['/late'], FdrClient)
