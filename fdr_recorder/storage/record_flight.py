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
Compose writer, cap policy and alerts from a configuration.

The node records by `make_writer`; scripts record a whole flight by `record_flight`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fdr_recorder.alerts import ALERT_LEVELS, AlertBoard
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.config import FdrConfig
from fdr_recorder.errors import FdrError
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.flight_header import new_flight_header
from fdr_recorder.storage.cap import CapacityCapPolicy
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.flight_directory import new_flight_id
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.footer import FlightSummary
from fdr_recorder.storage.pinning import PinRules
from fdr_recorder.storage.sealing import load_library
from fdr_recorder.storage.writer import FileFdrWriter


def make_writer(
    config: FdrConfig, root: FlightRoot, alerts: AlertBoard | None = None
) -> FileFdrWriter:
    """
    Make a writer that keeps the cap; it is not started.

    Args:
        config: What applies to writing: `writer`, `preroll_s`, `clock_step_s` and pins.
        root: The owned flight root; it stays with its owner.
        alerts: Where faults are raised; by default a board of the writer's own.

    """
    if config.writer.seal.key_file:
        with suppress(FdrError):  # each flight then tells
            load_library()
    writer = FileFdrWriter(
        root,
        config.writer,
        alerts=alerts,
        preroll_s=config.preroll_s,
        clock_step_s=config.clock_step_s,
        pin_rules=PinRules(
            frozenset(config.pin_on).intersection(ALERT_LEVELS),
            config.pin_before_s,
            config.pin_after_s,
        ),
    )

    def keep_cap(closed: ClosedSegment) -> None:
        cap_bytes = writer.config.flight_cap_bytes  # as of now: `apply` changes it in flight
        allowance = writer.root_allowance
        if allowance is not None and allowance < cap_bytes:
            policy = CapacityCapPolicy(allowance, writer, writer.alerts, 'writer.root_cap_bytes')
        else:
            policy = CapacityCapPolicy(cap_bytes, writer, writer.alerts)
        policy.on_rotation(closed)

    writer.on_rotation = keep_cap
    return writer


@dataclass
class RecordedFlight:
    """
    A flight that a script records, see `record_flight`.

    Attributes:
        path: Its directory; the last part is the flight id.
        config: What it is recorded with.
        writer: The started writer, for `status`, `split` and `alerts`.
        summary: How it was closed; None while it is open.

    """

    path: Path
    config: FdrConfig
    writer: FileFdrWriter
    summary: FlightSummary | None = None

    def client(self, channel: Channel) -> FdrClient:
        """
        Return a client for a new channel, with a ring as `config.ring` says.

        Any thread may call this; the client then belongs to one thread, its producer.

        Raises:
            ClientError: The channel has a client already.

        """
        client = FdrClient(channel, self.config.ring)
        self.writer.register(client)
        return client


@contextmanager
def record_flight(
    config: FdrConfig | None = None, *, alerts: AlertBoard | None = None
) -> Iterator[RecordedFlight]:
    """
    Record one flight: open it, and close it at the end of the `with` block, also after an error.

    The flight root is owned meanwhile. Earlier flights that were never closed stay as they are;
    see `recover`.

    Args:
        config: Flight root, flight id, cap and all else; options of the node (`topics`, ...) have
            no effect.
        alerts: Where faults are raised, such as a full disk; by default a board of its own
            (`flight.writer.alerts`).

    Raises:
        FlightRootError: The flight root is missing, read-only, or in use.
        FlightExistsError: It already has a flight of this id.
        FlightStorageError: The file system is full, or refuses.
        ConfigInvalidError: A file of `manifest_files` cannot be read.
        WriterFailedError: The writer has failed; at the end of the block.

    Example:
        >>> config = FdrConfig(flight_root='/data', writer=FdrWriterConfig(flight_cap_bytes=GIB))
        >>> with record_flight(config) as flight:
        ...     client = flight.client(Channel('/note', Schema('std_msgs/msg/String', text)))
        ...     client.enqueue(cdr_bytes)
        True
        >>> flight.summary.footer.records_written
        3

    """
    config = config or FdrConfig()
    header = new_flight_header(config.flight_id or new_flight_id(), config)
    with (
        FlightRoot.acquire(config.flight_root) as root,
        make_writer(config, root, alerts) as writer,
    ):
        writer.open_flight(header)
        flight = RecordedFlight(root.path / header.flight_id, config, writer)
        try:
            yield flight
        finally:
            flight.summary = writer.close_flight(header.flight_id)
