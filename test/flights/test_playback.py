# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What is to be played: in the order of time, without what the recorder has repeated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from conftest import MakeWriter
from fdr_recorder.flights.playback import in_order, ReadAhead, Timed, topics_in
from fdr_recorder.flights.query import Query
from producers import make_client, numbered, open_flight, TEXT
import pytest
from waiting import wait_until

LATCHED = '[{"durability": "transient_local"}]'


@pytest.fixture
def flight(make_writer: MakeWriter, root: Path) -> Path:
    """Record two topics whose chunks overlap, and a latched one, over several segments."""
    writer = make_writer(segment_size_bytes=16 * 1024, chunk_size_bytes=2048)
    one, two = make_client('/one', '0a'), make_client('/two', '0b')
    latched = make_client('/latched', '0c', schema=TEXT, latched=True)
    latched.channel.metadata['offered_qos_profiles'] = LATCHED  # type: ignore[index]
    open_flight(writer, 'x', one, two, latched)
    latched.enqueue(b'\0\1\0\0\2\0\0\0a\0', 10**9 - 1, 5, 1)
    for number in range(100):
        one.enqueue(numbered(number, 400), 10**9 + number * 10**7, 7, number)
    wait_until(lambda: not len(one.ring), 'all is written')
    for number in range(100):
        two.enqueue(numbered(number, 50), 10**9 + number * 10**7 + 5, 10**9 - number, number)
    latched.enqueue(b'\0\1\0\0\2\0\0\0b\0', 2 * 10**9, 6, 2)
    footer = writer.close_flight('x').footer
    assert footer.records_repeated > 1
    return root / 'x'


def test_in_the_order_of_log_times_without_repeats(flight: Path) -> None:
    found = list(in_order(Query(flight)))
    times = [timed.time_ns for timed in found]
    assert times == sorted(times)
    topics = [timed.message.channel.topic for timed in found]
    assert (topics.count('/one'), topics.count('/two'), topics.count('/latched')) == (100, 100, 2)
    assert set(topics) == {'/one', '/two', '/latched'}
    assert topics[0] == '/latched'
    assert topics[5:9] in (['/one', '/two'] * 2, ['/two', '/one'] * 2)


def test_by_publish_times(flight: Path) -> None:
    found = list(in_order(Query(flight, ('/two',)), by_publish_time=True))
    assert [timed.message.sequence for timed in found] == list(range(99, -1, -1))
    assert found[0].time_ns == 10**9 - 99


def test_topics_and_types(flight: Path) -> None:
    topics = topics_in(flight, Query(flight))
    assert {key.topic: len(channels) for key, channels in topics.items()} == {
        '/one': 1, '/two': 1, '/latched': 1,
    }
    of_type = topics_in(flight, Query(flight, types=('std_msgs/msg/String',)))
    assert {key.topic for key in of_type} == {'/latched'}


def test_reading_ahead_is_bounded_and_ends(
    flight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('fdr_recorder.flights.playback._AHEAD_MESSAGES', 5)
    read: list[Timed] = []

    def messages() -> Iterator[Timed]:
        for timed in in_order(Query(flight, ('/one',))):
            read.append(timed)
            yield timed

    ahead = ReadAhead(messages)
    wait_until(lambda: len(read) >= 5, 'it reads')
    found = []
    while (timed := ahead.next()) is not None:
        found.append(timed.message.sequence)
        assert len(read) <= len(found) + 7
    assert found == list(range(100))
    ahead.close()
    again = ReadAhead(messages)
    again.close()  # while it waits for room


def test_an_error_while_reading_ahead(flight: Path) -> None:
    def messages() -> Iterator[Timed]:
        yield next(in_order(Query(flight, ('/one',))))
        raise OSError(5, 'the disk is gone')

    ahead = ReadAhead(messages)
    assert ahead.next() is not None
    with pytest.raises(OSError, match='the disk is gone'):
        ahead.next()
    ahead.close()
