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
The power goes: what was not forced to the disk vanishes or tears, page by page.

A flight is recorded while every change of a file or a directory is noted. Then, for moments chosen
at random, the flight root is built as a power cut could have left it:

* of each file what its last `fsync` or `fdatasync` covered, and of later data any page or none,
  torn at any sector; pages that were never forced may be zeros or old rubbish; the size is any
  that the file has had since;
* of each directory what its last `fsync` covered, and of later changes either a beginning (as a
  journaling file system has it) or any (as POSIX allows).

That is recovered, sometimes with a second power cut in the midst. Everything that the first cut
left durable must be there, complete and in order, and the flight must be sound. The flights of
some rounds are sealed: then none of that may look like a forgery.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
import errno
import os
from pathlib import Path
import random
import re
import shutil
from unittest import mock

from campaigns._authentic import Seals
from campaigns._disk import changed, Disk, Durable, ShortWriteError
from campaigns._interpose import Call, interposed, recorder_logs
from fdr_recorder import (
    AlertBoard,
    CapacityCapPolicy,
    FdrWriterConfig,
    FlightHeader,
    FlightRoot,
)
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.status import Authenticity
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.kinds import FlightFooter, SegmentRollover, WriteError
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.recording import FlightRecording
from flight_check import check_identities, Message, open_flight_files, read_whole_chunks
from mcap.records import Chunk, MessageIndex
from mcap.stream_reader import get_chunk_data_stream, StreamReader
from producers import blob, make_client
import yaml

NAME = 'power'
ABOUT = 'Cuts the power at any moment: what lay before the last sync must be there.'
DEFAULT_ROUNDS = 100
SHORT_ROUNDS = 2

CUTS_PER_ROUND = 12

_FLIGHT = 'flight'
_METADATA = 'metadata.yaml'
_SEGMENT = re.compile(r'segment_(\d{6})\.mcap')


# --- a flight ------------------------------------------------------------------------------------


class _Clock:
    """The time of a flight: it goes on when the flight says so, for a round to be repeatable."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        self.now += 1e-6  # no two records at the same time
        return 1_700_000_000_000_000_000 + int(self.now * 1e9)


def _fly(disk: Disk, rng: random.Random, clock: _Clock, seals: Seals) -> None:
    """
    Record a flight, with settings, load and faults of the disk chosen at random.

    What the writer's thread does is done here step by step.
    """
    segment_size = rng.choice((16, 32, 64)) * 1024
    config = FdrWriterConfig(
        segment_size_bytes=segment_size,
        chunk_size_bytes=rng.choice((1024, 4096, 16384)),
        flush_interval_s=rng.choice((0.01, 0.03)),
        sync_interval_s=rng.choice((0.01, 0.05, 0.2)),
        compression=rng.choice(('none', 'none', 'lz4', 'zstd')),
        reserve_bytes=rng.choice((0, 65536)),
        min_free_bytes=0,
        seal=seals.config,
    )
    clients = [make_client(f'/blob{number}', f'{number:032x}') for number in range(2)]
    if rng.random() < 0.5:
        clients.append(make_client('/map', 'ab' * 16, latched=True))
    alerts = AlertBoard()
    header = FlightHeader(flight_id=_FLIGHT, flight_started_at_ns=clock.time_ns())
    root = FlightRoot.acquire(disk.path)
    policies: list[CapacityCapPolicy] = []

    def on_rotation(closed: ClosedSegment) -> None:
        for policy in policies:
            policy.on_rotation(closed)

    recording = FlightRecording(root, header, config, alerts, on_rotation=on_rotation)
    accounts = []
    for client in clients:
        client.ring.is_open = True
        accounts.append(recording.account_of(client))
    if rng.random() < 0.6:
        cap = segment_size * rng.randint(2, 5)
        policies.append(CapacityCapPolicy(cap, recording, alerts))
    failing = rng.choice((('writev',), ('writev', 'open'), ('fsync',), ('rename',)))
    spell = 0
    for _ in range(rng.randint(10, 60)):
        for _ in range(rng.randint(1, 20)):
            size = rng.choice((50, 500, 3000))
            rng.choice(clients).enqueue(blob(rng.randbytes(size)), clock.time_ns())
        for account, client in zip(accounts, clients, strict=True):
            if batch := client.ring.take(rng.choice((3, 100))):
                recording.write(account, batch)
        clock.now += rng.choice((0.001, 0.01, 0.03, 0.1))
        recording.tick(clock.now, 0.0)
        if spell:
            spell -= 1
            if not spell:
                disk.fault = lambda _call: None
        elif rng.random() < 0.05:
            spell = rng.randint(1, 8)
            disk.fault = _failing(failing, rng.choice((errno.ENOSPC, errno.EIO)), rng)
    if rng.random() < 0.7:
        disk.fault = lambda _call: None
    for account, client in zip(accounts, clients, strict=True):
        while batch := client.ring.take(100):
            recording.write(account, batch)
    if rng.random() < 0.7:
        recording.close()
    else:
        recording.abandon()
    disk.fault = lambda _call: None
    root.release()


def _failing(
    names: tuple[str, ...], error: int, rng: random.Random
) -> Callable[[Call], OSError | None]:
    """Make calls about the flight's files fail; a write may leave a beginning of the data."""

    def fault(call: Call) -> OSError | None:
        if call.path.parent.name != _FLIGHT or call.name not in names:
            return None
        if call.name == 'writev' and rng.random() < 0.5:
            return ShortWriteError(error, os.strerror(error))
        return OSError(error, os.strerror(error))

    return fault


