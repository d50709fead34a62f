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

The writer submits one job at a time, goes on writing, and takes the outcome later. What becomes
due meanwhile makes up the next job: a slow disk gets fewer jobs, not a growing queue of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
import queue
import threading

from fdr_recorder.storage.bag_metadata import FILE_NAME
from fdr_recorder.storage.files import replace_file, sync_directory
from fdr_recorder.storage.segment import Segment


@dataclass(frozen=True)
class SyncJob:
    """
    What to force to the disk, in this order; nothing is done after a step that fails.

    Attributes:
        directory: The flight's directory.
        ended: Segments whose summary is written, oldest first: forced to the disk with their
            names, and closed.
        open: The open segment: forced to the disk as far as it is written.
        names: Whether names in the directory are new.
        metadata: The text of a new `metadata.yaml`, in pieces; empty if it stays.
        unlink: Files of dropped segments to remove, which `metadata.yaml` no longer names.

    """

    directory: Path
    ended: tuple[Segment, ...] = ()
    open: Segment | None = None
    names: bool = False
    metadata: Sequence[bytes] = ()
    unlink: tuple[str, ...] = ()


@dataclass(frozen=True)
class SyncOutcome:
    """
    How far a job has come.

    Attributes:
        job: The job.
        ended: How many of its ended segments were closed.
        is_data_durable: Whether all of its segments and their names are on the disk.
        is_metadata_durable: Whether `metadata.yaml` was renewed, if the job had one.
        unlinked: How many files were removed.
        error: The error that ended the job early; None if it was completed.

    """

    job: SyncJob
    ended: int = 0
    is_data_durable: bool = False
    is_metadata_durable: bool = False
    unlinked: int = 0
    error: BaseException | None = None


def perform(job: SyncJob) -> SyncOutcome:
    """Do a job, as far as the disk allows."""
    outcome = SyncOutcome(job)
    try:
        for segment in job.ended:
            segment.sync()
            sync_directory(job.directory)
            segment.close()
            outcome = replace(outcome, ended=outcome.ended + 1)
        if job.open is not None:
            job.open.sync()
        if job.names and not job.ended:
            sync_directory(job.directory)
        outcome = replace(outcome, is_data_durable=True)
        if job.metadata:
            replace_file(job.directory / FILE_NAME, job.metadata)
            outcome = replace(outcome, is_metadata_durable=True)
        for name in job.unlink:
            (job.directory / name).unlink(missing_ok=True)
            outcome = replace(outcome, unlinked=outcome.unlinked + 1)
            sync_directory(job.directory)  # after each: a power cut must not leave a hole
    except BaseException as error:  # the writer decides what to do
        outcome = replace(outcome, error=error)
    return outcome


class Syncer:
    """A thread that does one `SyncJob` after another. Used by the writer's thread alone."""

    def __init__(self) -> None:
        """Start the thread."""
        self.is_busy = False
        """Whether there is a job whose outcome was not taken yet."""
        self._jobs: queue.SimpleQueue[SyncJob | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[SyncOutcome] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name='fdr_syncer', daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._outcomes.put(perform(job))

    def submit(self, job: SyncJob) -> None:
        """Begin a job; the one before must be done, and its outcome taken."""
        assert not self.is_busy
        self.is_busy = True
        self._jobs.put(job)

    def take_outcome(self, *, wait: bool) -> SyncOutcome | None:
        """
        Return the outcome of the job, or None if there is no job, or it is not done yet.

        Args:
            wait: Wait until it is done.

        """
        if not self.is_busy:
            return None
        try:
            outcome = self._outcomes.get(block=wait)
        except queue.Empty:
            return None
        self.is_busy = False
        return outcome

    def stop(self) -> None:
        """Finish the job, and end the thread."""
        self._jobs.put(None)
        self._thread.join()
