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

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
import logging
from pathlib import Path
import queue
import threading
import time
from typing import Final, Generic, TypeVar

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.config import FdrWriterConfig
from fdr_recorder.errors import (
    ClientError,
    FlightAlreadyOpenError,
    FlightIdMismatchError,
    FlightNotOpenError,
    WriterAlreadyStartedError,
    WriterFailedError,
    WriterNotStartedError,
)
from fdr_recorder.record.kinds import FlightHeader, Payload, SegmentRollover
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.counters import FlightCounters, ProducerAccount
from fdr_recorder.storage.flight_id import check_flight_id
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.preroll import Preroll
from fdr_recorder.storage.recording import FlightRecording, FlightSummary, RotationHook

logger = logging.getLogger(__name__)

_T = TypeVar('_T')

POLL_INTERVAL_S: Final = 0.15
"""How long the thread rests when the rings are empty. Records do not wake it, for that would cost
more than writing them; a ring that is half full does."""
POLL_SHARE: Final = 0.6
"""The same as a share of `flush_interval_s`, at most. A record waits so long in its ring."""
BATCH_BYTES: Final = 8 * 1024 * 1024
"""No more is taken from a ring at a time: what is taken must be in the file within
`flush_interval_s`, and the next ring has its turn."""
STATUS_INTERVAL_S: Final = 0.2
SETTLE_DEADLINE_S: Final = 1.0
"""A producer needs microseconds to return from `enqueue`; one that never does was killed."""


@dataclass(frozen=True)
class WriterStatus:
    """
    What the writer is doing, for displays; replaced as a whole several times a second.

    Attributes:
        flight_id: The open flight; empty if there is none.
        path: Its directory.
        segment_index: Number of the newest segment.
        segments: Closed segments that are there.
        total_bytes: Size of all segments that are there.
        counters: The flight's counters; of the last flight, if none is open.
        is_degraded: Whether the disk refuses data.
        ring_fill: The fullest ring: 0 to 1.
        producers: Registered clients.

    """

    flight_id: str = ''
    path: Path | None = None
    segment_index: int = 0
    segments: int = 0
    total_bytes: int = 0
    counters: FlightCounters = field(default_factory=FlightCounters)
    is_degraded: bool = False
    ring_fill: float = 0.0
    producers: int = 0


@dataclass(frozen=True)
class _Command(Generic[_T]):
    """A call that the writer's thread makes for another thread."""

    call: Callable[[], _T]
    result: Future[_T]


