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
A disk fills up and is freed again while a writer records: a real small file system.

`disk_full` does this to the node; here are more rounds in the same time, more options, policies
that drop segments, and a look at the accounts from inside. Another file takes all space at a
moment chosen at random, and gives it back after a while, several times. The flight ends while
there is space, or while there is none; then it is recovered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import logging
from pathlib import Path
import random
import threading
import time
import unittest
from unittest import mock

from campaigns._interpose import recorder_logs
from disk_faults import fill_disk, mounted_tmpfs
from fdr_recorder import (
    Alert,
    AlertBoard,
    CapacityCapPolicy,
    FdrClient,
    FdrWriterConfig,
    FileFdrWriter,
    FlightHeader,
    FlightSummary,
)
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.kinds import SegmentRollover, WriteError
from flight_check import check_flight, FlightFiles, open_flight_files
from producers import make_client, number_of, numbered
import pytest
from waiting import wait_until

NAME = 'disk_full_writer'
ABOUT = 'The same without ROS: many options, and policies that make room.'
DEFAULT_ROUNDS = 50
SHORT_ROUNDS = 3

DISK_BYTES = 8 << 20
_FLIGHT = 'flight'
_DISK_ALERTS = ('disk_full', 'write_error')
_PATIENCE_S = 10.0


class Load:
    """A producer that enqueues numbered messages, about 300 KB/s, until it is ended."""

    def __init__(self, client: FdrClient, rng: random.Random) -> None:
        self.sent = 0
        self.refused = 0
        self._client = client
        self._sizes = [rng.choice((100, 1000, 5000)) for _ in range(100)]
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name='load')

    def _run(self) -> None:
        while not self._is_ended.wait(0.01):
            for _ in range(2):
                size = self._sizes[self.sent % len(self._sizes)]
                self.refused += not self._client.enqueue(numbered(self.sent, size))
                self.sent += 1

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ended.set()
        self._thread.join()


