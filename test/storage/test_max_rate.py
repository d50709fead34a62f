# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Messages that `max_rate` leaves out: counted apart, told by every view, and no loss."""

from __future__ import annotations

import json
from pathlib import Path
import time

from fdr_recorder import (
    FdrWriterConfig,
    FileFdrWriter,
    FlightHeader,
    recover,
    Verdict,
    verify,
)
from fdr_recorder.capture.throttle import Throttle
from fdr_recorder.cli.main import main
from fdr_recorder.flights.info import read_info
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.live.flight_watch import FlightWatch
from fdr_recorder.record.kinds import FlightFooter, Throttled
from fdr_recorder.record.record_parts import ProducerCounters
from fdr_recorder.report.gather import gather
from fdr_recorder.report.page import render
from fdr_recorder.report.sections.balance import balance_of
from flight_check import check_flight, check_identities, FlightFiles, open_flight_files
import known_flight
from producers import make_client, number_of, numbered
import pytest
from waiting import wait_until

MAX_HZ = 10.0
FLIGHT_ID = 'limited'


class Publisher:
    """Publishes at 1,000 Hz, in no time: the messages only say so."""

    def __init__(self, topic: str = '/imu', publisher: str = '0a', **options: bool) -> None:
        self.client = make_client(topic, publisher, loss_detection='sequence', **options)
        self.client.limit(Throttle(MAX_HZ))
        self.published = 0
        self._now_ns = time.monotonic_ns()

    def publish(self, count: int, period_ns: int = 1_000_000) -> None:
        for _ in range(count):
            self.published += 1
            self._now_ns += period_ns
            sent_ns = 10**18 + self._now_ns
            self.client.offer(-self._now_ns, sent_ns, self.published, numbered(self.published))

    def lose(self, count: int) -> None:
        self.client.count_transport_loss(self.published + 1, self.published + count)
        self.published += count
        self._now_ns += count * 1_000_000


def open_flight(writer: FileFdrWriter, *publishers: Publisher) -> None:
    for publisher in publishers:
        writer.register(publisher.client)
    writer.open_flight(FlightHeader(flight_id=FLIGHT_ID))


def of(footer: FlightFooter, topic: str = '/imu') -> ProducerCounters:
    (account,) = [item for item in footer.producers if item.topic == topic]
    return account


def check_account(account: ProducerCounters, published: int) -> None:
    lost = account.lost_transport + account.throttled + account.before_match
    written = account.written - account.repeated
    assert published == written + account.dropped_overrun + account.dropped_write_error + lost


def check_views(path: Path, footer: FlightFooter, verdict: Verdict) -> None:
    """Check that all views of a flight tell of the same number, and call it no loss."""
    left_out = footer.records_throttled
    result = verify(path)
    assert not result.damage
    assert result.verdict is verdict
    assert result.left_out == {'/imu': left_out}
    assert result.to_dict()['left_out'] == {'/imu': left_out}
    sentence = f'; {left_out:,} messages were left out, as asked for.'
    assert result.status.sentence.endswith(sentence)
    assert f'  left out: {left_out:,} messages of /imu, as asked for' in str(result)
    for listed in (list_flight(path), read_info(path).listed):
        assert listed.status.losses.throttled == left_out
        assert listed.status.losses.transport == footer.records_lost_transport
        assert listed.status.sentence.endswith(sentence)
    info = read_info(path)
    (topic,) = [item for item in info.topics.values() if not item.is_own]
    assert (topic.throttled, topic.lost) == (left_out, footer.records_lost_transport)
    assert not [item for item in info.events if isinstance(item.payload, Throttled)]
    report = gather(path)
    balance = balance_of(report)
    assert balance is not None
    assert balance.throttled == left_out
    assert balance.published == balance.offered + left_out + footer.records_lost_transport
    assert f'{left_out:,} left out, as asked for' in render(report)


@pytest.fixture
def writer(tmp_path: Path) -> FileFdrWriter:
    return known_flight.make_writer(tmp_path, segment_size_bytes=256 * 1024)


def close(writer: FileFdrWriter) -> FlightFiles:
    summary = writer.close_flight(FLIGHT_ID)
    writer.stop()
    return check_flight(summary)