class FileFdrWriter:
    """
    Drains the rings of all registered clients into the segments of a flight.

    `start`, `open_flight`, `close_flight` and `stop` may be called from any thread, one at a
    time; `register`, `retire` and `emit` from any thread at any time. All file work is done in
    the writer's own thread.

    Example:
        >>> writer = FileFdrWriter('/data/flights')
        >>> writer.start()
        >>> writer.register(client)
        >>> writer.open_flight(FlightHeader(flight_id='first'))
        >>> client.enqueue(cdr_bytes)
        True
        >>> writer.close_flight('first').footer.records_written
        3
        >>> writer.stop()

    """

    def __init__(
        self,
        root: FlightRoot | Path | str,
        config: FdrWriterConfig | None = None,
        *,
        alerts: AlertBoard | None = None,
        on_rotation: RotationHook | None = None,
        preroll_s: float = 0.0,
    ) -> None:
        """
        Make a writer that is not started.

        Args:
            root: The flight root. A path is locked by `start` and given back by `stop`; one that
                is owned already stays with its owner.
            config: Sizes, intervals and limits.
            alerts: Where faults are raised; a board of the writer's own, if not given.
            on_rotation: Called in the writer's thread with every segment that was closed because
                it was full. May be set later, before a flight is opened.
            preroll_s: While the writer is started and no flight is open, rings keep what came in
                the last so many seconds, as far as they have room: a flight begins with it. Those
                of latched channels do not: flights begin with the last message of each anyway.

        """
        self.config = config or FdrWriterConfig()
        self.alerts = alerts or AlertBoard()
        self.on_rotation = on_rotation
        self.status = WriterStatus()
        """What it is doing; replaced as a whole by the writer's thread."""
        self._root_path = root.path if isinstance(root, FlightRoot) else Path(root)
        self._root = root if isinstance(root, FlightRoot) else None
        self._owns_root = not isinstance(root, FlightRoot)
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._commands: queue.SimpleQueue[_Command[FlightSummary | None] | None]
        self._commands = queue.SimpleQueue()
        self._must_stop = False
        self._recording: FlightRecording | None = None
        self._last_summary: FlightSummary | None = None

        self._clients_lock = threading.Lock()
        """Guards the four below and the opening and shutting of rings; never held for long."""
        self._clients: tuple[FdrClient, ...] = ()
        self._retiring: list[FdrClient] = []
        self._is_recording = False
        self._is_listening = False
        """Whether rings keep a pre-roll while no flight is open."""
        self._preroll = Preroll(preroll_s) if preroll_s > 0 else None

        self._accounts: dict[FdrClient, ProducerAccount] = {}
        self._batch_bytes = min(BATCH_BYTES, self.config.segment_size_bytes)
        self._poll_interval_s = min(
            POLL_INTERVAL_S, self.config.flush_interval_s * POLL_SHARE
        )
        self._status_at = 0.0

    # --- life ----------------------------------------------------------------------------

    @property
    def is_started(self) -> bool:
        """Whether the writer's thread runs."""
        return self._thread is not None

    @property
    def open_flight_id(self) -> str | None:
        """Return the open flight."""
        recording = self._recording
        return recording.header.flight_id if recording is not None else None

    def start(self) -> None:
        """
        Take the flight root and start the thread.

        Raises:
            WriterAlreadyStartedError: It runs.
            FlightRootError: The root is missing, no directory, read-only, or locked.

        """
        if self._thread is not None:
            raise WriterAlreadyStartedError
        if self._owns_root:
            self._root = FlightRoot.acquire(self._root_path)
        self.alerts.clear('writer_failed', 'the writer is started again')
        self._must_stop = False
        self._failure = None
        self._listen()
        self._thread = threading.Thread(target=self._run, name='fdr_writer', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """
        End the thread and give the flight root back. Idempotent.

        A flight that is open is not closed by this: it gets no footer, though all that the rings
        held is written and its segments are complete.
        """
        thread = self._thread
        if thread is None:
            return

        def stop() -> None:
            self._must_stop = True

        self._commands.put(_Command(stop, Future()))
        thread.join()
        self._refuse_commands()  # a thread that had failed left the one above
        self._thread = None
        if self._owns_root and self._root is not None:
            self._root.release()
            self._root = None

    def open_flight(self, header: FlightHeader) -> None:
        """
        Begin a flight; when this returns its header is on the disk and rings are open.

        Raises:
            WriterNotStartedError: `start` was not called.
            FlightAlreadyOpenError: Another flight is open.
            FlightIdInvalidError: The header's flight id cannot be a name.
            FlightExistsError: There is a flight of that id.
            FlightStorageError: The file system refuses, or is full.
            WriterFailedError: The thread ended by an error.

        """
        if self._thread is None:
            raise WriterNotStartedError
        check_flight_id(header.flight_id)
        self._do(lambda: self._open(header))

    def close_flight(self, flight_id: str) -> FlightSummary:
        """
        Shut and drain the rings, write the footer and seal the last segment.

        Closing the flight that was closed last once more returns the same summary.

        Raises:
            FlightNotOpenError: No flight is open.
            FlightIdMismatchError: Another flight is open.
            WriterFailedError: The thread ended by an error.

        """
        if self._thread is None:
            return self._closed_before(flight_id)
        summary = self._do(lambda: self._close(flight_id))
        assert summary is not None
        return summary

    def apply(self, config: FdrWriterConfig) -> None:
        """
        Go by other limits from now on, in the open flight too; any thread.

        Args:
            config: May differ in `min_free_bytes`, `on_low_space` and `debug_log_per_record`.

        """
        self.config = config
        recording = self._recording
        if recording is not None:
            recording.apply(config)

    def split(self) -> None:
        """
        Have the open segment closed and the next one begun, if it holds data. Does not wait.

        Raises:
            FlightNotOpenError: No flight is open.

        """
        if self._recording is None:
            raise FlightNotOpenError('')

        def split() -> None:
            if self._recording is not None:
                self._recording.split()

        self._commands.put(_Command(split, Future()))

    def _do(self, call: Callable[[], FlightSummary | None]) -> FlightSummary | None:
        """Have the writer's thread make a call, and wait for it."""
        result: Future[FlightSummary | None] = Future()
        self._commands.put(_Command(call, result))
        if self._failure is not None:
            self._refuse_commands()
        return result.result()

    # --- clients -------------------------------------------------------------------------

    def register(self, client: FdrClient) -> None:
        """
        Begin to drain a client's ring. Does not wait for the writer.

        Raises:
            ClientError: It is registered, or another client of the same channel is.

        """
        with self._clients_lock:
            if any(
                client.channel is other.channel for other in (*self._clients, *self._retiring)
            ):
                msg = f'a client of this channel of {client.channel.topic} is already registered'
                raise ClientError(msg)
            self._clients += (client,)
            client.ring.call_consumer = self._hurry
            client.ring.is_open = self._is_ready_for(client)

    def _hurry(self) -> None:
        """Have the thread look at the rings now, if it writes; any thread."""
        if self._is_recording:
            self._commands.put(None)

    def retire(self, client: FdrClient) -> None:
        """
        Take no more from a client; what its ring holds is still written. Does not wait.

        Raises:
            ClientError: It is not registered.

        """
        with self._clients_lock:
            if client not in self._clients:
                msg = f'the client of {client.channel.topic} is not registered'
                raise ClientError(msg)
            client.ring.is_open = False
            self._clients = tuple(other for other in self._clients if other is not client)
            if self._is_recording or self._is_listening:
                self._retiring.append(client)

    def _is_ready_for(self, client: FdrClient) -> bool:
        """Tell whether a client's ring should be open."""
        return self._is_recording or (self._is_listening and not client.channel.latched)

    def _listen(self) -> None:
        """Have no flight, but the rings keep a pre-roll if that is wanted."""
        with self._clients_lock:
            self._is_recording = False
            self._is_listening = self._preroll is not None
            for client in self._clients:
                client.ring.is_open = self._is_ready_for(client)

    def emit(self, payload: Payload) -> None:
        """Have one of the recorder's own records written; ignored while no flight is open."""
        recording = self._recording
        if recording is not None:
            recording.emit(payload)

    # --- for policies, inside on_rotation ------------------------------------------------

    @property
    def closed_segments(self) -> int:
        """Count the closed segments of the open flight that are there."""
        return self._recording.closed_segments if self._recording is not None else 0

    @property
    def total_bytes(self) -> int:
        """Size of all segments of the open flight that are there."""
        return self._recording.total_bytes if self._recording is not None else 0

    def drop_oldest_segment(self, cap_bytes: int) -> SegmentRollover:
        """
        Drop the oldest closed segment of the open flight, and record that.

        Raises:
            FlightNotOpenError: No flight is open.

        """
        if self._recording is None:
            raise FlightNotOpenError('')
        return self._recording.drop_oldest_segment(cap_bytes)

    # --- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._must_stop:
                self._obey(self._drain())
            self._shut_rings()
            if self._recording is not None:
                self._recording.abandon()
                self._recording = None
        except BaseException as error:
            logger.exception('the writer thread has failed; recording has ended')
            self._failure = error
            if self._recording is not None:
                self._recording.abort()
                self._recording = None
            self._shut_rings()
            self.alerts.raise_alert('writer_failed', f'recording has ended: {error!r}')
        finally:
            self._publish_status()
            self._refuse_commands()

    def _obey(self, is_busy: bool) -> None:
        """Make the calls that others asked for; rest a little if there is nothing to do."""
        is_idle = self._recording is None and not self._is_listening
        timeout = None if is_idle else self._poll_interval_s
        try:
            command = (
                self._commands.get_nowait() if is_busy else self._commands.get(timeout=timeout)
            )
        except queue.Empty:
            return
        if command is None:  # only to wake it
            return
        try:
            command.result.set_result(command.call())
        except Exception as error:  # handed to who asked
            command.result.set_exception(error)

    def _refuse_commands(self) -> None:
        """Answer whoever still waits for a thread that has ended."""
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            if command is None:
                continue
            error = WriterFailedError() if self._failure is not None else WriterNotStartedError()
            error.__cause__ = self._failure
            command.result.set_exception(error)

    def _drain(self) -> bool:
        """
        Take one batch from every ring, then do what time brings.

        Returns:
            True if some ring holds more than a batch.

        """
        recording = self._recording
        if recording is None:
            if self._preroll is not None:
                self._trim(self._preroll)
            return False
        batch_size, batch_bytes = self.config.batch_size, self._batch_bytes
        is_busy, accounts = False, self._accounts
        recording.keep_pace()
        for client in self._clients:
            ring = client.ring
            account = accounts.get(client)
            if account is None:
                if not len(ring):
                    continue
                account = self._account(recording, client)  # before anything is taken
            batch = ring.take(batch_size, batch_bytes)
            if not batch:
                continue
            if recording.write(account, batch):
                recording.keep_pace()
            is_busy = is_busy or len(batch) == batch_size or ring.bytes > batch_bytes
        if self._retiring:
            self._drain_retiring(recording)
        now = time.monotonic()
        recording.tick(now, 0.0 if is_busy else self._poll_interval_s)
        if now - self._status_at >= STATUS_INTERVAL_S:
            self._status_at = now
            self._publish_status()
        return is_busy

    def _trim(self, preroll: Preroll) -> None:
        """Keep the last seconds in the rings, also in those of clients that have left since."""
        with self._clients_lock:
            clients = (*self._clients, *self._retiring)
        preroll.trim(clients, time.time_ns())
        with self._clients_lock:
            self._retiring = [client for client in self._retiring if len(client.ring)]

    def _account(self, recording: FlightRecording, client: FdrClient) -> ProducerAccount:
        """Return the client's account; it gets one when its first records are taken."""
        account = self._accounts.get(client)
        if account is None:
            account = self._accounts[client] = recording.add_producer(client)
        return account

    def _drain_retiring(self, recording: FlightRecording) -> None:
        with self._clients_lock:
            retiring = tuple(self._retiring)
        for client in retiring:
            self._take_all(client)
            if client.ring.is_settled():
                recording.finish_producer(self._accounts.pop(client))
                with self._clients_lock:
                    self._retiring.remove(client)

    def _open(self, header: FlightHeader) -> None:
        if self._recording is not None:
            raise FlightAlreadyOpenError(self._recording.header.flight_id)
        assert self._root is not None
        with self._clients_lock:  # first of all, so that from now on nothing is missed
            self._is_recording = True
            clients = (*self._clients, *self._retiring)
            for client in clients:
                if not client.ring.is_open and client not in self._retiring:
                    client.acknowledge_losses()
                    client.ring.is_open = True
        try:
            self._recording = FlightRecording(
                self._root, header, self.config, self.alerts, clients, on_rotation=self._rotated
            )
        except BaseException:
            if self._is_listening:
                self._listen()
            else:
                self._shut_rings()
            raise
        self._accounts = {
            account.client: account
            for account in self._recording.accounts
            if account.client is not None
        }
        self._publish_status()

    def _rotated(self, closed: ClosedSegment) -> None:
        if self.on_rotation is not None:
            self.on_rotation(closed)

    def _close(self, flight_id: str) -> FlightSummary:
        recording = self._recording
        if recording is None:
            return self._closed_before(flight_id)
        if recording.header.flight_id != flight_id:
            raise FlightIdMismatchError(flight_id, recording.header.flight_id)
        self._shut_rings()
        self._last_summary = recording.close()
        self._publish_status()
        self._recording = None
        self._publish_status()
        self._listen()
        return self._last_summary

    def _closed_before(self, flight_id: str) -> FlightSummary:
        last = self._last_summary
        if last is None or last.flight_id != flight_id:
            raise FlightNotOpenError(flight_id)
        return last

    def _shut_rings(self) -> None:
        """Let no more records in, and take all that are."""
        with self._clients_lock:
            self._is_recording = self._is_listening = False
            clients = (*self._clients, *self._retiring)
            self._retiring.clear()
            for client in clients:
                client.ring.is_open = False
        deadline = time.monotonic() + SETTLE_DEADLINE_S
        for client in clients:
            self._take_all(client)
            while not client.ring.is_settled() and time.monotonic() < deadline:
                time.sleep(0)  # its producer is about to return from `enqueue`
                self._take_all(client)

    def _take_all(self, client: FdrClient) -> None:
        """Write what a ring holds; without a flight, let it go."""
        recording = self._recording
        if recording is None:
            while client.ring.take(self.config.batch_size):
                pass
            client.ring.acknowledge_refusals()
            return
        account = self._account(recording, client)
        while len(client.ring):
            recording.keep_pace()
            batch = client.ring.take(self.config.batch_size, self._batch_bytes)
            recording.write(account, batch)

    def _publish_status(self) -> None:
        recording = self._recording
        clients = self._clients
        if recording is None:
            self.status = WriterStatus(counters=self.status.counters, producers=len(clients))
            return
        self.status = WriterStatus(
            flight_id=recording.header.flight_id,
            path=recording.path,
            segment_index=recording.segment_index,
            segments=recording.closed_segments,
            total_bytes=recording.total_bytes,
            counters=recording.counters(),
            is_degraded=recording.is_degraded,
            ring_fill=max((client.ring.fill for client in clients), default=0.0),
            producers=len(clients),
        )
