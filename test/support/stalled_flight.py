# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A flight of a recorder process whose disk can be made to stop answering."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
import time
from typing import Any

from fdr_recorder.flights.verify import Verdict, verify
from flight_check import open_flight_files
from ground import own_ground
from recorder_process import RecorderProcess
from slow_disk import SlowDisk
from std_msgs.msg import String

TOPIC = '/load'


class StalledFlight:
    """A recorder whose disk can be made to hang, and a publisher."""

    def __init__(self, recorder: RecorderProcess, disk: SlowDisk) -> None:
        self.recorder, self.disk, self.ground = recorder, disk, recorder.ground
        self.sent = count()

    @cached_property
    def publisher(self) -> Any:
        return self.ground.publisher(String, TOPIC)

    def load_until(self, condition: object, what: str) -> None:
        """Publish until a condition is true."""
        assert callable(condition)

        def loaded() -> bool:
            for _ in range(10):
                self.publisher.publish(String(data=str(next(self.sent))))
            return bool(condition())

        self.ground.wait_until(loaded, what)

    def told(self) -> list[bool]:
        """Return what the ground was told at once of the stall: raised or cleared."""
        said = [
            (status.message, [item.key for item in status.values])
            for status in self.recorder.at_once('disk')
        ]
        return [
            'disk_stalled' in keys
            for message, keys in said
            if 'disk_stalled' in keys or 'disk_stalled over' in message
        ]

    def is_stored(self) -> bool:
        return bool(self.recorder.flights()) and self.recorder.stored(TOPIC) > 0

    def stall(self, *calls: str) -> float:
        """Let calls hang; return for how long (seconds) until the ground was told."""
        before = len(self.told())
        self.disk.hang(*calls)
        since = time.monotonic()
        self.load_until(lambda: len(self.told()) > before, 'the alert disk_stalled')
        assert self.told()[-1]
        return time.monotonic() - since

    def go_on(self) -> None:
        """Let the disk answer again; wait until the ground is told, and messages come in."""
        self.disk.answer()
        self.load_until(lambda: not self.told()[-1], 'the end of the alert')


@contextmanager
def stalled_flight(
    directory: Path,
    *transitions: str,
    environment: Mapping[str, str] | None = None,
    **options: object,
) -> Iterator[StalledFlight]:
    """Start a recorder, make transitions, and lend it; `options` are parameters."""
    root = directory / 'flights'
    root.mkdir()
    disk = SlowDisk(directory, root)
    with own_ground() as ground:
        recorder = RecorderProcess(
            ground,
            directory,
            root,
            environment=disk.environment | (environment or {}),
            **{
                'topics': [TOPIC],
                'ring__max_records': 400,
                'writer__sync_interval_s': 0.5,
                **options,
            },
        )
        try:
            with recorder:
                recorder.make(*transitions)
                flight = StalledFlight(recorder, disk)
                if 'activate' in transitions:
                    flight.load_until(flight.is_stored, 'messages on the disk')
                yield flight
        finally:
            disk.answer()


def check(flight: StalledFlight) -> int:
    """Check that each message is in the flight or counted by its cause; return the refused."""
    (path,) = flight.recorder.flights()
    assert verify(path).verdict in (Verdict.COMPLETE, Verdict.LOSSES)
    files = open_flight_files(path)
    footer = files.footer
    stored = len(files.of_topic(TOPIC))
    (account,) = [producer for producer in footer.producers if producer.topic == TOPIC]
    assert footer.clean_shutdown
    assert stored == account.written
    assert account.offered == account.written + account.dropped_overrun
    assert account.offered + account.lost_transport == next(flight.sent)
    return int(account.dropped_overrun)