# --- what must be there --------------------------------------------------------------------------


@dataclass
class Promise:
    """
    What a power cut must leave: the messages of each segment, and how `metadata.yaml` may be.

    Attributes:
        messages: By name of the segment: the messages in chunks that are certain.
        metadata: Contents that `metadata.yaml` may have; None among them if it may be absent.

    """

    messages: dict[str, list[Message]]
    metadata: list[bytes | None]


def _promise(disk: Disk, durable: Durable, moment: int, scratch: Path) -> Promise:
    messages: dict[str, list[Message]] = {}
    for path, node in durable.files().items():
        if _SEGMENT.fullmatch(path.name):
            content = durable.nodes[node]
            assert isinstance(content, bytes)
            scratch.write_bytes(content)
            messages[path.name] = read_whole_chunks(scratch)
    return Promise(messages, _metadata_versions(disk, durable, moment))


def _metadata_versions(disk: Disk, durable: Durable, moment: int) -> list[bytes | None]:
    """Return what `metadata.yaml` was at its last sync, and all that it was to become since."""
    flight = disk.nodes.get(disk.path / _FLIGHT)
    if flight is None:
        return [None]
    entries = durable.nodes[flight]
    assert isinstance(entries, dict)
    certain = entries.get(_METADATA)
    nodes = [certain] + [
        node
        for change in durable.later.get(flight, ())
        for name, node in change.names
        if name == _METADATA
    ]
    versions: list[bytes | None] = []
    for node in nodes:
        content = None if node is None else disk.before[node]
        assert content is None or isinstance(content, bytes)
        for event in disk.events[:moment]:
            if event.node == node and event.kind != 'sync' and content is not None:
                content = changed(content, event)
        versions.append(content)
    return versions


def _check_names(disk: Disk, durable: Durable) -> None:
    """Check that a segment's name is durable no later than the second sync of its data."""
    certain = set(durable.files().values())
    flight = disk.nodes.get(disk.path / _FLIGHT)
    removed = {
        name for change in durable.later.get(flight or 0, ()) for name, node in change.names
        if node is None
    }  # fmt: skip
    for path, node in disk.nodes.items():
        if _SEGMENT.fullmatch(path.name) and path.name not in removed and node in durable.nodes:
            assert durable.syncs[node] < 2 or node in certain, (
                f'{path.name} has been synced {durable.syncs[node]} times, its name never'
            )


def _check_cut(root: Path, promise: Promise) -> None:
    """Check what a power cut has left, before anything is recovered."""
    metadata = root / _FLIGHT / _METADATA
    content = metadata.read_bytes() if metadata.exists() else None
    assert content in promise.metadata, 'metadata.yaml is neither an old one nor a new one'
    if content is not None:
        yaml.safe_load(content)


def _snapshot(root: Path) -> Mapping[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob('*.*'))
        if path.is_file() and path.parent != root
    }  # fmt: skip


def _check_recovered(root: Path, promise: Promise) -> int:
    """Check a recovered root; return how many certain records were there."""
    flight = root / _FLIGHT
    assert recover(root) == [], 'the second recovery found something to do'
    if not any(promise.messages.values()) and not list(flight.glob('*.mcap')):
        return 0
    result = verify(flight)
    assert result.verdict is not Verdict.DAMAGED, str(result)
    files = open_flight_files(flight)
    footer = files.payloads(FlightFooter)[-1]  # one before it may have come too early
    assert files.messages[-1].topic == FlightFooter.channel_topic()
    found = {segment.path.name: list(segment.messages) for segment in files.segments}
    rollovers = {record.segment_index: record for record in files.payloads(SegmentRollover)}
    dropped = set(range(_index(min(found))))
    assert footer.segments_dropped == len(dropped), (footer.segments_dropped, dropped)
    if not dropped and not files.payloads(WriteError):
        check_identities(files, footer)  # else it is not known whose records were lost
    assert footer.bytes_written == files.size + footer.bytes_dropped
    if dropped <= set(rollovers):
        gone = sum(rollovers[index].records for index in dropped)
        assert footer.records_written == len(files.messages) + gone
    certain = 0
    for name, messages in promise.messages.items():
        if name in found:
            assert found[name][: len(messages)] == messages, f'{name} lacks durable records'
            certain += len(messages)
        elif messages:
            assert _index(name) < footer.segments_dropped, f'{name} is gone without a record'
    _check_order(files.messages)
    _check_indexes(flight)
    return certain


