# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The way of records from the rings into the open flight."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace
from pathlib import Path
import time
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.config import CLOCK_STEP_S, FdrWriterConfig
from fdr_recorder.errors import (
    FlightAlreadyOpenError,
    FlightIdMismatchError,
    FlightNotOpenError,
)
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.kinds import FlightHeader
from fdr_recorder.record.loss_detection import Unseen
from fdr_recorder.storage.clients import Clients
from fdr_recorder.storage.counters import FlightCounters
from fdr_recorder.storage.degraded import QUICK_RETRIES_S
from fdr_recorder.storage.disk_pulse import WRITING
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.footer import FlightSummary
from fdr_recorder.storage.pinning import NO_PIN_RULES, PinRules
from fdr_recorder.storage.preroll import Preroll
from fdr_recorder.storage.recording import FlightRecording
from fdr_recorder.storage.rotation import RotationHook

POLL_INTERVAL_S: Final = 0.2
"""How long the thread rests when the rings are empty. A record does not wake it, which would cost
more than writing the record; a ring that is half full does, and the intake after its rounds."""
POLL_SHARE: Final = 0.8
"""The same as a share of `flush_interval_s`, at most. A record waits that long in its ring."""
BATCH_BYTES: Final = 8 * 1024 * 1024
"""Bytes to take from a ring at a time, about: what was taken must be in the file within
`flush_interval_s`, and the next ring must have its turn."""
STATUS_INTERVAL_S: Final = 0.2
SETTLE_DEADLINE_S: Final = 1.0
"""A producer needs microseconds to return from `enqueue`; one that never does was killed."""