def test_every_message_is_accounted_for_and_every_view_says_so(
    writer: FileFdrWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    imu = Publisher()
    open_flight(writer, imu)
    imu.publish(3000)
    imu.lose(7)
    imu.publish(2000)
    wait_until(lambda: writer.status.counters.records_throttled > 0, 'the count in flight')
    imu.publish(5000)
    flight = close(writer)
    account = of(flight.footer)
    assert (account.written, account.lost_transport) == (101, 7)
    check_account(account, imu.published)
    told = flight.payloads(Throttled)
    assert sum(record.records for record in told) == account.throttled == 9899
    for record in told:
        assert (record.topic, record.publisher, record.max_rate_hz) == ('/imu', '0a', MAX_HZ)
        assert 0 < record.first_ns <= record.last_ns
    check_views(flight.path, flight.footer, Verdict.LOSSES)
    assert main(['info', str(flight.path)]) == 0
    out = capsys.readouterr().out
    said = 'left out  messages that were not to be recorded (max_rate, topics): 9,899 of /imu'
    assert said in out
    assert 'missing   7 lost in transport' in out
    assert main(['info', str(flight.path), '--json']) == 0
    document = json.loads(capsys.readouterr().out)
    (topic,) = [item for item in document['topics'] if item['name'] == '/imu']
    assert (topic['throttled'], topic['lost_transport']) == (9899, 7)


def test_a_flight_of_which_nothing_else_is_missing_is_complete(writer: FileFdrWriter) -> None:
    imu = Publisher()
    open_flight(writer, imu)
    imu.publish(2000)
    flight = close(writer)
    check_account(of(flight.footer), 2000)
    check_views(flight.path, flight.footer, Verdict.COMPLETE)


def test_of_a_killed_flight_what_was_told_is_left_out_and_the_rest_unexplained(
    writer: FileFdrWriter,
) -> None:
    imu = Publisher()
    open_flight(writer, imu)
    imu.publish(5000)
    wait_until(lambda: writer.status.counters.records_throttled == 4949, 'it to be told')
    imu.publish(300)
    written = writer.status.counters.records_written
    wait_until(lambda: writer.status.counters.records_written >= written, 'the records')
    path = writer.status.path
    assert path is not None
    imu.client.throttled -= 297  # what would be told at the end, as if it was killed before
    writer.stop()
    result = verify(path)
    assert result.left_out == {'/imu': 4949}
    (unclean,) = [loss for loss in result.losses if loss.records]
    assert unclean.cause == 'unclean'
    assert unclean.records <= 297
    recover(path.parent)
    flight = open_flight_files(path)
    check_identities(flight, flight.footer)
    assert of(flight.footer).throttled == flight.footer.records_throttled == 4949
    assert of(flight.footer).lost_transport == 0
    assert verify(path).left_out == {'/imu': 4949}


def test_live_views_tell_it_apart_from_losses(writer: FileFdrWriter) -> None:
    imu = Publisher()
    open_flight(writer, imu)
    imu.publish(2000)
    path = writer.status.path
    assert path is not None
    watch = FlightWatch(path)

    def is_told() -> bool:
        watch.read(0.1)
        return bool(watch.said('open').left_out)

    wait_until(is_told, 'it to be told')
    said = watch.said('open')
    watch.close()
    assert said.left_out == {'/imu': 1979}
    assert sum(said.losses.values()) == 0
    assert [topic.lost for topic in said.topics] == [0]
    close(writer)


def test_what_dropped_segments_told_of_it_stays_known(tmp_path: Path) -> None:
    writer = known_flight.make_writer(tmp_path, cap_bytes=100 * 1024)
    imu, scan = Publisher(), make_client('/scan', '0b')
    writer.register(scan)
    open_flight(writer, imu)
    imu.publish(5000)
    wait_until(lambda: writer.status.counters.records_throttled == 4949, 'it to be told')
    while writer.status.counters.segments_dropped < 3:
        scan.enqueue(numbered(0, 500))
        time.sleep(0)
    summary = writer.close_flight(FLIGHT_ID)
    writer.stop()
    result = verify(summary.path)
    assert not result.damage
    assert result.left_out == {'/imu': 4949}
    (dropped,) = [
        loss for loss in read_info(summary.path).dropped.losses if loss.cause == 'throttled'
    ]
    assert dropped.records == 4949


# --- latched topics ----------------------------------------------------------------------------


def latched_numbers(flight: FlightFiles) -> list[int]:
    return [number_of(message.data) for message in flight.of_topic('/map', '0c')]


def test_the_newest_message_of_a_latched_topic_is_recorded(writer: FileFdrWriter) -> None:
    maps = Publisher('/map', '0c', latched=True)
    throttle = maps.client.throttle
    assert throttle is not None
    open_flight(writer, maps)
    maps.publish(250)
    now_ns = maps._now_ns
    throttle.release(now_ns)  # too early
    assert len(throttle.holders) == 1
    throttle.release(now_ns + 100_000_000)
    assert not throttle.holders
    maps.publish(1)
    throttle.release_all()  # as at the end of a flight
    flight = close(writer)
    numbers = latched_numbers(flight)
    assert numbers[-2:] == [250, 251]
    assert len(numbers) == 5
    check_account(of(flight.footer, '/map'), 251)
    assert verify(flight.path).verdict is Verdict.COMPLETE


def test_the_newest_of_each_publisher_counts(writer: FileFdrWriter) -> None:
    """As of /tf_static: each publisher holds other transforms."""
    throttle = Throttle(MAX_HZ)
    publishers = [Publisher('/tf_static', f'{n:02x}', latched=True) for n in range(5)]
    open_flight(writer, *publishers)
    for publisher in publishers:
        publisher.client.limit(throttle)
        publisher.publish(2)
    for _ in range(5):
        throttle.release(publishers[-1]._now_ns + 10**9)
    flight = close(writer)
    for publisher in publishers:
        found = flight.of_topic('/tf_static', publisher.client.channel.publisher)
        assert number_of(found[-1].data) == 2


def test_without_a_limit_again_all_is_recorded(writer: FileFdrWriter) -> None:
    imu, maps = Publisher(), Publisher('/map', '0c', latched=True)
    open_flight(writer, imu, maps)
    imu.publish(1000)
    maps.publish(50)
    for client in (imu.client, maps.client):
        client.limit(None)
    imu.publish(1000)
    maps.publish(50)
    flight = close(writer)
    assert of(flight.footer).written == 1011
    assert latched_numbers(flight) == [1, *range(50, 101)]  # 50 was held back
    for topic, published in (('/imu', 2000), ('/map', 100)):
        check_account(of(flight.footer, topic), published)


# --- beside flights ----------------------------------------------------------------------------


def test_nothing_is_counted_while_no_flight_is_open(writer: FileFdrWriter) -> None:
    imu = Publisher()
    imu.publish(1000)
    open_flight(writer, imu)
    imu.publish(1000)
    assert of(close(writer).footer).throttled == 989
    imu.publish(1000)
    assert imu.client.throttled == 989


def test_a_pre_roll_counts_what_was_left_out_since_its_first_message(tmp_path: Path) -> None:
    writer = FileFdrWriter(tmp_path, FdrWriterConfig(**known_flight.QUICK), preroll_s=5.0)
    writer.start()
    imu = Publisher()
    imu._now_ns -= 20 * 10**9
    writer.register(imu.client)
    imu.publish(19_800)  # up to 0.2 s ago
    wait_until(lambda: len(imu.client.ring) < 60, 'the old ones to go')
    writer.open_flight(FlightHeader(flight_id=FLIGHT_ID))
    imu.publish(200)
    flight = close(writer)
    numbers = [number_of(message.data) for message in flight.of_topic('/imu', '0a')]
    assert 3 <= len(numbers) < 60  # of some 200
    check_account(of(flight.footer), imu.published - numbers[0] + 1)
    assert verify(flight.path).verdict is Verdict.COMPLETE


def test_a_pre_roll_that_was_empty_counts_from_the_first_message(tmp_path: Path) -> None:
    """All that it had is too old when the flight begins."""
    writer = FileFdrWriter(tmp_path, FdrWriterConfig(**known_flight.QUICK), preroll_s=0.1)
    writer.start()
    imu = Publisher()
    imu._now_ns -= 10 * 10**9
    writer.register(imu.client)
    imu.publish(2000)
    wait_until(lambda: not len(imu.client.ring), 'the old ones to go')
    imu.publish(90)  # of these, some are left out, and none is too old
    before, imu._now_ns = imu.published, time.monotonic_ns()
    writer.open_flight(FlightHeader(flight_id=FLIGHT_ID))
    imu.publish(300)
    flight = close(writer)
    numbers = [number_of(message.data) for message in flight.of_topic('/imu', '0a')]
    assert numbers[0] in (before + 1, before - 89, before - 39)
    check_account(of(flight.footer), imu.published - numbers[0] + 1)
