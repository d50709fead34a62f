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
Bytes go bad in the middle: pages that a power cut kept from the disk, bits that turned.

A round makes one flight of several segments, and damages one of them many times over, each time in
another way: zeros, rubbish or old data in place of pages, and single bits. The segment has its
summary or not, and may be torn at its end besides. After each time the flight is recovered; every
chunk that was left whole must be there, wherever the damage is, and `verify` must say what is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
import random
import shutil
import time
from typing import NamedTuple
from unittest import mock

from campaigns import Figures
from campaigns._recovered import check_recovered
from campaigns.torn import FLIGHT, quiet, record, records_of
from fdr_recorder.flights.directory import DAMAGED_SUFFIX, segment_files
from fdr_recorder.flights.flight_reader import FlightReader
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.verify import verify
from fdr_recorder.mcap import layout
from flight_check import Message, read_segment

NAME = 'holes'
ABOUT = (
    'Pages and bits in the middle of a segment go bad: '
    'every whole chunk is there after recovery, on both sides.'
)
DEFAULT_ROUNDS = 20
SHORT_ROUNDS = 1

TRIES = 100
SHORT_TRIES = 25
"""In a round of `./dev test`."""

SECTOR, PAGE = 512, 4096

Key = tuple[int, int, int, bytes]
"""What a message is known by; its channel may be lost."""


def run_round(rng: random.Random, directory: Path) -> Figures:
    """Damage one segment of a new flight in many ways, one after the other."""
    return _run_round(rng, directory, TRIES)


def run_short_round(rng: random.Random, directory: Path) -> Figures:
    """Damage it in some ways."""
    return _run_round(rng, directory, SHORT_TRIES)


def _run_round(rng: random.Random, directory: Path, tries: int) -> Figures:
    whole, older = directory / 'whole' / FLIGHT, directory / 'older' / FLIGHT
    for flight, age_s in ((whole, 0), (older, 3600)):
        flight.parent.mkdir()
        with mock.patch('time.time_ns', partial(ago, age_s)):
            record(flight.parent, rng)
    segments = [segment.path for segment in segment_files(whole)]
    old = b''.join(segment.path.read_bytes() for segment in segment_files(older))
    figures: Counter[str] = Counter(tries=tries)
    root = directory / 'root'
    with quiet(), mock.patch('os.fsync'):  # nothing here is about power
        for number in range(tries):
            victim = rng.choice(segments)
            # in the first segment, old data can be told from new ones only by its first chunk
            is_first = victim == segments[0]
            after, is_certain = damaged(victim.read_bytes(), b'' if is_first else old, rng)
            chunks = chunks_of(victim, after)
            figures['chunks'] += len(chunks)
            figures['chunks_whole'] += sum(chunk.is_whole for chunk in chunks)
            root.mkdir()
            shutil.copytree(whole, root / FLIGHT)
            (root / FLIGHT / victim.name).write_bytes(after)
            forget(root / FLIGHT, victim.name)
            try:
                unreadable = check(root / FLIGHT, victim, chunks, is_certain=is_certain)
            except Exception as error:
                left = directory / f'try_{number}.mcap'
                left.write_bytes(after)
                message = f'{victim}, damaged as in {left}'
                raise AssertionError(message) from error
            figures['unreadable_bytes'] += unreadable
            shutil.rmtree(root)
    return figures


# --- damage ------------------------------------------------------------------------------------


def ago(seconds: int, now_ns: Callable[[], int] = time.time_ns) -> int:
    """Return the time (nanoseconds) that it was some time ago."""
    return now_ns() - seconds * 1_000_000_000


