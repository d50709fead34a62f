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
Every system call of a recorder's life fails once, in every way that it can.

Two lives are led: that of a writer (start, open a flight, rotate and drop segments, find the disk
full, go on, close) and that of a recovery of a flight that was torn. The calls of a life without
faults are noted first; then the life is led again and one of them fails: with an error of the
operating system, or by doing only a part of what it was asked for. The flights of some rounds are
sealed: none may look like a forgery.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
import os
from pathlib import Path
import random
import shutil
import time
from typing import Any
from unittest import mock

from campaigns._authentic import Seals
from campaigns._faults import Fault, WAYS
from campaigns._interpose import interposed, recorder_logs
from fdr_recorder import (
    AlertBoard,
    CapacityCapPolicy,
    FdrError,
    FdrWriterConfig,
    FileFdrWriter,
    FlightHeader,
    FlightSummary,
)
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.kinds import SegmentRollover
from flight_check import check_flight, check_identities, open_flight_files
from producers import make_client, number_of, numbered
from waiting import wait_until

NAME = 'syscalls'
ABOUT = 'Fails one system call of writer or recovery: nothing is uncaught, nothing is lost.'
DEFAULT_ROUNDS = 250
SHORT_ROUNDS = 1

FAULTS_PER_ROUND = 8
"""In a writer, and as many in a recovery."""


# --- a writer's life -----------------------------------------------------------------------------


class Life:
    """A writer's life in a flight root, with one fault."""

    def __init__(self, root: Path, fault: Fault, seals: Seals) -> None:
        self.root = root
        self.fault = fault
        self.seals = seals
        self.alerts = AlertBoard()
        self.refused = 0
        self.sent = 0
        self.summary: FlightSummary | None = None

    def lead(self) -> None:
        """Lead it; a call that is refused with a typed error is made a second time."""
        config = FdrWriterConfig(
            segment_size_bytes=16 * 1024, chunk_size_bytes=4096, flush_interval_s=0.02,
            sync_interval_s=0.02, min_free_bytes=1, reserve_bytes=4096, seal=self.seals.config,
        )  # fmt: skip
        writer = FileFdrWriter(self.root, config, alerts=self.alerts)
        policy = CapacityCapPolicy(3 * 16 * 1024, writer, self.alerts)
        writer.on_rotation = policy.on_rotation
        clients = [make_client(publisher='0' * 32), make_client('/map', 'a' * 32, latched=True)]
        for client in clients:
            writer.register(client)
        self._twice(writer.start)
        try:
            flight_id = 'first'
            try:
                writer.open_flight(FlightHeader(flight_id=flight_id))
            except FdrError:
                self.refused += 1
                flight_id = 'second'
                writer.open_flight(FlightHeader(flight_id=flight_id))
            self._send(writer, clients, 12)
            self.fault.is_disk_full = True
            self._send(writer, clients, 2)
            wait_until(lambda: writer.status.is_degraded, 'the disk to be full')
            self.fault.is_disk_full = False
            wait_until(lambda: not writer.status.is_degraded, 'the recording to go on')
            self._send(writer, clients, 6)
            self.summary = writer.close_flight(flight_id)
        finally:
            self.fault.is_disk_full = False
            writer.stop()

    def _twice(self, call: Callable[[], None]) -> None:
        try:
            call()
        except FdrError:
            self.refused += 1
            call()

    def _send(self, writer: FileFdrWriter, clients: list[Any], count: int) -> None:
        for _ in range(count):
            for client in clients:
                assert client.enqueue(numbered(self.sent, 2500)), 'the flight is not open'
            self.sent += 1
            wait_until(
                lambda: not any(len(client.ring) for client in clients) or self.fault.is_disk_full,
                'the ring',
            )
        time.sleep(0.03)

    def check(self) -> int:
        """Check what it has left; return how many of its records are on the disk."""
        assert self.alerts.present() == ()
        summary = self.summary
        assert summary is not None
        for producer in summary.footer.producers:
            if producer.topic in ('/blob', '/map'):
                assert producer.offered == self.sent, producer
                assert producer.written - producer.repeated + producer.dropped_write_error == (
                    self.sent
                ), producer
        rollovers: list[int] = []
        if summary.is_complete:
            assert _names_all(summary.path)
            files = open_flight_files(summary.path)
            rollovers = _records_in_dropped(files.payloads(SegmentRollover), summary)
            if len(rollovers) == summary.footer.segments_dropped:
                check_flight(summary, dropped=rollovers)
        self.seals.check(summary.path)
        recovered = recover(self.root)
        assert recover(self.root) == []
        self.seals.check(summary.path)
        if summary.is_complete:
            assert not [item for item in recovered if item.path == summary.path]
        result = verify(summary.path)
        assert result.verdict is not Verdict.DAMAGED, str(result)
        files = open_flight_files(summary.path)
        numbers = [number_of(message.data) for message in files.of_topic('/blob')]
        assert numbers == sorted(set(numbers))
        if not summary.is_complete:
            written = sum(item.written for item in summary.footer.producers)
            assert files.footer.records_written >= written, 'records were lost by recovering'
        return len(numbers)


def _names_all(flight: Path) -> bool:
    named = (flight / 'metadata.yaml').read_text()
    return all(path.name in named for path in flight.glob('*.mcap'))


