# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The writer: the one consumer of all rings, the one thread that touches segment files."""

from __future__ import annotations

from concurrent.futures import wait
import logging
from pathlib import Path
import threading
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.config import CLOCK_STEP_S, FdrWriterConfig
from fdr_recorder.errors import (
    DiskStalledError,
    FlightNotOpenError,
    WriterAlreadyStartedError,
    WriterFailedError,
    WriterNotStartedError,
)
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.kinds import FlightHeader, SegmentRollover
from fdr_recorder.record.payload import Payload
from fdr_recorder.storage.calls import Call, Calls
from fdr_recorder.storage.clients import Clients
from fdr_recorder.storage.disk_pulse import DiskPulse, StallWatch, WRITING
from fdr_recorder.storage.drain import Drain, WriterStatus
from fdr_recorder.storage.flight_directory import check_flight_id
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.footer import FlightSummary
from fdr_recorder.storage.pinning import NO_PIN_RULES, PinRules
from fdr_recorder.storage.preroll import Preroll
from fdr_recorder.storage.rotation import RotationHook

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 2.0
"""Callers wait for a disk that has not answered for so long, and no longer."""
PATIENCE_INTERVAL_S: Final = 0.1


class FileFdrWriter:
    """
    Drains the rings of all registered clients into the segments of a flight.

    `start`, `open_flight`, `close_flight` and `stop` may be called from any thread, one at a
    time; `register`, `retire`, `wake` and `emit` from any thread at any time. All file work is
    done in the writer's own thread. A `with` block starts the writer and stops it at its end.

    Example:
        >>> with FileFdrWriter('/data/flights') as writer:
        ...     writer.register(client)
        ...     writer.open_flight(FlightHeader(flight_id='first'))
        ...     client.enqueue(cdr_bytes)
        ...     writer.close_flight('first').footer.records_written
        True
        3

    """

    def __init__(
        self,
        root: FlightRoot | Path | str,
        config: FdrWriterConfig | None = None,
        *,
        alerts: AlertBoard | None = None,
        on_rotation: RotationHook | None = None,
        preroll_s: float = 0.0,
        clock_step_s: float = CLOCK_STEP_S,
        pin_rules: PinRules = NO_PIN_RULES,
    ) -> None:
        """
        Create a writer that is not started.

        Args:
            root: The flight root. A path is locked by `start` and released by `stop`; a root that
                is owned already stays with its owner.
            config: Sizes, intervals and limits.
            alerts: The board on which faults are raised; by default the writer's own.
            on_rotation: Called in the writer's thread with every segment that was closed because
                it was full. May be set later, before a flight is opened.
            preroll_s: While the writer is started and no flight is open, rings keep the records
                of this many last seconds, as far as they have room: a flight begins with them.
                Rings of latched channels do not: flights begin with the last message of each.
            clock_step_s: By how much the system clock must be set for a record and an alert.
            pin_rules: Which alerts pin the segments around them, and for how long.

        """
        self.alerts = alerts or AlertBoard()
        self.on_rotation = on_rotation
        self._root = root if isinstance(root, FlightRoot) else None
        self._own_root = None if isinstance(root, FlightRoot) else root
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._watch: StallWatch | None = None
        self._must_stop = threading.Event()
        self.is_stopping = False
        """Whether `stop` has given up waiting for a thread that hangs: it ends as it gets on."""
        self._calls = Calls(self._failed)
        preroll = Preroll(preroll_s) if preroll_s > 0 else None
        self._clients = Clients(self._calls.wake, has_preroll=preroll is not None)
        self.wake = self._clients.wake_writer
        """Has the writer look at the rings soon, while a flight is open; any thread."""
        self._drain = Drain(
            config or FdrWriterConfig(),
            self.alerts,
            self._clients,
            preroll,
            clock_step_s,
            pin_rules,
        )

    # --- life ----------------------------------------------------------------------------

    @property
    def config(self) -> FdrWriterConfig:
        """Return the configuration; `apply` replaces it."""
        return self._drain.config

    @property
    def status(self) -> WriterStatus:
        """Return what the writer is doing; never waits for the disk. Any thread."""
        return self._drain.status.now(self._clients.all(), self._stall)

    @property
    def _stall(self) -> tuple[float, str]:
        return self._root.pulse.stall if self._root is not None else (0.0, '')

    @property
    def is_started(self) -> bool:
        """Whether the writer's thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def open_flight_id(self) -> str | None:
        """Return the id of the open flight; None if there is none."""
        recording = self._drain.recording
        return recording.header.flight_id if recording is not None else None

    def start(self) -> None:
        """
        Take the flight root and start the thread.

        Raises:
            WriterAlreadyStartedError: It runs already.
            DiskStalledError: It is to stop, and still hangs.
            FlightRootError: The root is missing, not a directory, read-only, or locked.

        """
        if self.is_started and not self.is_stopping:
            raise WriterAlreadyStartedError
        self.stop()  # a thread that has ended by itself, or that hung when it was to end
        if self._own_root is not None:
            self._root = FlightRoot.acquire(self._own_root)
        assert self._root is not None
        self.alerts.clear('writer_failed', 'the writer is started again')
        self._must_stop.clear()
        self._failure = None
        self._clients.listen()
        self._thread = threading.Thread(
            target=self._run, args=[self._root.pulse], name='fdr_writer', daemon=True
        )
        self._thread.start()
        self._watch = StallWatch(self._root.pulse, self.alerts, self._clients.all)

    def stop(self) -> None:
        """
        End the thread and release the flight root. Idempotent.

        This does not close an open flight: that gets no footer, though all records in the rings
        are written and its segments are complete.

        Raises:
            DiskStalledError: The disk does not answer. The thread ends once it does; until then,
                the root stays locked.

        """
        thread = self._thread
        if thread is None:
            return
        self.is_stopping = True
        self._calls.post(self._must_stop.set)
        while thread.is_alive():
            thread.join(PATIENCE_INTERVAL_S)
            self._check_patience('the writer ends')
        self._calls.refuse()  # a thread that had failed left the one above
        self._thread, self.is_stopping = None, False
        if self._watch is not None:
            self._watch.stop()
        if self._own_root is not None and self._root is not None:
            self._root.release()
            self._root = None

    def __enter__(self) -> FileFdrWriter:
        """Start the writer; return it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the writer; an open flight is not closed by this, see `stop`."""
        self.stop()

    def _run(self, pulse: DiskPulse) -> None:
        drain = self._drain
        try:
            while not self._must_stop.is_set():
                pulse.step(WRITING)
                is_busy = drain.round()
                is_idle = drain.recording is None and not self._clients.is_listening
                rest_s = None if is_idle else drain.rest_s
                pulse.rest()
                self._calls.make_next(0 if is_busy else rest_s, pulse)
            pulse.step(WRITING)
            drain.abandon()
        except BaseException as error:
            logger.exception('the writer thread has failed; recording has ended')
            self._failure = error
            self.alerts.raise_alert('writer_failed', f'recording has ended: {error!r}')
            drain.abort()  # may hang
        finally:
            pulse.rest()
            drain.publish_status()
            self._calls.refuse()

    def _call(self, call: Call, promise: str) -> FlightSummary | None:
        """
        Have the writer's thread make a call, and wait for it.

        Raises:
            DiskStalledError: The disk does not answer; it says that the `promise` will be kept.

        """
        result = self._calls.post(call)
        while True:
            if not self.is_started:
                self._calls.refuse()
            if wait([result], PATIENCE_INTERVAL_S).done:
                return result.result()
            self._check_patience(promise)

    def _check_patience(self, promise: str) -> None:
        """Raise `DiskStalledError` if the disk has not answered for long."""
        stalled_s, _ = self._stall
        if self._root is not None and stalled_s > PATIENCE_S:
            raise DiskStalledError(self._root.path, stalled_s, promise)

    def _failed(self, failure: BaseException | None) -> Exception:
        """Return why the thread makes no call."""
        self._failure = failure or self._failure
        error = WriterFailedError(self._failure) if self._failure else WriterNotStartedError()
        error.__cause__ = self._failure
        return error

    # --- flights -------------------------------------------------------------------------

    def open_flight(self, header: FlightHeader) -> None:
        """
        Begin a flight; when this returns, its header is on the disk and rings are open.

        Raises:
            WriterNotStartedError: `start` was not called.
            FlightAlreadyOpenError: Another flight is open.
            FlightIdInvalidError: The header's flight id is not a valid name.
            FlightExistsError: A flight of that id exists.
            FlightStorageError: The file system refuses, or is full.
            DiskStalledError: The disk does not answer. A flight that begins later, when it does,
                is closed at once.
            WriterFailedError: An error has ended the thread.

        """
        if self._thread is None:
            raise WriterNotStartedError
        check_flight_id(header.flight_id)
        root = self._root
        assert root is not None
        self._check_patience('a flight can begin')  # else each try would begin one later
        flight_id = header.flight_id
        try:
            self._call(
                lambda: self._drain.open(root, header, self.on_rotation),
                f'flight {flight_id} is begun and closed',
            )
        except DiskStalledError:
            self._calls.post(lambda: self._drain.close(flight_id))
            raise

    def close_flight(self, flight_id: str) -> FlightSummary:
        """
        Close and drain the rings, write the footer and close the last segment.

        For the flight that was closed last, this returns the same summary again.

        Raises:
            FlightNotOpenError: No flight is open.
            FlightIdMismatchError: Another flight is open.
            DiskStalledError: The disk does not answer. The flight is closed once it does; call
                again to get its summary then.
            WriterFailedError: An error has ended the thread.

        """
        if self._thread is None:
            return self._drain.last_summary(flight_id)
        promise = f'flight {flight_id} is closed'
        summary = self._call(lambda: self._drain.close(flight_id), promise)
        assert summary is not None
        return summary

    def apply(self, config: FdrWriterConfig) -> None:
        """
        Apply other limits from now on, in the open flight too; any thread.

        Args:
            config: May differ in `flight_cap_bytes`, `min_free_bytes`, `on_low_space` and
                `debug_log_per_record`.

        """
        self._drain.apply(config)

    def split(self) -> None:
        """
        Close the open segment and begin the next, if the open one holds data. Does not wait.

        Raises:
            FlightNotOpenError: No flight is open.

        """
        if self._drain.recording is None:
            raise FlightNotOpenError('')

        def split() -> None:
            if self._drain.recording is not None:
                self._drain.recording.split()

        self._calls.post(split)

    def pin(
        self, why: str, *, before_s: float | None = None, after_s: float | None = None
    ) -> None:
        """
        Pin the open flight from before to after this moment; any thread. Does not wait.

        No cap drops the segments that overlap that time, nor does a disk with little space.

        Args:
            why: For people, in the flight and after it.
            before_s: How long before; as configured by default. Seconds.
            after_s: How long after; likewise.

        Raises:
            FlightNotOpenError: No flight is open.

        """
        recording = self._drain.recording
        if recording is None:
            raise FlightNotOpenError('')
        recording.pinning.ask(why, before_s, after_s)

    # --- producers -----------------------------------------------------------------------

    def register(self, client: FdrClient) -> None:
        """
        Begin to drain a client's ring. Does not wait for the writer.

        Raises:
            ClientError: It is registered, or another client of the same channel is.

        """
        self._clients.register(client)

    def retire(self, client: FdrClient) -> None:
        """
        Accept no more records from a client; those in its ring are still written. Does not wait.

        Raises:
            ClientError: It is not registered.

        """
        self._clients.retire(client)

    def resume(self, client: FdrClient) -> bool:
        """
        Drain a retired client's ring again: its producer was lost and is found. Does not wait.

        Within a flight it goes on with the account that it had, and losses that it counts from
        now on, those of its absence included, belong to that flight.

        Returns:
            False if nothing was done because the open flight has no account of it: it was not
            heard in this flight. Register another client then.

        """

        def has_account(channel: Channel) -> bool:
            recording = self._drain.recording
            return recording is not None and recording.log.ledger.has_account(channel)

        return self._clients.resume(client, has_account)

    def emit(self, payload: Payload) -> None:
        """Write one of the recorder's own records; ignored while no flight is open."""
        recording = self._drain.recording
        if recording is not None:
            recording.emit(payload)

    # --- for policies, inside on_rotation ------------------------------------------------

    @property
    def closed_segments(self) -> int:
        """Count the closed segments of the open flight that were not dropped."""
        recording = self._drain.recording
        return recording.closed_segments if recording is not None else 0

    @property
    def droppable_segments(self) -> int:
        """Count the closed segments of the open flight that pins let go, the newest included."""
        recording = self._drain.recording
        return recording.droppable_segments if recording is not None else 0

    @property
    def total_bytes(self) -> int:
        """Size of all segments of the open flight that were not dropped."""
        recording = self._drain.recording
        return recording.total_bytes if recording is not None else 0

    @property
    def root_allowance(self) -> int | None:
        """Return what `root_cap_bytes` leaves for the open flight; None if that is no limit."""
        recording = self._drain.recording
        return recording.keeper.allowance if recording is not None else None

    def drop_oldest_segment(self, cap_bytes: int) -> SegmentRollover:
        """
        Drop the oldest closed segment that is not pinned, and record the drop.

        Raises `FlightNotOpenError`, or `NothingToDropError` if there is none.
        """
        recording = self._drain.recording
        if recording is None:
            raise FlightNotOpenError('')
        return recording.drop_oldest_segment(cap_bytes)
