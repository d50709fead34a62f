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
A flight of the recorder's process on a disk that fails and works again, over real DDS.

Importing this module skips the tests of a module where ROS 2 is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
import errno
from itertools import count
from pathlib import Path

from disk_faults import fill_disk, mounted_tmpfs
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.verify import Verdict, verify
from fdr_recorder.record.kinds import AlertRecord, FlightFooter, WriteError
from flight_check import Message, open_flight_files, read_whole_chunks
from ground import DiagnosticStatus, has_alert, own_ground
from publisher_process import PublisherProcess
from recorder_process import read_flight, RecorderProcess

DISK_BYTES = 16 << 20
TOPIC = '/load'
FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
_CODES = ('disk_full', 'write_error')
_BURST = 20

_SHIM = """
import os


def refusable(name):
    real = getattr(os, name)

    def call(*args, **kwargs):
        try:
            with open(os.environ['REFUSAL']) as file:
                number, *names = file.read().split()
        except OSError:
            names = ()
        if name in names:
            raise OSError(int(number), os.strerror(int(number)))
        return real(*args, **kwargs)

    return call


for name in ('writev', 'fdatasync', 'fsync'):
    setattr(os, name, refusable(name))
"""
"""A sitecustomize.py: while there is a file `$REFUSAL`, the calls that it names are refused."""


class FullDisk:
    """Another file takes all space of the disk."""

    error_number = errno.ENOSPC

    def begin(self, flight: FailingDiskFlight) -> None:
        fill_disk(flight.recorder.root)

    def end(self, flight: FailingDiskFlight) -> None:
        (flight.recorder.root / 'ballast').unlink()


class Refusal:
    """System calls of the recorder are refused."""

    def __init__(self, error_number: int, *names: str) -> None:
        self.error_number = error_number
        self._names = names

    def begin(self, flight: FailingDiskFlight) -> None:
        new = flight.refusal.with_suffix('.new')
        new.write_text(f'{self.error_number} {" ".join(self._names)}')
        new.rename(flight.refusal)

    def end(self, flight: FailingDiskFlight) -> None:
        flight.refusal.unlink()