def _records_in_dropped(rollovers: list[SegmentRollover], summary: FlightSummary) -> list[int]:
    dropped = range(summary.footer.segments_dropped)
    return [record.records for record in rollovers if record.segment_index in dropped]


# --- a recovery's life ---------------------------------------------------------------------------


def _make_torn_flight(root: Path, rng: random.Random) -> None:
    """Leave a flight of several segments, the last one torn, as a kill does."""
    config = FdrWriterConfig(
        segment_size_bytes=16 * 1024, chunk_size_bytes=4096, flush_interval_s=0.01,
        min_free_bytes=0, reserve_bytes=0,
    )  # fmt: skip
    writer = FileFdrWriter(root, config)
    client = make_client(publisher='0' * 32)
    writer.register(client)
    writer.start()
    writer.open_flight(FlightHeader(flight_id='torn'))
    for number in range(12):
        client.enqueue(numbered(number, 3000))
        wait_until(lambda: len(client.ring) == 0, 'the ring')
    wait_until(lambda: writer.status.counters.records_written >= 13, 'the records', 10)
    shutil.copytree(root, root.with_name('copy'))
    writer.stop()
    shutil.rmtree(root)
    root.with_name('copy').rename(root)
    last = max((root / 'torn').glob('*.mcap'))
    os.truncate(last, max(400, last.stat().st_size - rng.randrange(1, 2000)))
    (root / 'torn' / 'segment_000099.mcap').write_bytes(b'no segment')


def _recover_with(root: Path, fault: Fault) -> int:
    """Recover with a fault, then without; return 1 if the fault was told."""
    told = 0
    with interposed(root, fault.watch) as files:
        try:
            recover(root)
        except (OSError, FdrError):
            told = 1
        assert not files, f'left open: {sorted(files.values())}'
    recover(root)
    assert recover(root) == [], 'the second recovery was not complete'
    return told


# --- a round -------------------------------------------------------------------------------------


def _calls_of_a_writer(scratch: Path, seals: Seals) -> Counter[str]:
    fault = Fault()
    scratch.mkdir()
    life = Life(scratch, fault, seals)
    with interposed(scratch, fault.watch):
        life.lead()
    life.check()
    shutil.rmtree(scratch)
    return fault.calls


def _choose(calls: Counter[str], rng: random.Random) -> Fault:
    """Choose a call of a life, each with the same chance, and a way in which it fails."""
    name = rng.choices(list(calls), list(calls.values()))[0]
    return Fault(name, rng.randint(1, calls[name]), rng.choice(WAYS[name]))


def run_round(rng: random.Random, directory: Path) -> Mapping[str, int | float]:
    """Lead some lives, each with one fault."""
    figures: Counter[str] = Counter()
    with (
        recorder_logs() as logs,
        mock.patch('fdr_recorder.storage.degraded.RETRY_INTERVAL_S', 0.02),
    ):
        seals = Seals.draw(rng, directory)
        calls = _calls_of_a_writer(directory / 'scratch', seals)
        for _ in range(FAULTS_PER_ROUND):
            fault = _choose(calls, rng)
            logs.clear()
            try:
                figures.update(_live(directory / 'root', fault, seals))
                _check_logs(logs)
            except Exception as error:
                message = f'when {fault}: {type(error).__name__}: {error}'
                raise AssertionError(message) from error
            shutil.rmtree(directory / 'root')
        template = directory / 'template'
        template.mkdir()
        _make_torn_flight(template, rng)
        figures.update(_recover_with_faults(template, directory, rng))
    return figures


def _check_logs(logs: list[Any]) -> None:
    assert not [item for item in logs if item.exc_info], 'an exception was logged'


def _live(root: Path, fault: Fault, seals: Seals) -> dict[str, int]:
    root.mkdir()
    life = Life(root, fault, seals)
    with interposed(root, fault.watch) as files:
        life.lead()
        assert not files, f'left open: {sorted(files.values())}'
    records = life.check()
    return {
        'lives': 1,
        'faults': fault.has_struck,
        'refused_with_a_typed_error': life.refused,
        'closed_without_footer': life.summary is not None and not life.summary.is_complete,
        'records_on_disk': records,
        'uncaught': 0,
    }


def _recover_with_faults(template: Path, directory: Path, rng: random.Random) -> Counter[str]:
    figures: Counter[str] = Counter()
    root = directory / 'torn'
    shutil.copytree(template, root)
    watch = Fault()
    _recover_with(root, watch)
    whole = open_flight_files(root / 'torn').messages[:-1]
    shutil.rmtree(root)
    for _ in range(FAULTS_PER_ROUND):
        fault = _choose(watch.calls, rng)
        shutil.copytree(template, root)
        try:
            figures['refused_with_a_typed_error'] += _recover_with(root, fault)
            files = open_flight_files(root / 'torn')
            assert files.messages[:-1] == whole, 'not the records of a recovery without a fault'
            check_identities(files, files.footer)
            result = verify(root / 'torn')
            assert result.verdict is not Verdict.DAMAGED, str(result)
        except Exception as error:
            message = f'in a recovery, when {fault}: {type(error).__name__}: {error}'
            raise AssertionError(message) from error
        shutil.rmtree(root)
        figures.update({'recoveries': 1, 'faults': fault.has_struck})
    return figures
