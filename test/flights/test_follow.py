# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A flight is followed while it is recorded: everything once, in order, and nothing is missed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import random
import shutil
import signal
import subprocess
import sys

from conftest import MakeWriter, Record
from fdr_recorder import NoFlightError
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.follow import FlightFollower, last_messages, recorded_flight
from fdr_recorder.mcap.decode import Message
from fdr_recorder.mcap.growing import GrowingSegment
import known_flight
from known_flight import content_of, FLIGHT_ID, PRODUCERS
from producers import make_client, number_of, open_flight, send
import pytest
from waiting import wait_until

SUPPORT = Path(known_flight.__file__)


@contextmanager
def recording(root: Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Record the known flight in a process of its own."""
    process = subprocess.Popen([sys.executable, SUPPORT, root, json.dumps(options)])
    try:
        wait_until(lambda: recorded_flight(root) and segment_files(root / FLIGHT_ID), 'a flight')
        yield process
    finally:
        process.kill()
        process.wait()


def new_messages(follower: FlightFollower) -> list[Message]:
    return [message for new in follower.new_chunks() for message in new.messages()]


def check_numbers(messages: list[Message]) -> int:
    """Check that each producer's messages are there once and in order; return the last number."""
    found: dict[tuple[str, str], list[int]] = {}
    for message in messages:
        if not message.channel.topic.startswith('/fdr/'):
            key = message.channel.topic, message.channel.metadata['publisher_gid']
            found.setdefault(key, []).append(message.sequence)
            assert message.data == content_of(*key, message.sequence)
    for key, numbers in found.items():
        step = PRODUCERS[key]
        assert numbers == list(range(numbers[0], numbers[-1] + 1, step)), key
    return max(numbers[-1] for numbers in found.values())


def test_everything_once_over_rotations_until_the_recorder_is_killed(root: Path) -> None:
    with recording(root) as process:
        messages: list[Message] = []
        with FlightFollower(root / FLIGHT_ID, from_start=True) as follower:

            def has_rotated() -> bool:
                messages.extend(new_messages(follower))
                return follower.index >= 6

            wait_until(has_rotated, 'six segments')
            process.send_signal(signal.SIGKILL)
            process.wait()
            new_messages_of_the_end = [new_messages(follower) for _ in range(2)]
            messages += [message for new in new_messages_of_the_end for message in new]
            assert not follower.has_footer
            assert (follower.missed, follower.segment.problem) == (0, None)
    last = check_numbers(messages)
    assert messages[0].channel.topic == '/fdr/flight_header'
    all_of_it = check_numbers(
        [m for segment in segment_files(root / FLIGHT_ID) for m in of_segment(segment.path)]
    )
    assert last == all_of_it > 200
    assert recorded_flight(root) is None


def test_the_end_of_a_segment_comes_after_the_beginning_of_the_next(
    record_flight: Record, tmp_path: Path
) -> None:
    """The recorder opens the next segment before it ends the last."""
    first, second, *_ = [file.path for file in segment_files(record_flight(close=True))]
    flight = tmp_path / 'y'
    flight.mkdir()
    ends = {}
    for path in (first, second):
        with GrowingSegment(path) as segment:
            ends[path] = [chunk.end for chunk in segment.new_chunks()]
    (flight / first.name).write_bytes(first.read_bytes()[: ends[first][-2]])
    (flight / second.name).write_bytes(second.read_bytes()[: ends[second][0]])
    with FlightFollower(flight, from_start=True) as follower:
        messages = [*new_messages(follower), *new_messages(follower)]
        for path in (first, second):
            (flight / path.name).write_bytes(path.read_bytes())
        messages += [*new_messages(follower), *new_messages(follower)]
    numbers = [number_of(m.data) for m in messages if m.channel.topic == '/blob']
    assert numbers == list(range(numbers[-1] + 1))
    assert follower.index == 1


def of_segment(path: Path) -> list[Message]:
    """Return the messages of a whole or torn segment, without repeats."""
    with GrowingSegment(path) as segment:
        begun_ns = 0
        found = []
        for chunk in segment.chunks_so_far():
            for message, _ in segment.chunk_at(chunk.offset).messages:
                if message.channel.topic == '/fdr/flight_header':
                    begun_ns = message.log_time_ns
                elif message.log_time_ns != begun_ns or path.name == 'segment_000000.mcap':
                    found.append(message)
        return found


def test_segments_are_dropped_while_they_are_read(record_flight: Record, tmp_path: Path) -> None:
    """What is open stays readable; what was dropped before is counted, and the rest is whole."""
    files = [file.path for file in segment_files(record_flight(close=True, count=300))]
    assert len(files) > 9
    flight = tmp_path / 'y'
    flight.mkdir()
    for path in files[:2]:
        shutil.copy(path, flight)
    with FlightFollower(flight, from_start=True) as follower:

        def numbers() -> list[int]:
            new = new_messages(follower)
            return [number_of(m.data) for m in new if m.channel.topic == '/blob']

        (flight / files[0].name).unlink()
        first = numbers()
        assert first == list(range(first[-1] + 1))  # of both: one was open
        for path in files[2:7]:
            shutil.copy(path, flight)
            if path != files[6]:
                (flight / path.name).unlink()
        second = numbers()
        assert (follower.missed, follower.index) == (4, 6)
        assert second == list(range(second[0], second[-1] + 1))
        assert second[0] > first[-1] + 1
        for path in files[7:]:
            shutil.copy(path, flight)
        shutil.rmtree(flight)  # all at once, and its directory
        assert numbers() == []
        assert not follower.has_footer


@pytest.mark.parametrize('seed', range(6))
def test_a_file_that_grows_in_pieces_of_any_size(
    record_flight: Record, tmp_path: Path, seed: int
) -> None:
    """A reader may see a part of what is written in one call."""
    whole = (record_flight(close=True) / 'segment_000000.mcap').read_bytes()
    pieces = random.Random(seed)
    path = tmp_path / 'segment_000000.mcap'
    path.touch()
    found: list[tuple[int, int]] = []
    with GrowingSegment(path) as segment, path.open('ab', buffering=0) as file:
        while file.tell() < len(whole):
            file.write(whole[file.tell():][: pieces.choice((1, 8, 30, 500, 5000))])
            for chunk in segment.new_chunks():
                times = sum(len(segment.index_at(at)) // 2 for at in chunk.indexes.values())
                messages = segment.chunk_at(chunk.offset).messages
                assert times == len(messages)
                found.append((chunk.offset, times))
        assert segment.is_closed
        assert segment.problem is None
    with GrowingSegment(path) as again:
        offsets = [chunk.offset for chunk in again.new_chunks()]
    assert [offset for offset, _ in found] == offsets
    assert sum(times for _, times in found) > 10


def test_what_is_cut_off_again_is_forgotten(record_flight: Record, tmp_path: Path) -> None:
    """As a recorder does on a full disk: it cuts back what it could not write as a whole."""
    whole = (record_flight(close=True) / 'segment_000000.mcap').read_bytes()
    with GrowingSegment(record_flight(flight_id='y', close=True) / 'segment_000000.mcap') as other:
        ends = [chunk.end for chunk in other.new_chunks()]
    path = tmp_path / 'segment_000000.mcap'
    path.write_bytes(whole[: ends[2] + 5])
    with GrowingSegment(path) as segment:
        first = segment.chunks_so_far()
        os.truncate(path, first[-1].offset)
        assert list(segment.new_chunks()) == []
        path.write_bytes(whole)
        rest = segment.chunks_so_far()
        assert segment.is_closed
    assert [chunk.end for chunk in (*first, *rest)] == sorted(
        chunk.end for chunk in (*first, *rest)
    )


def test_nothing_more_is_read_behind_nonsense(record_flight: Record, tmp_path: Path) -> None:
    whole = bytearray((record_flight(close=True) / 'segment_000000.mcap').read_bytes())
    path = tmp_path / 'segment_000000.mcap'
    path.write_bytes(whole)
    with GrowingSegment(path) as segment:
        end = list(segment.new_chunks())[2].offset
    whole[end:end + 9] = bytes(9)
    path.write_bytes(whole)
    with GrowingSegment(path) as segment:
        assert len(segment.chunks_so_far()) == 2
        assert 'no record' in str(segment.problem)
        assert list(segment.new_chunks()) == []


def test_a_segment_that_was_given_up(make_writer: MakeWriter, root: Path, tmp_path: Path) -> None:
    """It has no end; it is left when the next one is written, and nothing of it is lost."""
    writer, client = make_writer(), make_client('/blob', '0a')
    open_flight(writer, 'x', client)
    send(client, range(40), 500)
    writer.close_flight('x')
    whole = (root / 'x' / 'segment_000000.mcap').read_bytes()
    flight = tmp_path / 'y'
    flight.mkdir()
    with GrowingSegment(root / 'x' / 'segment_000000.mcap') as segment:
        (*_, last, _) = segment.new_chunks()
        torn = whole[: last.end + 200]
    (flight / 'segment_000000.mcap').write_bytes(torn)
    with FlightFollower(flight) as follower:
        assert new_messages(follower)
        (flight / 'segment_000001.mcap').write_bytes(b'')
        assert [m for m in new_messages(follower) if m.channel.topic == '/blob']
        assert follower.index == 0
        (flight / 'segment_000001.mcap').write_bytes(whole)
        following = new_messages(follower)
        assert follower.index == 1
        assert follower.has_footer
        assert [number_of(m.data) for m in following if m.channel.topic == '/blob'] == list(
            range(40)
        )


@pytest.mark.parametrize('wanted', [0, 1, 3, 25, 1000])
def test_the_last_messages(record_flight: Record, wanted: int) -> None:
    flight = record_flight(close=True)
    assert len(segment_files(flight)) > 2
    with FlightFollower(flight) as follower:
        found = last_messages(follower, lambda channel: channel.topic == '/blob', wanted)
        assert [number_of(message.data) for message in found] == list(range(60))[-wanted or 60:]
        assert follower.has_footer
        assert new_messages(follower) == []


def test_the_last_chunk_is_there_though_nothing_follows_it(record_flight: Record) -> None:
    """As while all topics are silent: one begins behind it, or with its messages."""
    flight = record_flight(close=True)
    first, *others = segment_files(flight)
    for other in others:
        other.path.unlink()
    with GrowingSegment(first.path) as segment:
        *before, last = segment.new_chunks()
    os.truncate(first.path, last.offset)
    messages = of_segment(first.path)
    with FlightFollower(flight) as follower:
        assert len(follower.chunks_so_far()) == len(before)
        assert new_messages(follower) == new_messages(follower) == []
    with FlightFollower(flight) as follower:
        found = last_messages(follower, lambda channel: channel.topic == '/blob', 1)
        assert number_of(found[0].data) == number_of(messages[-1].data)
        assert new_messages(follower) == new_messages(follower) == []


def test_no_flight(root: Path) -> None:
    (root / 'x').mkdir()
    with pytest.raises(NoFlightError):
        FlightFollower(root / 'x')
    assert recorded_flight(root) is None