def damaged(data: bytes, old: bytes, rng: random.Random) -> tuple[bytes, bool]:
    """
    Return a segment with some of its bytes gone bad.

    Also whether that can be seen: schemas and channels of the data section have no CRC, so what
    looks like one may mean anything.
    """
    data_end = next(start for opcode, start, _ in records_of(data) if opcode == layout.DATA_END)
    end = data_end if rng.random() < 0.7 else len(data)
    result = bytearray(data[:end])
    if end < len(data) and rng.random() < 0.5:  # torn at its end, besides
        del result[rng.randrange(len(result) * 3 // 4, len(result)):]
    is_certain = True
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        kind = rng.choice(['zeros', 'zeros', 'rubbish', 'old', 'bit'])
        page = rng.choice([SECTOR, PAGE])
        start = rng.randrange(0, len(result), page)
        length = min(page * rng.choice([1, 1, 2, 3]), len(result) - start)
        new = bytes(length)
        if kind == 'rubbish':
            new = rng.randbytes(length)
        elif kind == 'old' and old:
            offset = rng.randrange(0, len(old) - length, SECTOR)
            new = old[offset:offset + length]
        elif kind == 'bit':
            start = rng.randrange(len(result))
            new = bytes([result[start] ^ 1 << rng.randrange(8)])
        result[start:start + len(new)] = new
        if kind in ('bit', 'old'):
            is_certain = is_certain and not has_description(data, start, start + len(new))
    return bytes(result), is_certain


def has_description(data: bytes, start: int, end: int) -> bool:
    """Tell whether there is something in a range that has no CRC, and can be told from nothing."""
    return any(
        first < end and start < last
        for opcode, first, last in records_of(data)
        if opcode in (layout.HEADER, layout.METADATA, layout.SCHEMA, layout.CHANNEL)
    )


def forget(flight: Path, name: str) -> None:
    """Have `metadata.yaml` not name a segment, as if it had been closed just before the cut."""
    path = flight / 'metadata.yaml'
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(''.join(line for line in lines if name not in line))


# --- what must be there ------------------------------------------------------------------------


class Chunk(NamedTuple):
    """A chunk of the damaged segment: what was in it, and whether it is as it was."""

    messages: list[Message]
    is_whole: bool


def chunks_of(victim: Path, after: bytes) -> list[Chunk]:
    before = victim.read_bytes()
    messages = iter(read_segment(victim).messages)
    chunks: list[Chunk] = []
    for opcode, start, end in records_of(before):
        if opcode == layout.CHUNK:
            chunks.append(Chunk([], after[start:end] == before[start:end]))
        elif opcode == layout.MESSAGE_INDEX:
            size = end - start - layout.MESSAGE_INDEX_PREFIX.size
            count = size // layout.MESSAGE_INDEX_ENTRY_LENGTH
            chunks[-1].messages.extend(islice(messages, count))
    return chunks


def key(message: Message) -> Key:
    return message.sequence, message.log_time, message.publish_time, message.data


def check(path: Path, victim: Path, chunks: list[Chunk], *, is_certain: bool) -> int:
    """Read, verify and recover a flight with a damaged segment; return what cannot be read."""
    read = [
        (message.sequence, message.log_time_ns, message.publish_time_ns, message.data)
        for message in FlightReader(path).messages()
    ]
    str(verify(path))
    (recovered,) = recover(path.parent)
    if not is_certain:
        str(verify(path))
        assert recover(path.parent) == []
        return recovered.unreadable_bytes
    flight, verification = check_recovered(path)
    unreadable = [loss for loss in verification.losses if loss.cause == 'unreadable']
    if recovered.set_aside:
        assert not any(chunk.is_whole for chunk in chunks), 'set aside, with whole chunks in it'
        assert [loss.file_name for loss in unreadable] == [victim.name + DAMAGED_SUFFIX]
        return 0
    assert sum(loss.bytes for loss in unreadable) == recovered.unreadable_bytes
    recorded = {
        key(message)
        for file in segment_files(victim.parent)
        for message in read_segment(file.path).messages
    }
    found = [key(message) for message in flight.messages]
    assert [item for item in found if item in recorded] == read, 'read before, and gone now'
    wanted = [key(message) for chunk in chunks if chunk.is_whole for message in chunk.messages]
    assert [item for item in found if item in set(wanted)] == wanted, 'whole, and not there'
    while chunks and not chunks[-1].is_whole:
        chunks.pop()  # a torn end is cut
    lost = {key(message) for chunk in chunks for message in chunk.messages} - set(found)
    assert unreadable or not lost, 'lost without a trace'
    return recovered.unreadable_bytes
