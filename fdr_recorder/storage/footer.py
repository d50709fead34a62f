# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The footer: the record with the final counters, which ends a flight."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from fdr_recorder.clock import Reading, steady_now
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.codec import encode
from fdr_recorder.record.kinds import FlightFooter
from fdr_recorder.storage.clock_discipline import clock_state
from fdr_recorder.storage.segment import Segment
from fdr_recorder.storage.segment_log import SegmentLog
from fdr_recorder.units import iso_time


@dataclass(frozen=True)
class FlightSummary:
    """
    How a flight was closed.

    Attributes:
        flight_id: The flight's id.
        path: Its directory.
        footer: The footer as it was written, or would have been.
        is_complete: Whether the footer and `metadata.yaml`, which names all segments, are on the
            disk and say that the flight was closed; False if the disk refused any of it.
        cause: Why it is not complete, and what to do; else empty.

    """

    flight_id: str
    path: Path
    footer: FlightFooter
    is_complete: bool
    cause: str = ''


def finished_size(log: SegmentLog) -> int:
    """
    Write the open chunk; return the size of the open segment's file with the footer.

    Raises:
        OSError: The disk refuses data, or has just refused the open segment.

    """
    channel = log.ledger.own_account(FlightFooter).channel  # before all accounts are listed
    log.flush()
    size = len(encode(compose_footer(log, clean_shutdown=True)))  # its numbers have fixed width
    return _open_segment(log).finished_size(more_channel=channel, more_bytes=size)


def write_footer(log: SegmentLog) -> FlightFooter:
    """Write the footer, which counts itself and what follows it; raises as `finished_size`."""
    size, segment = finished_size(log), _open_segment(log)
    account = log.ledger.own_account(FlightFooter)
    sequence = account.count_own()
    account.written += 1  # in advance, for the footer counts itself
    bytes_written = log.counters().bytes_written + size - segment.size
    footer = compose_footer(log, clean_shutdown=True, bytes_written=bytes_written)
    account.written -= 1
    now_ns = steady_now()
    segment.append(account.channel, [(now_ns, now_ns, sequence, encode(footer), 0)], force=True)
    try:
        segment.flush(compress=False)  # compressed, its size would depend on its values
    except OSError:
        segment.take_back()  # the next try writes another
        log.ledger.count_write_error(account.channel, 1)
        raise
    return footer


def compose_footer(log: SegmentLog, *, clean_shutdown: bool, **changed: int) -> FlightFooter:
    """Return a footer with the counters as they are now, except those given."""
    now = Reading.now()
    topics = log.topics()
    values: dict[str, Any] = {**log.counters().as_dict(), **changed}
    return FlightFooter(
        flight_id=log.header.flight_id,
        flight_ended_at_iso=iso_time(now.system_ns),
        flight_ended_at_monotonic_ns=now.monotonic_ns,
        clean_shutdown=clean_shutdown,
        flight_ended_at_ns=now.system_ns,
        host_suspended_ns=now.suspended_ns,
        clock_state=clock_state(),
        producers=tuple(account.snapshot() for account in log.ledger.accounts),
        requested=log.told.became(topics),
        topics=topics,
        **values,
    )


def _open_segment(log: SegmentLog) -> Segment:
    if log.segment is None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return log.segment