class FailingDiskFlight:
    """
    One flight of a recorder, with spells in which the disk refuses data.

    Attributes:
        recorder: Its process, active.
        refusal: The file that makes system calls of the recorder fail.
        sent: How many messages were published.
        codes: The alert that belongs to each spell.
        ended_in_spell: Whether it was closed while the disk refused data.

    """

    def __init__(
        self, recorder: RecorderProcess, publisher: PublisherProcess, refusal: Path
    ) -> None:
        self.recorder = recorder
        self.refusal = refusal
        self.sent = 0
        self.codes: list[str] = []
        self.ended_in_spell = False
        self._ground = recorder.ground
        self._publisher = publisher
        self._stored: dict[Path, bytes] = {}
        """What was on the disk before the last spell."""

    @property
    def _segments(self) -> list[Path]:
        return [segment.path for segment in segment_files(self.recorder.flights()[-1])]

    # --- flying ----------------------------------------------------------------------------

    @contextmanager
    def spell(self, fault: FullDisk | Refusal) -> Iterator[None]:
        """
        Let the disk refuse data, from when the ground is told to when it is over.

        What lay on the disk before must be there afterwards.
        """
        self.load_until(self._is_stored, 'messages on the disk')
        contents = {path: path.read_bytes() for path in self._segments}
        self._stored = {path: content for path, content in contents.items() if content}
        self.codes.append(_CODES[fault.error_number not in FULL_ERRNOS])
        fault.begin(self)
        told = 2 * len(self.codes) - 1
        self.load_until(lambda: len(self.told()) >= told, f'the alert {self.codes[-1]}')
        assert self.recorder.state() == 'active'
        yield
        fault.end(self)
        if self.recorder.process.poll() is None and self.recorder.state() == 'active':
            self.load_until(lambda: len(self.told()) > told, 'the end of the alert')
            self.load_until(self._is_stored, 'messages behind the spell')
        self.check_stored()

    def load_until(self, condition: Callable[[], object], what: str) -> None:
        """Publish until a condition is true."""

        def loaded() -> bool:
            self._publisher.ask('publish', self.sent, _BURST)
            self.sent += _BURST
            return bool(condition())

        self._ground.wait_until(loaded, what)

    def load(self, bursts: int) -> None:
        """Publish so many bursts."""
        done = count(1)
        self.load_until(lambda: next(done) >= bursts, 'the load')

    def _is_stored(self) -> bool:
        return bool(numbers_in(read_whole_chunks(self._segments[-1])))

    def close(self) -> None:
        """End the flight, with every message in it if the disk works."""
        told = self.told()
        self.ended_in_spell = bool(told) and told[-1][1]
        if not self.ended_in_spell:
            self._ground.wait_until(
                lambda: self.sent - 1 in numbers_in(read_whole_chunks(self._segments[-1])),
                'the last message on the disk',
            )
        self.recorder.make('deactivate')
        assert self.recorder.state() == 'inactive'
        self.recorder.wait_for_ok('disk')

    # --- what must hold --------------------------------------------------------------------

    def check_stored(self) -> None:
        """Check that all that lay on the disk before the last spell is there."""
        for path, content in self._stored.items():
            assert path.read_bytes().startswith(content), f'{path.name} has lost bytes'

    def told(self) -> list[tuple[str, bool]]:
        """
        Return what the ground was told at once of the disk: code, raised or cleared.

        Meanwhile every summary is an ERROR, but for one that was made right before.
        """
        told: list[tuple[str, bool]] = []
        is_under_way = False
        for array in self._ground.arrays:
            first, *others = array.status
            is_failing = bool(told) and told[-1][1]
            if first.name == f'{self.recorder.name}: disk' and not others:
                code = next((code for code in _CODES if has_alert(first, code)), None)
                if code is None and is_failing:
                    told.append((told[-1][0], False))
                elif code is not None and not (is_failing and is_about_low_space(first)):
                    told.append((code, True))
                    is_under_way = True
            elif first.name == f'{self.recorder.name}: summary' and is_failing:
                assert first.level == DiagnosticStatus.ERROR or is_under_way, first
                is_under_way = False
        return told

    def check(self) -> int:
        """
        Check what was told, and the flight, once the recorder has ended.

        A flight that was closed while the disk was full may be complete: there is the reserve.

        Returns:
            How many messages are not in it.

        """
        told = self.told()
        wanted = [(code, is_on) for code in self.codes for is_on in (True, False)]
        assert told == wanted, f'{told} instead of {wanted}'
        assert {goal for start, goal in self.recorder.events if start == 'active'} == {
            'deactivating'
        }
        log = self.recorder.log
        assert log.count('recording is suspended') == len(self.codes), log
        assert 'Traceback' not in log, log
        path = self.recorder.flights()[-1]
        self.check_stored()
        assert recover(path) == []
        result = verify(path)
        assert result.verdict is not Verdict.DAMAGED, str(result)
        files = open_flight_files(path)
        footer = files.payloads(FlightFooter)[-1]
        is_complete = footer.clean_shutdown
        assert is_complete or self.ended_in_spell
        if is_complete:
            read_flight(path)
        assert footer.bytes_written == files.size + footer.bytes_dropped
        spells = self.codes if is_complete else self.codes[:-1]
        alerts = [item for item in files.payloads(AlertRecord) if item.code in _CODES]
        recorded = [(code, is_on) for code in spells for is_on in (True, False)]
        if is_complete and self.ended_in_spell and len(alerts) < len(recorded):
            recorded.pop()  # it ended with the flight; else the disk took the end, and it was over
        assert [(item.code, item.raised) for item in alerts] == recorded, alerts
        errors = files.payloads(WriteError)
        assert len(errors) == len(spells)
        assert sum(item.records for item in errors) == footer.records_dropped_write_error
        numbers = numbers_in(files.messages)
        assert numbers == sorted(set(numbers)), 'out of order, or twice'
        (account,) = (item for item in footer.producers if item.topic == TOPIC)
        assert account.written == len(numbers)
        assert account.dropped_overrun == 0
        arrived = account.offered + account.lost_transport
        assert arrived == self.sent or (self.ended_in_spell and arrived < self.sent)
        return self.sent - len(numbers)


def is_about_low_space(status: DiagnosticStatus) -> bool:
    """Tell whether a status of the disk may have come because `disk_low` began or ended."""
    return has_alert(status, 'disk_low') or status.message.startswith('disk_low over')


def numbers_in(messages: Iterable[Message]) -> list[int]:
    """Return the numbers of the load's messages: CDR header, length, number, blank, filler."""
    return [int(item.data[8:].split(b' ')[0]) for item in messages if item.topic == TOPIC]


@contextmanager
def failing_disk_flight(directory: Path, **options: object) -> Iterator[FailingDiskFlight]:
    """
    Begin a flight on a small file system.

    Args:
        directory: Empty.
        options: ROS parameters of the recorder, a dot written as two underscores.

    """
    shim, refusal = directory / 'shim', directory / 'refusal'
    shim.mkdir()
    (shim / 'sitecustomize.py').write_text(_SHIM)
    environment = {'PYTHONPATH': str(shim), 'REFUSAL': str(refusal)}
    options = {'topics': [TOPIC], 'writer__chunk_size_bytes': 16 << 10, **options}
    with (
        mounted_tmpfs(directory / 'disk', DISK_BYTES) as disk,
        own_ground() as ground,
        RecorderProcess(ground, directory, disk, environment=environment, **options) as recorder,
        PublisherProcess(ground, directory, TOPIC, depth=5000, size=500) as publisher,
    ):
        recorder.make('configure', 'activate')
        publisher.hear()  # it has met the recorder
        yield FailingDiskFlight(recorder, publisher, refusal)
