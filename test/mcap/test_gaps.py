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
Bytes go bad in the middle of a segment: what is whole on both sides stays readable.

The campaign `holes` does this at random; here is one of each kind.
"""

from __future__ import annotations

from contextlib import suppress
import errno
import os
from pathlib import Path
import zlib

from campaigns._recovered import check_recovered, last_footer
from campaigns.torn import records_of
from conftest import MakeWriter, Record, SMALL
from disk_faults import SystemCall
from fdr_recorder.flights.directory import DAMAGED_SUFFIX, segment_files
from fdr_recorder.flights.flight_reader import FlightReader
from fdr_recorder.flights.recovery.recover import recover, recover_flight
from fdr_recorder.flights.verify import Verdict, Verification, verify
from fdr_recorder.mcap import encode, layout
from fdr_recorder.mcap.reader import SegmentReader
from fdr_recorder.record.kinds import FlightFooter, FlightHeader, RECORD_SCHEMA_VERSION
from producers import BLOB, make_client, number_of, open_flight, send
import pytest

COUNT = 60


@pytest.fixture
def flight(record_flight: Record) -> Path:
    """Return a flight of four segments, each of some chunks, that was not closed."""
    return record_flight(close=False, count=COUNT)


@pytest.fixture
def torn(flight: Path) -> Path:
    """Return the third of its segments; it has lost its summary, and is not the last."""
    path = segment_files(flight)[2].path
    os.truncate(path, find(path, layout.DATA_END)[0])
    return path


def find(path: Path, opcode: int, number: int = 0) -> tuple[int, int]:
    """Return where a record of a whole segment begins and ends."""
    data = path.read_bytes() + bytes(8)  # as if the last magic were there
    return [(start, end) for kind, start, end in records_of(data) if kind == opcode][number]


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open('r+b') as file:
        file.seek(offset)
        file.write(data)


def turn_bit(path: Path, offset: int, bit: int = 1) -> None:
    overwrite(path, offset, bytes([path.read_bytes()[offset] ^ bit]))


def numbers_in(flight: Path) -> list[int]:
    messages = FlightReader(flight).messages()
    return [number_of(item.data) for item in messages if item.channel.schema.name == BLOB.name]


def numbers_in_chunk(path: Path, number: int) -> set[int]:
    with SegmentReader(path) as reader:
        for _ in reader.messages():  # it must know the channels
            pass
        chunk = reader.chunk_at(find(path, layout.CHUNK, number)[0])
        messages = [message for message, _ in chunk.messages]
        return {number_of(item.data) for item in messages if item.channel.topic == '/blob'}


def check(flight: Path, lost: set[int]) -> Verification:
    """Recover a flight and check that it lacks just this; return what `verify` says of it."""
    there = [number for number in range(COUNT) if number not in lost]
    assert numbers_in(flight) == there, 'before it was recovered'
    recover(flight)
    _, verification = check_recovered(flight)
    assert numbers_in(flight) == there
    assert sum(item.records for item in verification.losses if item.topic == '/blob') == len(lost)
    return verification


# --- a chunk -------------------------------------------------------------------------------------


def test_a_chunk_that_went_bad_does_not_cost_those_behind_it(flight: Path, torn: Path) -> None:
    lost = numbers_in_chunk(torn, 1)
    start, end = find(torn, layout.CHUNK, 1)
    turn_bit(torn, (start + end) // 2)
    verification = verify(flight)
    assert any('CRC of the chunk' in text and 'between 20' in text for text in verification.damage)
    content = torn.read_bytes()
    verification = check(flight, lost)
    (loss,) = [item for item in verification.losses if item.cause == 'unreadable']
    assert loss.file_name == torn.name
    assert loss.bytes == find(torn, layout.UNREADABLE)[1] - start >= end - start
    assert loss.first_ns
    assert f'{loss.bytes:,} bytes of {torn.name} cannot be read, between 20' in str(loss)
    assert torn.read_bytes()[start + 9:end] == content[start + 9:end], 'it is gone'


def test_a_page_of_zeros_costs_what_was_in_it(flight: Path, torn: Path) -> None:
    first, second = find(torn, layout.CHUNK, 1), find(torn, layout.CHUNK, 2)
    lost = numbers_in_chunk(torn, 1) | numbers_in_chunk(torn, 2)
    overwrite(torn, first[1] - 100, bytes(second[0] - first[1] + 200))
    check(flight, lost)


def test_a_chunk_that_says_it_is_longer_is_given_up_alone(flight: Path, torn: Path) -> None:
    lost = numbers_in_chunk(torn, 1)
    overwrite(torn, find(torn, layout.CHUNK, 1)[0] + 1, b'\xff\x10')
    check(flight, lost)


def test_a_length_without_measure_does_not_end_the_search(flight: Path, torn: Path) -> None:
    lost = numbers_in_chunk(torn, 1)
    start, _ = find(torn, layout.CHUNK, 1)
    looks_like_one = encode.schema(99, 'a/msg/B', '', b'') + layout.RECORD_PREFIX.pack(4, 1 << 50)
    overwrite(torn, start, bytes(40) + looks_like_one)
    check(flight, lost)


def test_bad_times_in_the_head_of_a_chunk_are_made_right(flight: Path, torn: Path) -> None:
    content = torn.read_bytes()
    overwrite(torn, find(torn, layout.CHUNK, 1)[0] + 9, bytes(16))
    check(flight, set())
    assert torn.read_bytes().startswith(content)


@pytest.mark.parametrize(
    ('place', 'bit'),
    [
        pytest.param(0, 0x80, id='its opcode'),
        pytest.param(3, 1, id='its length'),
        pytest.param(20, 1, id='its entries'),
    ],
)
@pytest.mark.parametrize('number', [0, 2])
def test_a_message_index_is_written_anew(
    flight: Path, torn: Path, number: int, place: int, bit: int
) -> None:
    content = torn.read_bytes()
    turn_bit(torn, find(torn, layout.MESSAGE_INDEX, number)[0] + place, bit)
    verification = check(flight, set())
    assert torn.read_bytes().startswith(content)
    assert not [item for item in verification.losses if item.cause == 'unreadable']


def test_a_closed_segment_is_read_around_what_went_bad(record_flight: Record) -> None:
    flight = record_flight(close=True)
    path = segment_files(flight)[1].path
    lost = numbers_in_chunk(path, 1)
    turn_bit(path, find(path, layout.CHUNK, 1)[1] - 10)
    reader = FlightReader(flight)
    found = [number_of(item.data) for item in reader.messages() if item.channel.topic == '/blob']
    assert found == [number for number in range(COUNT) if number not in lost]
    assert len(reader.damage) == 1
    assert reader.footer is not None
    assert recover(flight) == [], 'it was closed: nothing is changed'
    assert verify(flight).verdict is Verdict.DAMAGED


def test_a_footer_that_counts_what_is_lost_is_not_believed(record_flight: Record) -> None:
    flight = record_flight(close=True, count=COUNT, segment_size_bytes=1 << 20)
    path = segment_files(flight)[-1].path
    assert numbers_in_chunk(path, 1)
    turn_bit(path, find(path, layout.CHUNK, 1)[1] - 10)
    os.truncate(path, find(path, layout.DATA_END)[0])
    recover(flight)
    files, _ = check_recovered(flight)
    assert len(files.payloads(FlightFooter)) == 2
    assert not last_footer(files).clean_shutdown


# --- descriptions ------------------------------------------------------------------------------


def test_messages_whose_channel_is_lost_are_kept_without_it(flight: Path, torn: Path) -> None:
    start, end = find(torn, layout.SCHEMA, 1)[0], find(torn, layout.CHANNEL, 1)[1]
    overwrite(torn, start, bytes(end - start))
    recover(flight)
    files, _ = check_recovered(flight)
    (segment,) = [item for item in files.segments if item.path == torn]
    unknown = [item for item in segment.messages if item.topic == '/unknown_2']
    assert unknown
    assert not [item for item in segment.messages if item.topic == '/blob']
    both = [item for item in files.messages if item.topic in ('/blob', '/unknown_2')]
    assert [number_of(item.data) for item in both] == list(range(COUNT))


def test_a_channel_that_ends_in_zeros_is_none(flight: Path, torn: Path) -> None:
    end = find(torn, layout.CHANNEL, 1)[1]
    place = torn.read_bytes().rindex(b'cdr', 0, end) - 4
    overwrite(torn, place, bytes(end - place))
    with SegmentReader(torn) as reader:
        assert all(item.channel.message_encoding == 'cdr' for item in reader.messages())
        assert reader.gaps
    recover(flight)
    check_recovered(flight)


@pytest.mark.parametrize(
    ('opcode', 'place', 'topic'),
    [
        pytest.param(layout.SCHEMA, 9, '/blob', id='a schema'),
        pytest.param(layout.CHANNEL, 9, '/unknown_2', id='a channel'),
        pytest.param(layout.CHANNEL, 11, '/unknown_2', id="a channel's schema"),
    ],
)
def test_a_number_that_the_recorder_does_not_give_is_damage(
    flight: Path, torn: Path, opcode: int, place: int, topic: str
) -> None:
    first_chunk = numbers_in_chunk(torn, 1)
    overwrite(torn, find(torn, opcode, 1)[0] + place, b'\xff\xff')
    [recovered] = recover(flight)
    assert not recovered.set_aside
    files, _ = check_recovered(flight)
    (segment,) = [item for item in files.segments if item.path == torn]
    assert [item for item in segment.messages if item.topic == topic]
    kept = {number_of(item.data) for item in files.messages if item.topic in ('/blob', topic)}
    # what stands for a channel is longer than this one, and so takes the room of a chunk
    assert set(range(COUNT)) - kept == (set() if opcode == layout.SCHEMA else first_chunk)


def test_a_lost_definition_of_the_recorder_itself_is_known_all_the_same(
    flight: Path, torn: Path
) -> None:
    content = torn.read_bytes()
    start, end = find(torn, layout.SCHEMA, 0)
    overwrite(torn, start, bytes(end - start))
    check(flight, set())
    assert torn.read_bytes().startswith(content)


@pytest.mark.parametrize('place', [0, 20, 60], ids=['magic', 'header', 'metadata'])
def test_what_every_segment_begins_with_is_written_anew(
    flight: Path, torn: Path, place: int
) -> None:
    turn_bit(torn, place)
    check(flight, set())
    with SegmentReader(torn) as reader:
        assert next(iter(reader.messages())).channel.topic == FlightHeader.channel_topic()
        assert reader.metadata['fdr_recorder'] == {'flight_id': 'x', 'segment_index': '2'}


def test_a_segment_without_its_beginning_is_still_one(flight: Path, torn: Path) -> None:
    overwrite(torn, 0, bytes(find(torn, layout.CHUNK, 0)[1]))
    check(flight, set())


# --- what is not to be taken for data ------------------------------------------------------------


def test_old_data_that_show_in_a_hole_are_not_read(
    flight: Path, torn: Path, make_writer: MakeWriter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('time.time_ns', lambda: 1_000_000_000_000_000_000)
    writer, client = make_writer(**SMALL), make_client('/blob', '0a')
    open_flight(writer, 'old', client)
    send(client, range(1000, 1030), 500)
    writer.stop()
    old = (root / 'old' / 'segment_000000.mcap').read_bytes()
    first, last = find(torn, layout.CHUNK, 1), find(torn, layout.CHUNK, 3)
    lost = set().union(*(numbers_in_chunk(torn, number) for number in (1, 2, 3)))
    overwrite(torn, first[0], old[1800:1800 + last[1] - first[0]])
    found = numbers_in(flight)
    assert max(found) < COUNT
    assert set(range(COUNT)) - set(found) == lost


def make_old(path: Path, number: int, by_ns: int) -> None:
    """Make the records of a chunk older, which stays whole."""
    start, end = find(path, layout.CHUNK, number)
    chunk = bytearray(path.read_bytes()[start:end])
    fixed = layout.RECORD_PREFIX.size
    first_ns, last_ns, size, _ = layout.CHUNK_FIXED.unpack_from(chunk, fixed)
    place = first = len(chunk) - size
    while place < len(chunk):
        head = list(layout.MESSAGE_PREFIX.unpack_from(chunk, place))
        head[4] -= by_ns
        layout.MESSAGE_PREFIX.pack_into(chunk, place, *head)
        place += layout.RECORD_PREFIX.size + head[1]
    crc = zlib.crc32(chunk[first:])
    layout.CHUNK_FIXED.pack_into(chunk, fixed, first_ns - by_ns, last_ns - by_ns, size, crc)
    overwrite(path, start, bytes(chunk))


@pytest.mark.parametrize('version', ['1.3.0', '1.2.0'])
def test_old_data_in_just_the_right_place_are_not_read(
    flight: Path, torn: Path, version: str
) -> None:
    behind = numbers_in_chunk(torn, 2) | numbers_in_chunk(torn, 3)
    lost = behind | numbers_in_chunk(torn, 1)
    for number in (2, 3):
        make_old(torn, number, 3_600_000_000_000)
    turn_bit(torn, find(torn, layout.CHUNK, 1)[1] - 10)
    content = torn.read_bytes()
    torn.write_bytes(content.replace(RECORD_SCHEMA_VERSION.encode(), version.encode()))
    os.truncate(torn, find(torn, layout.CHUNK, 4)[0])
    is_steady = version == '1.3.0'  # else the clock may have been set back
    assert set(numbers_in(flight)) & lost == (set() if is_steady else behind)


def test_a_chunk_that_looks_like_a_private_record_is_lost_with_a_trace(
    flight: Path, torn: Path
) -> None:
    lost = numbers_in_chunk(torn, 1)
    turn_bit(torn, find(torn, layout.CHUNK, 1)[0], 0x80)
    verification = check(flight, lost)
    assert [item.file_name for item in verification.losses if item.cause == 'unreadable']


def test_nothing_is_left_of_a_segment_of_zeros(flight: Path, torn: Path) -> None:
    torn.write_bytes(bytes(torn.stat().st_size))
    [recovered] = recover(flight)
    assert recovered.set_aside == (torn.name,)
    _, verification = check_recovered(flight)
    (loss,) = [item for item in verification.losses if item.cause == 'unreadable']
    assert loss.file_name == torn.name + DAMAGED_SUFFIX


# --- when it is interrupted ----------------------------------------------------------------------


@pytest.mark.parametrize('name', ['pwrite', 'fsync', 'writev', 'rename'])
def test_a_disk_that_refuses_costs_nothing_and_it_goes_on_later(
    flight: Path, torn: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    lost = numbers_in_chunk(torn, 1)
    turn_bit(torn, find(torn, layout.CHUNK, 1)[1] - 10)
    turn_bit(torn, find(torn, layout.MESSAGE_INDEX, 0)[0] + 20)
    there = numbers_in(flight)
    for on_call in range(1, 100):
        with monkeypatch.context() as patched:
            call = SystemCall(patched, name)
            call.fail(errno.EIO, on_call=on_call)
            with suppress(OSError):
                recover_flight(flight)
        assert numbers_in(flight) == there
        if call.calls < on_call:
            break
    assert on_call > 1, f'{name} was never called'
    check(flight, lost)