class Round:
    """One flight on a small disk."""

    def __init__(
        self, disk: Path, rng: random.Random, logs: list[logging.LogRecord]
    ) -> None:
        self.disk = disk
        self.rng = rng
        self.logs = logs
        self.config = FdrWriterConfig(
            segment_size_bytes=rng.choice((64, 128)) << 10,
            chunk_size_bytes=rng.choice((4, 16)) << 10,
            flush_interval_s=rng.choice((0.02, 0.05)),
            sync_interval_s=rng.choice((0.02, 0.1)),
            min_free_bytes=rng.choice((0, 0, 512 << 10)),
            on_low_space=rng.choice(('degrade', 'drop_oldest')),
            reserve_bytes=rng.choice((0, 256 << 10)),
            compression=rng.choice(('none', 'none', 'lz4')),
        )
        self.alerts = AlertBoard()
        self.told: list[Alert] = []
        self.alerts.listen(self.told.append)
        self.writer = FileFdrWriter(disk, self.config, alerts=self.alerts)
        self.has_cap = rng.random() < 0.5
        if self.has_cap:
            policy = CapacityCapPolicy(512 << 10, self.writer, self.alerts)
            self.writer.on_rotation = policy.on_rotation
        self.before: dict[str, bytes] = {}
        """What was on the disk before the last spell, by name of the segment."""
        self.figures: Counter[str] = Counter()

    @property
    def makes_room(self) -> bool:
        """Whether the recorder may end a spell by dropping segments."""
        return self.config.on_low_space == 'drop_oldest'

    @property
    def segments(self) -> list[Path]:
        return sorted((self.disk / _FLIGHT).glob('*.mcap'))

    def fly(self) -> None:
        """Record, with spells, and check all that can be checked from outside."""
        writer, rng = self.writer, self.rng
        client = make_client(publisher='0' * 32)
        writer.register(client)
        writer.start()
        try:
            writer.open_flight(FlightHeader(flight_id=_FLIGHT))
            with Load(client, rng) as load:
                for _ in range(rng.randint(1, 3)):
                    time.sleep(rng.uniform(0.05, 0.4))
                    self._spell()
                time.sleep(rng.uniform(0.05, 0.2))
                if ends_full := rng.random() < 0.5:
                    self._fill()
                if rng.random() < 0.5:
                    load.__exit__()
                summary = writer.close_flight(_FLIGHT)
            self._check(summary, load, ends_full=ends_full)
        finally:
            writer.stop()

    def _spell(self) -> None:
        self._fill()
        time.sleep(self.rng.uniform(0.0, 0.3))
        self._check_state(is_degraded=True)
        (self.disk / 'ballast').unlink()
        wait_until(
            lambda: not (self.writer.status.is_degraded or self._is_suspended()),
            'the recording to go on',
            _PATIENCE_S,
        )
        self._check_state(is_degraded=False)
        self._check_bytes()
        if self.config.reserve_bytes:
            wait_until(self._has_reserve, 'the reserve to be there again', _PATIENCE_S)

    def _fill(self) -> None:
        """Take all space, and wait until the recorder has noticed."""
        self.before = {path.name: path.read_bytes() for path in self._there()}
        dropped = self.writer.status.counters.segments_dropped
        told = len(self.told)
        fill_disk(self.disk)

        def has_noticed() -> bool:
            status = self.writer.status
            if self.makes_room and status.counters.segments_dropped > dropped:
                return True
            return any(alert.raised and alert.code in _DISK_ALERTS for alert in self.told[told:])

        wait_until(has_noticed, 'the disk to be full', _PATIENCE_S)
        self.figures['spells'] += any(
            alert.raised and alert.code in _DISK_ALERTS for alert in self.told[told:]
        )

    def _is_suspended(self) -> bool:
        return any(alert.code in _DISK_ALERTS for alert in self.alerts.present())

    def _there(self) -> Iterator[Path]:
        for path in self.segments:
            if path.exists():  # the cap may have dropped it meanwhile
                yield path

    def _has_reserve(self) -> bool:
        try:
            status = (self.disk / '.fdr.reserve').stat()
        except FileNotFoundError:
            return False
        return status.st_blocks * 512 >= self.config.reserve_bytes

    # --- checks ----------------------------------------------------------------------------

    def _check_state(self, *, is_degraded: bool) -> None:
        assert self.writer.is_started
        assert self.writer.open_flight_id == _FLIGHT
        if not self.makes_room:
            assert self._is_suspended() == is_degraded
        assert not any(alert.code == 'writer_failed' for alert in self.told)

    def _check_bytes(self) -> None:
        """Check that what was there before the spell is there, or was dropped and counted."""
        gone = self.writer.status.counters.segments_dropped
        for name, content in self.before.items():
            path = self.disk / _FLIGHT / name
            try:
                now = path.read_bytes()
            except FileNotFoundError:
                wait_until(
                    lambda index=int(name[8:14]): (  # type: ignore[misc]
                        index < self.writer.status.counters.segments_dropped
                    ),
                    f'{name}, which is gone, to be counted ({gone})',
                    1.0,
                )
                continue
            assert now.startswith(content), f'{name} has lost bytes that were on the disk'
            self.figures['bytes_compared'] += len(content)

    def _check(self, summary: FlightSummary, load: Load, *, ends_full: bool) -> None:
        told = [(alert.code, alert.raised) for alert in self.told if alert.code in _DISK_ALERTS]
        raised = [code for code, is_raised in told if is_raised]
        assert told == [(code, state) for code in raised for state in (True, False)], told
        suspended = [
            item for item in self.logs
            if item.levelno >= logging.ERROR and 'suspended' in item.getMessage()
        ]  # fmt: skip
        assert len(suspended) == len(raised), 'not one log for each spell'
        assert not [item for item in self.logs if item.exc_info]
        assert self.alerts.present() == ()
        assert summary.is_complete or ends_full, 'there was space, but there is no footer'

        footer = summary.footer
        assert footer.records_dropped_overrun == 0, 'the rings were not drained'
        (producer,) = (item for item in footer.producers if item.topic == '/blob')
        assert producer.offered == load.sent - load.refused
        for item in footer.producers:
            assert item.offered == item.written - item.repeated + item.dropped_write_error, item
        present = sum(
            path.stat().st_size for path in self.segments
            if int(path.stem[8:]) >= footer.segments_dropped  # a full disk also keeps dropped ones
        )  # fmt: skip
        assert footer.bytes_written == present + footer.bytes_dropped
        if summary.is_complete:
            self._check_complete(summary, spells=len(raised))
        else:
            self._check_incomplete(summary)
        self.figures['records_discarded'] += footer.records_dropped_write_error
        self.figures['segments_dropped'] += footer.segments_dropped
        self.figures['closed_while_full'] += not summary.is_complete

    def _check_complete(self, summary: FlightSummary, *, spells: int) -> None:
        files = open_flight_files(summary.path)
        rollovers = {item.segment_index: item.records for item in files.payloads(SegmentRollover)}
        gone = range(summary.footer.segments_dropped)
        if set(gone) <= set(rollovers):  # else the record of a drop was dropped itself
            check_flight(summary, dropped=[rollovers[index] for index in gone])
        errors = files.payloads(WriteError)
        if not gone:
            assert len(errors) == spells
            assert sum(item.records for item in errors) == (
                summary.footer.records_dropped_write_error
            )
        self._check_numbers(files, summary)
        assert recover(self.disk / _FLIGHT) == [] if not self.writer.is_started else True

    def _check_incomplete(self, summary: FlightSummary) -> None:
        """Free the disk, and recover what was closed without a footer."""
        before = {path.name: path.read_bytes() for path in self.segments}
        (self.disk / 'ballast').unlink()
        self.writer.stop()
        recover(self.disk)
        assert recover(self.disk) == []
        for name, content in before.items():
            now = (self.disk / _FLIGHT / name).read_bytes()
            is_finished = content.endswith(b'\x89MCAP0\r\n')
            assert now.startswith(content) or is_finished, f'{name} has lost bytes'
        result = verify(self.disk / _FLIGHT)
        assert result.verdict is not Verdict.DAMAGED, str(result)
        files = open_flight_files(self.disk / _FLIGHT)
        footer = files.footer
        assert not footer.clean_shutdown
        assert footer.bytes_written == files.size + footer.bytes_dropped
        assert footer.records_written == summary.footer.records_written + 1
        self._check_numbers(files, summary)

    def _check_numbers(self, files: FlightFiles, summary: FlightSummary) -> None:
        numbers = [number_of(message.data) for message in files.of_topic('/blob')]
        assert numbers == sorted(set(numbers))
        (producer,) = (item for item in summary.footer.producers if item.topic == '/blob')
        if not summary.footer.segments_dropped:
            assert len(numbers) == producer.written
        self.figures['records_on_disk'] += len(numbers)


@contextmanager
def _small_disk(path: Path) -> Iterator[Path]:
    try:
        with mounted_tmpfs(path, DISK_BYTES) as disk:
            yield disk
    except pytest.skip.Exception as error:
        raise unittest.SkipTest(str(error)) from None


def run_round(rng: random.Random, directory: Path) -> Mapping[str, int | float]:
    """Record one flight on a small disk that is filled and freed."""
    with (
        _small_disk(directory / 'disk') as disk,
        recorder_logs() as logs,
        mock.patch('fdr_recorder.storage.degraded.RETRY_INTERVAL_S', 0.05),
    ):
        flight = Round(disk, rng, logs)
        flight.fly()
        return flight.figures