def _index(name: str) -> int:
    return int(name[8:14])


def _check_order(messages: tuple[Message, ...]) -> None:
    last: dict[str, int] = {}
    for message in messages:
        if message.topic.startswith('/blob'):
            assert message.sequence > last.get(message.topic, -1), 'records are out of order'
            last[message.topic] = message.sequence


def _check_indexes(flight: Path) -> None:
    """Compare the message indexes of every chunk with what is in it."""
    for path in flight.glob('*.mcap'):
        indexes: dict[int, list[tuple[int, int]]] = {}
        with path.open('rb') as file:
            for record in StreamReader(file, emit_chunks=True).records:
                if isinstance(record, Chunk):
                    assert not any(indexes.values()), f'{path.name}: an index is missing'
                    stream, _ = get_chunk_data_stream(record, validate_crc=True)
                    indexes = _places(stream.read(record.uncompressed_size))
                elif isinstance(record, MessageIndex):
                    entries = indexes.pop(record.channel_id, None)
                    assert record.records == entries, f'{path.name}: a wrong index'
        assert not indexes, f'{path.name}: an index is missing'


def _places(chunk: bytes) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    position = 0
    while position < len(chunk):
        length = int.from_bytes(chunk[position + 1:position + 9], 'little')
        body = chunk[position + 9:position + 9 + length]
        if chunk[position] == 5:
            channel = int.from_bytes(body[:2], 'little')
            log_time = int.from_bytes(body[6:14], 'little')
            found.setdefault(channel, []).append((log_time, position))
        position += 9 + length
    return found


# --- a round -------------------------------------------------------------------------------------


def run_round(rng: random.Random, directory: Path) -> Mapping[str, int | float]:
    """Record one flight, cut the power at several moments, recover."""
    root = directory / 'root'
    root.mkdir()
    disk, clock = Disk(root), _Clock()
    seals = Seals.draw(rng, directory)
    figures: Counter[str] = Counter()
    with recorder_logs():
        with (
            interposed(root, disk.watch),
            mock.patch('time.monotonic', clock.monotonic),
            mock.patch('time.time_ns', clock.time_ns),
            mock.patch('fdr_recorder.storage.degraded.RETRY_INTERVAL_S', 0.05),
        ):
            _fly(disk, rng, clock, seals)
        figures['changes'] += len(disk.events)
        for _ in range(CUTS_PER_ROUND):
            moment = rng.randint(0, len(disk.events))
            after = directory / 'after'
            try:
                figures.update(_cut_power(disk, moment, after, rng, seals))
            except AssertionError as error:
                message = f'power cut after {moment} of {len(disk.events)} changes: {error}'
                raise AssertionError(message) from error
            shutil.rmtree(after)
    return figures


def _cut_power(
    disk: Disk, moment: int, after: Path, rng: random.Random, seals: Seals
) -> dict[str, int]:
    after.mkdir()
    root = after / 'root'
    durable = disk.durable(moment)
    _check_names(disk, durable)
    promise = _promise(disk, durable, moment, after / 'scratch')
    durable.build(root, rng)
    _check_cut(root, promise)
    is_left = False  # as it is: its sealed bytes are torn
    if rng.random() < 0.4:
        promise, root, is_left = _cut_power_again(promise, root, after, rng, seals)
    seals.check(root / _FLIGHT)
    recovered = recover(root, key_file=seals.of_recovery(rng))
    is_sealed = bool(recovered) and seals.check(root / _FLIGHT) is not Authenticity.NOT_SEALED
    is_left |= any(flight.left for flight in recovered)
    certain = 0 if is_left else _check_recovered(root, promise)
    return {
        'power_cuts': 1,
        'flights_recovered': len(recovered),
        'segments_sealed': sum(len(flight.torn) for flight in recovered),
        'durable_records': certain,
        'durable_records_lost': 0,
        'sealed_flights': is_sealed,
    }


def _cut_power_again(
    promise: Promise, root: Path, after: Path, rng: random.Random, seals: Seals
) -> tuple[Promise, Path, bool]:
    """Cut the power while the flight is being recovered; tell whether that had left segments."""
    disk = Disk(root)
    with interposed(root, disk.watch):
        recovered = recover(root, key_file=seals.of_recovery(rng))
    moment = rng.randint(0, len(disk.events))
    durable = disk.durable(moment)
    again = after / 'again'
    durable.build(again, rng)
    metadata = _metadata_versions(disk, durable, moment)
    _check_cut(again, Promise({}, metadata))
    is_left = any(flight.left for flight in recovered)
    return Promise(promise.messages, metadata), again, is_left
