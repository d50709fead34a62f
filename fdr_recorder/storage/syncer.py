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
Forcing data to the disk, in a thread of its own: `fsync` may take seconds on a worn card.

The writer submits one job at a time, goes on writing, and takes it back later. What becomes
due meanwhile makes up the next job: a slow disk gets fewer jobs, not a growing queue of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from pathlib import Path
import queue
import threading

from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.seal.sidecars import SEALS_NAME
from fdr_recorder.storage.bag_metadata import FILE_NAME
from fdr_recorder.storage.disk_pulse import DiskPulse
from fdr_recorder.storage.flight_directory import FlightDirectory
from fdr_recorder.storage.pins import PINS_NAME
from fdr_recorder.storage.segment import Segment


@dataclass(eq=False)
class SyncJob:
    """
    What to force to the disk, in this order; nothing is done after a step that fails.

    Attributes:
        directory: The flight's directory; used by its descriptor.
        ended: Segments whose summary is written, oldest first: forced to the disk with their
            names, and closed.
        open: The open segment: forced to the disk as far as it is written.
        names: Whether names in the directory are new.
        seals: What to append to SEALS, before `metadata.yaml` is renewed.
        metadata: The text of a new `metadata.yaml`, in pieces; empty if it stays.
        sums: The lines of segments in SHA256SUMS, which is renewed with it.
        pins: The text of a new PINS; empty if it stays.
        unlink: Files of dropped segments to remove, which `metadata.yaml` no longer names.
        look: Whether to list the names in the directory.
        newest_listed: Number of the newest segment that is listed as closed.
        is_checked: Whether segments are read back, see `UnsyncedTail.sync`.
        closed: How many of the ended segments were closed.
        confirmed: Errors of syncs that failed, where nothing was lost: what they covered was read
            back from the disk, and the next sync succeeded.
        is_data_durable: Whether all segments and their names are on the disk.
        are_pins_durable: Whether PINS was renewed.
        kept_seals: How many of the seals were appended.
        is_metadata_durable: Whether `metadata.yaml` was renewed.
        unlinked: How many files were removed.
        error: The error that ended the job early.
        place: Where the directory is; None if it is gone, and then nothing was done.
        is_open_unlinked: Whether the file of the open segment has lost its name.
        found: The names in the directory, if they were listed.

    """

    directory: FlightDirectory
    ended: Sequence[Segment] = ()
    open: Segment | None = None
    names: bool = False
    seals: Sequence[bytes] = ()
    metadata: Sequence[bytes] = ()
    sums: Sequence[bytes] = ()
    pins: bytes = b''
    unlink: Sequence[str] = ()
    is_checked: bool = False
    look: bool = False
    newest_listed: int = -1

    closed: int = 0
    confirmed: list[OSError] = field(default_factory=list)
    is_data_durable: bool = False
    are_pins_durable: bool = False
    kept_seals: int = 0
    is_metadata_durable: bool = False
    unlinked: int = 0
    error: BaseException | None = None
    place: Path | None = None
    is_open_unlinked: bool = False
    found: frozenset[str] | None = None

    def perform(self, step: Callable[[str], None]) -> None:
        """Do the job, as far as the disk allows; tell each step before it."""
        try:
            step('looking for the directory')
            self.place = self.directory.where()
            if self.place is None:
                return
            self.is_open_unlinked = self.open is not None and self.open.is_unlinked
            is_unlinked = any(segment.is_unlinked for segment in self.ended)
            if self.look or self.is_open_unlinked or is_unlinked:
                self.found = self.directory.names()
            for segment in self.ended:
                step(f'sync of {segment.name}')
                self._sync(segment)
                step('sync of the directory')
                self.directory.sync()
                segment.close()
                self.closed += 1
            if self.open is not None:
                step(f'sync of {self.open.name}')
                self._sync(self.open)
            if self.names and not self.ended:
                step('sync of the directory')
                self.directory.sync()
            self.is_data_durable = True
            if self.pins:
                step(f'renewing {PINS_NAME}')
                self.directory.replace_pins(self.pins)
                self.are_pins_durable = True
            if self.seals:
                step(f'renewing {SEALS_NAME}')
                self.directory.keep_seals(self.seals)
                self.kept_seals = len(self.seals)
            if self.metadata:
                step(f'renewing {FILE_NAME}')
                self.directory.replace_metadata(self.metadata, self.sums)
                self.is_metadata_durable = True
            for name in self.unlink:
                step(f'removing {name}')
                self.directory.unlink(name)  # one by one: a power cut must not leave a hole
                self.unlinked += 1
        except BaseException as error:  # the writer decides what to do
            self.error = error

    def _sync(self, segment: Segment) -> None:
        confirmed = segment.sync(is_checked=self.is_checked)
        if confirmed is not None:
            self.confirmed.append(confirmed)


class Syncer:
    """A thread that does one `SyncJob` after another. Used by the writer's thread alone."""

    def __init__(self, pulse: DiskPulse) -> None:
        """Start the thread; `pulse` shows what it does."""
        self._pulse = pulse
        self.is_busy = False
        """Whether there is a job that was not taken back yet."""
        self._jobs: queue.SimpleQueue[SyncJob | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[SyncJob] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name='fdr_syncer', daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.perform(self._pulse.step)
            self._pulse.rest()
            self._done.put(job)

    def submit(self, job: SyncJob) -> None:
        """Begin a job; the one before must have been taken back."""
        assert not self.is_busy
        self.is_busy = True
        self._jobs.put(job)

    def take_back(self, *, wait: bool) -> SyncJob | None:
        """Return the job if it is done, or `wait` until it is; None if there is none to return."""
        if not self.is_busy:
            return None
        with self._pulse.resting():
            try:
                job = self._done.get(block=wait)
            except queue.Empty:
                return None
        self.is_busy = False
        return job

    def stop(self) -> None:
        """Finish the job, and end the thread."""
        self._jobs.put(None)
        with self._pulse.resting():
            self._thread.join()
