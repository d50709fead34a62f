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
Files end anywhere: a finished segment is cut, the last of its flight or one in its middle.

A round makes one flight of several segments, with own records, latched messages, and one way of
compression, and cuts one of them: at every byte of its last chunk, its summary and its footer, and
at random bytes before. After each cut the flight is
recovered; everything in chunks that were whole before must be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import hashlib
import logging
from pathlib import Path
import random
import shutil
from unittest import mock

from campaigns import Figures
from campaigns._recovered import check_recovered, snapshot
from fdr_recorder import FdrWriterConfig, FileFdrWriter
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.verify import Verdict
from fdr_recorder.mcap import layout
from fdr_recorder.record.kinds import FlightFooter, FlightHeader
from flight_check import Message, read_segment
from producers import make_client, numbered, open_flight

NAME = 'torn'
ABOUT = (
    'A segment is cut at every byte of its last chunk and summary, and at random before: '
    'every chunk that was whole is there after recovery.'
)
DEFAULT_ROUNDS = 6
SHORT_ROUNDS = 1

RANDOM_CUTS = 100
SHORT_CUTS = 120
"""In a round of `./dev test`."""

FLIGHT = 'flight'


def run_round(rng: random.Random, directory: Path) -> Figures:
    """Cut one segment of a new flight at every byte that matters, one after the other."""
    return _run_round(rng, directory, None)


def run_short_round(rng: random.Random, directory: Path) -> Figures:
    """Cut it at some of these bytes."""
    return _run_round(rng, directory, SHORT_CUTS)


def _run_round(rng: random.Random, directory: Path, cuts: int | None) -> Figures:
    whole = directory / 'whole' / FLIGHT
    whole.parent.mkdir()
    record(whole.parent, rng)
    segments = segment_files(whole)
    assert len(segments) >= 3
    victim = rng.choice([segments[-1], segments[-1], *segments[:-1]]).path
    data = victim.read_bytes()
    places = interesting_places(data)
    before = range(len(layout.MAGIC), places.start)
    lengths = [*places, *rng.sample(before, min(RANDOM_CUTS, len(before))), *range(12)]
    if cuts is not None:
        lengths = rng.sample(lengths, cuts)
    messages = list(read_segment(victim).messages)
    chunks = chunk_ends(data)
    root = directory / 'root'
    outcomes: dict[bytes, int] = {}
    with quiet(), mock.patch('os.fsync'):  # nothing here is about power
        for length in lengths:
            root.mkdir()
            shutil.copytree(whole, root / FLIGHT)
            with (root / FLIGHT / victim.name).open('r+b') as file:
                file.truncate(length)
            kept = messages[: sum(count for end, count in chunks if end <= length)]
            try:
                check_cut(root / FLIGHT, whole, victim.name, kept, outcomes)
            except Exception as error:
                message = f'{victim.name} of {len(data)} bytes cut to {length}'
                raise AssertionError(message) from error
            shutil.rmtree(root)
    return {
        'cuts': len(lengths),
        'bytes': len(data),
        'chunks': len(chunks),
        'outcomes': len(outcomes),
    }


def record(root: Path, rng: random.Random) -> None:
    """Record a flight of some segments, each of several chunks."""
    config = FdrWriterConfig(
        segment_size_bytes=16 * 1024,
        chunk_size_bytes=rng.choice([1024, 3000, 6000]),
        compression=rng.choice(['none', 'lz4', 'zstd']),
        flush_interval_s=60.0,
        sync_interval_s=3600.0,
        min_free_bytes=0,
        reserve_bytes=0,
    )
    latched = make_client('/latched', '01', latched=True)
    client = make_client('/blob', '02')
    writer = FileFdrWriter(root, config)
    writer.start()
    try:
        open_flight(writer, FLIGHT, latched, client)
        latched.enqueue(numbered(0, 200))
        for number in range(rng.randint(60, 100)):
            client.enqueue(numbered(number, rng.choice([50, 300, 1000])))
            if number % 30 == 7:
                client.count_transport_loss(number, number)
                writer.alerts.raise_alert('topic_stale', 'nothing', subject=str(number))
        if rng.random() < 0.5:
            writer.close_flight(FLIGHT)  # else it has no footer, though all segments are whole
    finally:
        writer.stop()


def records_of(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield opcode, beginning and end of every record of a whole segment."""
    offset = len(layout.MAGIC)
    while offset < len(data) - len(layout.MAGIC):
        opcode, length = layout.RECORD_PREFIX.unpack_from(data, offset)
        end = offset + layout.RECORD_PREFIX.size + length
        yield opcode, offset, end
        offset = end


def interesting_places(data: bytes) -> range:
    """Return every length that ends in the last chunk, its indexes, the summary or the footer."""
    last_chunk = max(start for opcode, start, _ in records_of(data) if opcode == layout.CHUNK)
    return range(last_chunk, len(data))


def chunk_ends(data: bytes) -> list[tuple[int, int]]:
    """Return where each chunk ends, and how many messages it has, by its message indexes."""
    ends: list[tuple[int, int]] = []
    for opcode, start, end in records_of(data):
        if opcode == layout.CHUNK:
            ends.append((end, 0))
        elif opcode == layout.MESSAGE_INDEX:
            size = end - start - layout.MESSAGE_INDEX_PREFIX.size
            chunk_end, count = ends[-1]
            ends[-1] = chunk_end, count + size // layout.MESSAGE_INDEX_ENTRY_LENGTH
    return ends


def check_cut(
    path: Path, whole: Path, victim: str, kept: list[Message], outcomes: dict[bytes, int]
) -> None:
    """
    Recover a flight with a cut segment, and compare.

    Most cuts come to the same in the end: what was seen before is not looked at again.
    """
    before = {name: content for name, (content, _) in snapshot(whole).items()}
    names = sorted(name for name in before if name.startswith('segment'))
    [recovered] = recover(path.parent)
    outcome = digest(path)
    if outcome in outcomes:
        assert outcomes[outcome] == len(kept)
        return
    flight, verification = check_recovered(path)
    by_name = {segment.path.name: list(segment.messages) for segment in flight.segments}
    if recovered.set_aside:
        assert recovered.set_aside == (victim,)
        assert victim not in by_name
        assert not kept
        names.remove(victim)
    elif kept and kept[-1].topic == FlightFooter.channel_topic():
        assert (path / victim).read_bytes() == before[victim], 'not as if it had never been cut'
    else:
        found = by_name[victim]
        added = [message.topic for message in found[len(kept):]]
        assert found[: len(kept)] == kept
        header = [] if kept else [FlightHeader.channel_topic()]
        footer = [FlightFooter.channel_topic()] if victim == names[-1] else []
        assert added == header + footer
    for name in names:
        if name not in (victim, names[-1]):
            assert (path / name).read_bytes() == before[name], f'{name} was touched'
        elif name != victim:
            expected = list(read_segment(whole / name).messages)
            assert by_name[name][: len(expected)] == expected
    assert recovered.footer.clean_shutdown or verification.verdict is not Verdict.COMPLETE
    outcomes[outcome] = len(kept)


def digest(path: Path) -> bytes:
    """Return what stands for the names and contents of all files of a flight."""
    state = hashlib.sha256()
    for name, (content, _) in snapshot(path).items():
        if name.endswith('.mcap') or name == 'metadata.yaml':  # others end where it was cut
            state.update(f'{name} {len(content)} '.encode() + content)
    return state.digest()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what recovery says of hundreds of torn files off the terminal."""
    logger = logging.getLogger('fdr_recorder.flights.recovery.recover')
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
