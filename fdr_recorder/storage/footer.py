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

from dataclasses import dataclass
import errno
import os
from pathlib import Path
import time
from typing import Any

from fdr_recorder.record.codec import encode
from fdr_recorder.record.kinds import FlightFooter, FlightHeader
from fdr_recorder.storage.counters import FlightCounters, Ledger, ProducerAccount
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
        is_complete: Whether the footer is on disk; False if the disk refused it.

    """

    flight_id: str
    path: Path
    footer: FlightFooter
    is_complete: bool


class FooterWriter:
    """Writes the footer, which counts itself and the bytes that follow it."""

    def __init__(self, header: FlightHeader, log: SegmentLog, ledger: Ledger) -> None:
        """Take the flight's header, its segments and its accounts."""
        self._header = header
        self._log = log
        self._ledger = ledger

    def finished_size(self) -> int:
        """
        Write the open chunk; return the size of the open segment's file with the footer.

        Raises:
            OSError: The disk refuses data, or has just refused the open segment.

        """
        channel = self._account().channel  # before the footer lists all accounts
        self._log.flush()
        size = len(encode(self.compose(clean_shutdown=True)))  # its numbers have fixed width
        return self._segment().finished_size(more_channel=channel, more_bytes=size)

    def write(self) -> FlightFooter:
        """Write the footer to the open segment; raises as `finished_size`."""
        finished_size, segment, account = self.finished_size(), self._segment(), self._account()
        sequence = account.count_own()
        account.written += 1  # in advance, for the footer counts itself
        counters = self._counters()
        footer = self.compose(
            clean_shutdown=True,
            bytes_written=counters.bytes_written + finished_size - segment.size,
        )
        account.written -= 1
        now_ns = time.time_ns()
        record = (now_ns, now_ns, sequence, encode(footer), 0)
        segment.append(account.channel, [record], force=True)
        segment.flush(compress=False)  # compressed, its size would depend on its values
        return footer

    def compose(self, *, clean_shutdown: bool, **changed: int) -> FlightFooter:
        """Return a footer with the counters as they are now, except those given."""
        values: dict[str, Any] = {**self._counters().as_dict(), **changed}
        return FlightFooter(
            flight_id=self._header.flight_id,
            flight_ended_at_iso=iso_time(time.time_ns()),
            flight_ended_at_monotonic_ns=time.monotonic_ns(),
            clean_shutdown=clean_shutdown,
            producers=tuple(account.snapshot() for account in self._ledger.accounts),
            **values,
        )

    def _counters(self) -> FlightCounters:
        return self._ledger.totals(self._log.total_bytes)

    def _account(self) -> ProducerAccount:
        return self._ledger.own_account(FlightFooter)

    def _segment(self) -> Segment:
        if self._log.segment is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._log.segment
