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
One system call in a flight fails once, and the disk is fine again.

A writer records with rotations and drops; one of its calls, drawn from all that it makes from the
first record to the end of the flight, fails in one of the ways that it can. That costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
import random
import shutil
import time
from typing import Any, Final

from campaigns._faults import Fault, WAYS
from campaigns._interpose import Call, interposed, recorder_logs
from fdr_recorder import (
    Alert,
    AlertBoard,
    CapacityCapPolicy,
    FdrWriterConfig,
    FileFdrWriter,
    FlightHeader,
    FlightSummary,
)
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.kinds import SegmentRollover, WriteError
from flight_check import check_flight
from producers import make_client, numbered, sent_numbers
from waiting import wait_until

NAME = 'blips'
ABOUT = 'One call fails on a disk that is fine again: no record is lost, one word of it at most.'
DEFAULT_ROUNDS = 100
SHORT_ROUNDS = 1

FAULTS_PER_ROUND = 6
CALLS: Final = (
    'open', 'unlink', 'rename', 'replace', 'statvfs', 'write', 'writev', 'fsync', 'fdatasync',
    'ftruncate', 'posix_fallocate',
)  # fmt: skip
SEGMENT_BYTES = 16 * 1024
RECORD_BYTES = 2500
DISK_ALERTS: Final = ('write_error', 'disk_full', 'disk_low', 'segments_gone', 'flight_moved')


class BlippedFlight:
    """A flight in which one call fails; none of it may be seen in what was recorded."""

    def __init__(self, root: Path, fault: Fault, batches: int, cap_segments: int) -> None:
        self._root, self._fault = root, fault
        self._batches, self._cap_bytes = batches, cap_segments * SEGMENT_BYTES
        self._told: list[Alert] = []
        self._alerts = AlertBoard()
        self._alerts.listen(self._told.append)
        self._sent = 0
        self._is_open = False
        self._dropped: list[int] = []

    def watch(self, call: Call, proceed: Callable[[], Any]) -> Any:
        """Let the fault see the calls of the open flight."""
        return self._fault.watch(call, proceed) if self._is_open else proceed()

    def record(self) -> FlightSummary:
        """Record it."""
        config = FdrWriterConfig(
            segment_size_bytes=SEGMENT_BYTES, chunk_size_bytes=4096, flush_interval_s=0.02,
            sync_interval_s=0.02, min_free_bytes=1, reserve_bytes=4096,
        )  # fmt: skip
        clients = [make_client(publisher='0' * 32), make_client('/map', 'a' * 32, latched=True)]
        with FileFdrWriter(self._root, config, alerts=self._alerts) as writer:
            drop_oldest = writer.drop_oldest_segment

            def drop(cap_bytes: int) -> SegmentRollover:
                rollover = drop_oldest(cap_bytes)
                self._dropped.append(rollover.records)
                return rollover

            writer.drop_oldest_segment = drop
            policy = CapacityCapPolicy(self._cap_bytes, writer, self._alerts)
            writer.on_rotation = policy.on_rotation
            for client in clients:
                writer.register(client)
            writer.open_flight(FlightHeader(flight_id='blipped'))
            self._is_open = True
            for _ in range(self._batches):
                for client in clients:
                    assert client.enqueue(numbered(self._sent, RECORD_BYTES)), 'a full ring'
                self._sent += 1
                wait_until(lambda: not any(len(client.ring) for client in clients), 'the ring')
                time.sleep(0.005)  # the load's rate: flushes and syncs come between
            summary = writer.close_flight('blipped')
            self._is_open = False
            return summary

    def check(self, summary: FlightSummary) -> dict[str, int]:
        """Check that nothing is lost, and not much said; return what was found."""
        assert summary.is_complete, 'the flight has no footer'
        footer = summary.footer
        for producer in footer.producers:
            if producer.topic in ('/blob', '/map'):
                assert producer.offered == self._sent, producer
                assert producer.written - producer.repeated == self._sent, f'lost: {producer}'
        result = verify(summary.path)
        assert result.verdict in (Verdict.COMPLETE, Verdict.LOSSES), str(result)
        assert not self._alerts.present(), self._alerts.present()
        begun = Counter(alert.code for alert in self._told if alert.raised)
        assert sum(begun[code] for code in DISK_ALERTS) <= 1, begun
        assert 'writer_failed' not in begun
        files = check_flight(summary, dropped=self._dropped)
        assert len(files.payloads(WriteError)) <= 1
        numbers = sent_numbers(files, publisher='0' * 32)
        assert numbers == list(range(self._sent - len(numbers), self._sent)), 'a hole'
        if not footer.segments_dropped:
            assert len(numbers) == self._sent
        return {
            'records_checked': 2 * self._sent,
            'segments_dropped': footer.segments_dropped,
            'told': sum(begun[code] for code in DISK_ALERTS),
        }


def run_round(rng: random.Random, directory: Path) -> Mapping[str, int | float]:
    """Record some flights, each with one call that fails."""
    figures: Counter[str] = Counter()
    batches, cap_segments = rng.randint(12, 40), rng.choice([3, 100])
    fault = Fault()
    _record(directory / 'calm', fault, batches, cap_segments)
    calls = {name: fault.calls[name] for name in CALLS if fault.calls[name]}
    for _ in range(FAULTS_PER_ROUND):
        name = rng.choice(list(calls))
        fault = Fault(name, rng.randint(1, calls[name]), rng.choice(WAYS[name]))
        try:
            figures.update(_record(directory / 'root', fault, batches, cap_segments))
        except Exception as error:
            message = f'when {fault}: {type(error).__name__}: {error}'
            raise AssertionError(message) from error
        figures[f'blips of {name}'] += fault.has_struck
        figures['blips'] += fault.has_struck
    return figures


def _record(root: Path, fault: Fault, batches: int, cap_segments: int) -> dict[str, int]:
    root.mkdir()
    flight = BlippedFlight(root, fault, batches, cap_segments)
    with recorder_logs() as logs:
        with interposed(root, flight.watch) as files:
            summary = flight.record()
            assert not files, f'left open: {sorted(files.values())}'
        assert not [item for item in logs if item.exc_info], 'an exception was logged'
    figures = flight.check(summary)
    shutil.rmtree(root)
    return figures
