# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Latched messages at the start of each segment while their publishers come and go."""

from __future__ import annotations

from collections import Counter
import logging

from conftest import MakeWriter
from fdr_recorder import FdrClient, FileFdrWriter
from fdr_recorder.storage.latched_repeats import LEFT_SHARE, MOST_LEFT
from flight_check import check_flight, FlightFiles, SegmentFile
from producers import make_client, number_of, numbered, open_flight, send
import pytest
from waiting import wait_until

SEGMENT = 256 * 1024
LEFT_BYTES = SEGMENT // LEFT_SHARE


@pytest.fixture
def writer(make_writer: MakeWriter) -> FileFdrWriter:
    """Return a writer with an open flight `x`."""
    writer = make_writer(segment_size_bytes=SEGMENT)
    open_flight(writer, 'x')
    return writer


def publish(writer: FileFdrWriter, topic: str, number: int, size: int = 100) -> FdrClient:
    """Publish one latched message by a new publisher."""
    client = make_client(topic, f'{number:08x}', latched=True)
    writer.register(client)
    client.enqueue(numbered(number, size), sequence=1)
    return client


def come_and_go(writer: FileFdrWriter, topic: str, numbers: range, size: int = 100) -> None:
    """Let publishers come, publish one latched message each, and leave."""
    for number in numbers:
        writer.retire(publish(writer, topic, number, size))
    settle(writer)


def settle(writer: FileFdrWriter) -> None:
    """Wait until the writer has taken what publishers left."""
    clients = writer._clients
    wait_until(
        lambda: not clients.retiring and not any(len(item.ring) for item in clients.present),
        'the rings of those that left',
    )


def rotate(writer: FileFdrWriter) -> None:
    """Begin another segment."""
    before = writer.status.segment_index
    filler = make_client('/filler', f'{before:02x}')
    writer.register(filler)
    send(filler, range(1))
    settle(writer)
    writer.split()
    wait_until(lambda: writer.status.segment_index > before, 'the next segment')


def close(writer: FileFdrWriter) -> FlightFiles:
    """Close the flight and read it."""
    return check_flight(writer.close_flight('x'))


def repeated(segment: SegmentFile, topic: str) -> list[int]:
    """Return the numbers in the messages of a topic with which a segment begins."""
    begun_at = segment.messages[0].log_time
    return [
        number_of(message.data)
        for message in segment.messages
        if message.topic == topic and message.log_time == begun_at
    ]


def test_publishers_that_left_do_not_crowd_out_the_living(
    writer: FileFdrWriter, caplog: pytest.LogCaptureFixture
) -> None:
    come_and_go(writer, '/rosout', range(4000))
    publish(writer, '/tf_static', 7)
    for _ in range(3):
        rotate(writer)
    flight = close(writer)
    newest = list(reversed(range(4000 - MOST_LEFT, 4000)))
    for segment in flight.segments[-3:]:
        assert repeated(segment, '/tf_static') == [7]
        assert repeated(segment, '/rosout') == newest
    assert caplog.text.count('of those that left with the newest only') == 1
    assert 'no room at the start' not in caplog.text


def test_those_that_left_are_bounded_in_bytes(writer: FileFdrWriter) -> None:
    size = LEFT_BYTES // 4
    come_and_go(writer, '/map', range(20), size)
    rotate(writer)
    assert repeated(close(writer).segments[-1], '/map') == [19, 18, 17, 16]


def test_a_large_message_that_was_left_does_not_take_the_place_of_others(
    writer: FileFdrWriter,
) -> None:
    come_and_go(writer, '/robot_description', range(1))
    come_and_go(writer, '/map', range(1, 2), LEFT_BYTES + 1)
    rotate(writer)
    segment = close(writer).segments[-1]
    assert repeated(segment, '/robot_description') == [0]
    assert repeated(segment, '/map') == []


def test_a_large_message_of_a_living_publisher_is_told_and_costs_no_other(
    writer: FileFdrWriter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    publish(writer, '/map', 1, SEGMENT // 2)
    publish(writer, '/tf_static', 2)
    settle(writer)
    rotate(writer)
    rotate(writer)
    flight = close(writer)
    for segment in flight.segments[-2:]:
        assert repeated(segment, '/tf_static') == [2]
        assert repeated(segment, '/map') == []
    assert caplog.text.count('1 message of latched topics') == 1
    assert 'first of /map' in caplog.text


def test_a_publisher_that_is_found_again_is_a_living_one(writer: FileFdrWriter) -> None:
    found = publish(writer, '/tf_static', 7)
    settle(writer)
    writer.retire(found)
    settle(writer)
    assert writer.resume(found)
    come_and_go(writer, '/rosout', range(MOST_LEFT + 10))
    rotate(writer)
    assert repeated(close(writer).segments[-1], '/tf_static') == [7]


def test_a_respawning_node_leaves_what_it_said_last_and_the_newest_before(
    writer: FileFdrWriter,
) -> None:
    """Each life of the node publishes twice; only the last message of each counts."""
    for number in range(0, 400, 2):
        client = publish(writer, '/map', number)
        client.enqueue(numbered(number + 1), sequence=2)
        writer.retire(client)
    settle(writer)
    publish(writer, '/map', 1000)
    settle(writer)
    rotate(writer)
    flight = close(writer)
    numbers = repeated(flight.segments[-1], '/map')
    assert numbers == [1000, *range(399, 399 - 2 * MOST_LEFT, -2)]
    counters = Counter(item.topic for item in flight.footer.producers)
    assert counters['/map'] == 201