@dataclass(frozen=True)
class WriterStatus:
    """
    What the writer is doing, for displays; renewed several times a second.

    Attributes:
        flight_id: The open flight; empty if there is none.
        path: Its directory.
        segment_index: Number of the newest segment.
        segments: Number of closed segments that were not dropped.
        total_bytes: Size of all segments that were not dropped.
        counters: The counters of the open flight, or else of the last one.
        is_degraded: Whether the disk refuses data.
        ring_fill: How full the fullest ring is: 0 to 1.
        producers: Number of registered clients.
        made_at: When the writer made this (monotonic seconds); 0 if it has not yet.
        stalled_s: For how many seconds the disk has not answered; 0 while it does.
        stalled_step: What it does not answer; `WRITING` if that holds up the writer.
        unseen: Where losses in transport cannot be seen.
        newest_seal: Number in the flight and hash of the newest seal that is on the disk, of the
            flight that was closed last if none is open; empty if there is none.

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
    made_at: float = 0.0
    stalled_s: float = 0.0
    stalled_step: str = ''
    unseen: Unseen = field(default_factory=Unseen)
    newest_seal: str = ''

    def now(self, clients: Iterable[FdrClient], stall: tuple[float, str]) -> WriterStatus:
        """
        Return the status with what others than the writer can tell at this moment.

        The writer may hang. So its rings are read here: how full they are, and what they have
        refused since it last looked.
        """
        stalled_s, step = stall
        if not self.flight_id:
            return replace(self, stalled_s=stalled_s, stalled_step=step)
        rings = [client.ring for client in clients]
        refused = sum(ring.unacknowledged_refusals for ring in rings)
        dropped = self.counters.records_dropped_overrun + refused
        return replace(
            self,
            counters=replace(self.counters, records_dropped_overrun=dropped),
            ring_fill=max((ring.fill for ring in rings), default=0.0),
            stalled_s=stalled_s,
            stalled_step=step,
        )


class Drain:
    """
    Takes records out of the rings and writes them to the open flight, if there is one.

    Knows no threads: used by the writer's thread alone.

    Attributes:
        config: Sizes, intervals and limits; see `apply`.
        clients: The registered clients.
        recording: The open flight; None if there is none.
        status: What is going on; replaced as a whole.
        poll_interval_s: How long to rest after a round that found the rings almost empty...
        rest_s: ...and how long to rest now.

    """

    def __init__(
        self,
        config: FdrWriterConfig,
        alerts: AlertBoard,
        clients: Clients,
        preroll: Preroll | None = None,
        clock_step_s: float = CLOCK_STEP_S,
        pin_rules: PinRules = NO_PIN_RULES,
    ) -> None:
        """Begin without a flight; without one, `preroll` trims the rings."""
        self.config = config
        self.clients = clients
        self.recording: FlightRecording | None = None
        self.status = WriterStatus()
        self.poll_interval_s = min(POLL_INTERVAL_S, config.flush_interval_s * POLL_SHARE)
        self.rest_s = self.poll_interval_s
        self._alerts = alerts
        self._preroll = preroll
        self._clock_step_s = clock_step_s
        self._pin_rules = pin_rules
        self._batch_bytes = min(BATCH_BYTES, config.segment_size_bytes)
        self._last_summary: FlightSummary | None = None
        self._status_at = 0.0

    def apply(self, config: FdrWriterConfig) -> None:
        """Apply other limits from now on, in the open flight too; any thread."""
        self.config = config
        recording = self.recording
        if recording is not None:
            recording.log.config = config

    # --- flights -------------------------------------------------------------------------

    def open(
        self, root: FlightRoot, header: FlightHeader, on_rotation: RotationHook | None
    ) -> None:
        """Begin a flight; raises as `FileFdrWriter.open_flight`."""
        if self.recording is not None:
            raise FlightAlreadyOpenError(self.recording.header.flight_id)
        clients = self.clients.open_rings()  # first of all, so that from now on nothing is missed
        try:
            self.recording = FlightRecording(
                root,
                header,
                self.config,
                self._alerts,
                clients,
                on_rotation,
                self._clock_step_s,
                self._pin_rules,
            )
        except BaseException:
            if self.clients.is_listening:
                self.clients.listen()
            else:
                self._close_rings()
            raise
        self.publish_status()

    def close(self, flight_id: str) -> FlightSummary:
        """Close the open flight; raises as `FileFdrWriter.close_flight`."""
        recording = self.recording
        if recording is None:
            return self.last_summary(flight_id)
        if recording.header.flight_id != flight_id:
            raise FlightIdMismatchError(flight_id, recording.header.flight_id)
        recording.log.end()
        self._close_rings()
        self._last_summary = recording.close()
        self.publish_status()
        self.recording = None
        self.publish_status()
        self.clients.listen()
        return self._last_summary

    def last_summary(self, flight_id: str) -> FlightSummary:
        """Return how a flight was closed; raise `FlightNotOpenError` if it is not the last."""
        last = self._last_summary
        if last is None or last.flight_id != flight_id:
            raise FlightNotOpenError(flight_id)
        return last

    def abandon(self) -> None:
        """Write what the rings hold, and stop without closing the flight."""
        self._close_rings()
        if self.recording is not None:
            self.recording.abandon()
            self.recording = None

    def abort(self) -> None:
        """Stop after an error of the recorder itself; discard what the rings hold."""
        if self.recording is not None:
            self.recording.abort()
            self.recording = None
        self._close_rings()

    # --- records -------------------------------------------------------------------------

    def round(self) -> bool:
        """
        Take one batch from every ring, then do what is due at this time.

        Returns:
            True if some ring holds more than a batch.

        """
        recording = self.recording
        if recording is None:
            if self._preroll is not None:
                self._preroll.trim(self.clients.all())
                self.clients.forget_empty()
            return False
        recording.log.root.pulse.step(WRITING)
        recording.keep_pace()
        while self.clients.resumed:
            recording.account_of(self.clients.resumed.popleft())
        is_busy = False
        if recording.is_degraded:
            recording.relieve(self.clients.all())
        else:
            is_busy = self._take_batches(recording)
        now = time.monotonic()
        recording.tick(now, 0.0 if is_busy else self.poll_interval_s)
        self.rest_s = QUICK_RETRIES_S[0] if recording.is_degraded else self.poll_interval_s
        if now - self._status_at >= STATUS_INTERVAL_S:
            self._status_at = now
            self.publish_status()
        return is_busy

    def _take_batches(self, recording: FlightRecording) -> bool:
        """Take one batch from every ring; return whether some ring holds more."""
        batch_size, batch_bytes = self.config.batch_size, self._batch_bytes
        is_busy, accounts, pulse = False, recording.accounts, recording.log.root.pulse
        for client in self.clients.present:
            ring = client.ring
            account = accounts.get(client)
            if account is None:
                if ring.offered == ring.acknowledged:
                    continue
                account = recording.account_of(client)  # before anything is taken
            batch = ring.take(batch_size, batch_bytes)
            if not batch:
                continue
            if recording.write(account, batch):
                pulse.step(WRITING)
                recording.keep_pace()
                if recording.is_degraded:
                    return False
            is_busy = is_busy or len(batch) == batch_size or ring.bytes > batch_bytes
        if self.clients.retiring:
            self._drain_retiring(recording)
        return is_busy

    def _drain_retiring(self, recording: FlightRecording) -> None:
        for client in tuple(self.clients.retiring):
            if recording.is_degraded:
                return
            self._take_all(client, is_last=False)
            if self.clients.forget_settled(client):
                recording.finish_producer(client)

    def _close_rings(self) -> None:
        """Close the rings, and take all that they hold."""
        clients = self.clients.close_rings()
        deadline = time.monotonic() + SETTLE_DEADLINE_S
        for client in clients:
            self._take_all(client, is_last=True)
            while not client.ring.is_settled() and time.monotonic() < deadline:
                time.sleep(0)  # its producer is about to return from `enqueue`
                self._take_all(client, is_last=True)

    def _take_all(self, client: FdrClient, *, is_last: bool) -> None:
        """
        Write what a ring holds; discard it if no flight is open.

        If the disk refuses data the rest stays in the ring, unless this `is_last`.
        """
        recording = self.recording
        if recording is None:
            while client.ring.take(self.config.batch_size):
                pass
            client.ring.acknowledge_refusals()
            return
        account = recording.account_of(client)
        while len(client.ring):
            if recording.is_degraded:
                if not is_last:
                    return
                recording.recover_now()
            recording.keep_pace()
            recording.log.root.pulse.step(WRITING)
            batch = client.ring.take(self.config.batch_size, self._batch_bytes)
            recording.write(account, batch)

    def publish_status(self) -> None:
        """Renew `status`."""
        recording = self.recording
        clients = self.clients.present
        if recording is None:
            self.status = WriterStatus(
                counters=self.status.counters,
                newest_seal=self.status.newest_seal,
                producers=len(clients),
                made_at=time.monotonic(),
            )
            return
        sealer = recording.log.sealer
        self.status = WriterStatus(
            flight_id=recording.header.flight_id,
            path=recording.log.directory.path,
            segment_index=recording.log.newest_index,
            segments=recording.closed_segments,
            total_bytes=recording.total_bytes,
            counters=recording.log.counters(),
            is_degraded=recording.is_degraded,
            unseen=recording.losses.unseen,
            newest_seal=str(sealer.witness or '') if sealer is not None else '',
            producers=len(clients),
            made_at=time.monotonic(),
        )
