# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Watches one flight: what its files say, of which it reads what is new."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
import re
import time
from typing import Any, Final

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.directory import directory_name, segment_files
from fdr_recorder.flights.follow import FlightFollower, NewChunk
from fdr_recorder.flights.live.account import LiveAccount
from fdr_recorder.flights.live.rates import Flow, Flows, WINDOW_S, window_s
from fdr_recorder.flights.live.status import LiveAlert, LiveFlight, LiveTopic
from fdr_recorder.flights.status import summed
from fdr_recorder.mcap.decode import Message
from fdr_recorder.record.dropped import THROTTLED
from fdr_recorder.record.kinds import FlightFooter, FlightHeader, RequestedTopic
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX
from fdr_recorder.record.requested import WITHDRAWN
from fdr_recorder.types.cdr_to_json import JsonDecoder
from fdr_recorder.units import NS_PER_S

_HEADER_TOPIC: Final = FlightHeader.channel_topic()
_DIAGNOSTICS: Final = 'diagnostic_msgs/msg/DiagnosticArray'
_STALE_S: Final = 5.0
"""Diagnostics come once a second; what is older than this says nothing of now."""
_DELAY_S: Final = 1.0
"""What was written up to so long ago is up to date."""
_OPTION: Final = '^{}: ([0-9]{{1,18}})$'
_MOST_OPTIONS: Final = 1 << 20


class FlightWatch:
    """
    What is known of a flight so far. Used by one thread.

    Attributes:
        header: The flight's header; None before it was read.
        footer: Its footer; None before it was read.
        quiet_s: How long ago its files have changed.

    """

    def __init__(self, flight: Path) -> None:
        """
        Begin with the newest segment.

        Raises:
            NoFlightError: It has none.
            OSError: It cannot be read.

        """
        self.flight = flight
        self.header: FlightHeader | None = None
        self.footer: FlightFooter | None = None
        self.quiet_s = 0.0
        self._restart()

    def _restart(self) -> None:
        # rates are measured over some seconds, and the newest segment may just have been begun
        self._follower = FlightFollower(self.flight, earlier=1)
        past = [file for file in segment_files(self.flight) if file.index < self._follower.index]
        self._account = LiveAccount(past)
        self._flows = Flows()
        self._knows_totals = not self._follower.index
        self._requested: dict[str, RequestedTopic] = {}
        self._sizes: dict[int, int] = {}
        self._grown: list[tuple[float, int]] = []
        self._changed_at = 0.0
        self._known_since_ns = self._last_ns = 0
        self._diagnosed: tuple[int, Mapping[str, str]] = (0, {})
        self._decoders: dict[object, JsonDecoder | None] = {}

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._follower.close()

    @property
    def is_complete(self) -> bool:
        """Whether the flight has its footer, and the file that it is in has its end."""
        return self._follower.has_footer and self._follower.segment.is_closed

    # --- what is read --------------------------------------------------------------------

    def read(self, past_s: float) -> None:
        """
        Read what is new, and of the past for about so many seconds.

        Raises:
            OSError: A file cannot be read.

        """
        for new in self._follower.new_chunks():
            self._account.count(new.number)
            self._take(new)
        if self._follower.missed:  # it was held up for long: what was told meanwhile is unknown
            self.close()
            self._restart()
            self.read(past_s)
            return
        self._account.read_past(past_s)
        self._look_at_sizes()

    def _take(self, new: NewChunk) -> None:
        self._last_ns = max(self._last_ns, new.chunk.end_ns)
        self._known_since_ns = self._known_since_ns or new.chunk.end_ns
        channels = new.channels()
        is_indexed = bool(new.chunk.indexes) and not any(
            channel.topic.startswith(OWN_TOPIC_PREFIX) or channel.schema.name == _DIAGNOSTICS
            for channel in channels
        )
        try:
            if is_indexed:
                self._flows.add_chunk(new)
            else:
                self._take_messages(new.messages())
        except SegmentError:  # `fdr verify` tells of damage
            return

    def _take_messages(self, messages: list[Message]) -> None:
        found: dict[tuple[str, str], list[Message]] = {}
        for message in messages:
            channel = message.channel
            if channel.topic.startswith(OWN_TOPIC_PREFIX):
                self._take_own(message)
                continue
            found.setdefault((channel.topic, channel.schema.name), []).append(message)
            if channel.schema.name == _DIAGNOSTICS:
                self._take_diagnostics(message)
        for (topic, type_name), those in found.items():
            times = [message.log_time_ns for message in those]
            self._flows.add(topic, type_name, times, sum(len(m.data) for m in those))

    def _take_own(self, message: Message) -> None:
        payload = self._account.add(message)
        if isinstance(payload, FlightHeader):
            self.header = payload
            self._requested.update((item.name, item) for item in payload.requested)
            if payload.topics:
                self._flows.set_totals(payload.topics)
                self._knows_totals = True
        elif isinstance(payload, FlightFooter):
            self.footer = payload
        elif isinstance(payload, RequestedTopic) and payload.outcome == WITHDRAWN:
            self._requested.pop(payload.name, None)
        elif isinstance(payload, RequestedTopic):
            self._requested[payload.name] = payload

    def _take_diagnostics(self, message: Message) -> None:
        """Take the recorder's summary, if this is one of it."""
        flight_id = self.header.flight_id if self.header is not None else ''
        if not flight_id or flight_id.encode() not in message.data:
            return
        schema = message.channel.schema
        with suppress(RecordError):
            if schema not in self._decoders:
                self._decoders[schema] = None
                self._decoders[schema] = JsonDecoder(schema)
            decoder = self._decoders[schema]
            for status in decoder.decode(message.data)['status'] if decoder else ():
                values = {item['key']: item['value'] for item in status['values']}
                if values.get('flight_id') == flight_id:
                    self._diagnosed = message.log_time_ns, values

    def _look_at_sizes(self) -> None:
        """Note how large the files are, and when they have last grown."""
        before, newest_s = sum(self._sizes.values()), 0.0
        sizes: dict[int, int] = {}
        with suppress(FileNotFoundError):
            for file in segment_files(self.flight):
                is_settled = file.index < self._follower.index and file.index in self._sizes
                if is_settled:
                    sizes[file.index] = self._sizes[file.index]
                    continue
                status = file.path.stat()
                sizes[file.index] = status.st_size
                newest_s = max(newest_s, status.st_mtime)
        now = time.monotonic()
        if not self._sizes:  # the first look: how old it is, its time tells
            self._changed_at = now - max(time.time() - newest_s, 0.0)
        elif any(size > self._sizes.get(index, 0) for index, size in sizes.items()):
            self._changed_at = now
        self._sizes = sizes
        self.quiet_s = now - self._changed_at
        self._grown = [item for item in self._grown if item[0] > now - 2 * WINDOW_S]
        self._grown.append((now, max(sum(sizes.values()) - before, 0) if before else 0))

    # --- what is said --------------------------------------------------------------------

    def option(self, name: str) -> int:
        """Return a number of the configuration, by its dotted name; 0 if it is not known."""
        text = self.header.config_snapshot[:_MOST_OPTIONS] if self.header is not None else ''
        match = re.search(_OPTION.format(re.escape(name)), text, re.MULTILINE)
        return int(match[1]) if match else 0

    def said(self, ended: str) -> LiveFlight:
        """Return what is known."""
        header = self.header or FlightHeader()
        started_ns = header.flight_started_at_ns
        late_s = max(self.quiet_s - _DELAY_S, 0.0)
        if ended != 'open':  # nothing comes any more
            late_s = max(self.quiet_s, WINDOW_S)
        end_ns = self._last_ns + round(late_s * NS_PER_S)
        window = window_s(end_ns, self._known_since_ns)
        rate_hz, size_rate = self._flows.all.rates(end_ns, window)
        told = self._account.sum()
        missing = [loss for loss in told.losses if loss.cause != THROTTLED]
        losses = summed((loss.cause, loss.records) for loss in missing)
        lost: dict[str, int] = {}
        for loss in missing:
            lost[loss.topic] = lost.get(loss.topic, 0) + loss.records
        left_out: dict[str, int] = {}
        for loss in told.losses:
            if loss.cause == THROTTLED:
                left_out[loss.topic] = left_out.get(loss.topic, 0) + loss.records
        alerts = [
            LiveAlert(item.code, item.level, item.subject, item.message, item.first_ns)
            for item in told.alerts.values()
            if item.is_present
        ]
        alerts.sort(key=lambda alert: (-alert.level, alert.code, alert.subject))
        topics = [
            self._topic(name, type_name, flow, end_ns, window, lost)
            for (name, type_name), flow in self._flows.topics.items()
        ]
        there = {topic.name for topic in topics}
        topics += [
            LiveTopic(item.topic, lost=lost.get(item.topic, 0))
            for item in self._requested.values()
            if item.option in ('topics', 'required')
            and item.topic not in there
            and not re.search(r'[*?\[]', item.topic)
        ]
        fill = self._diagnosed[1].get('ring_fill_percent')
        is_fresh = self._diagnosed[0] > end_ns - _STALE_S * NS_PER_S
        return LiveFlight(
            path=str(self.flight),
            flight_id=header.flight_id or directory_name(self.flight),
            vehicle_id=header.vehicle_id,
            ended=ended,
            started_ns=started_ns,
            duration_s=max(self._last_ns - started_ns, 0) / NS_PER_S if started_ns else 0.0,
            age_s=self.quiet_s,
            segments=len(self._sizes),
            segments_dropped=max(self._sizes, default=-1) + 1 - len(self._sizes),
            bytes=sum(self._sizes.values()),
            rate_hz=rate_hz,
            bytes_per_second=self._disk_rate() or size_rate,
            losses=dict(losses),
            left_out=left_out,
            unread_segments=self._account.unread_segments,
            alerts=tuple(alerts),
            topics=tuple(sorted(topics, key=lambda topic: (topic.name, topic.type))),
            ring_fill_percent=_number(fill) if is_fresh else None,
        )

    def _topic(
        self,
        name: str,
        type_name: str,
        flow: Flow,
        end_ns: int,
        window: float,
        lost: Mapping[str, int],
    ) -> LiveTopic:
        rate_hz, size_rate = flow.rates(end_ns, window)
        return LiveTopic(
            name=name,
            type=type_name,
            messages=flow.messages if self._knows_totals else None,
            rate_hz=rate_hz,
            bytes_per_second=size_rate,
            last_ns=flow.last_ns,
            age_s=max(end_ns - flow.last_ns, 0) / NS_PER_S if flow.last_ns else None,
            lost=lost.get(name, 0),
        )

    def _disk_rate(self) -> float:
        """Return how much the files have grown a second since they are watched; 0 if unknown."""
        if len(self._grown) < 2:
            return 0.0
        seconds = self._grown[-1][0] - self._grown[0][0]
        return sum(size for _, size in self._grown[1:]) / seconds if seconds >= WINDOW_S else 0.0


def _number(text: Any) -> float | None:  # noqa: ANN401 - from a recording
    with suppress(TypeError, ValueError):
        return float(text)
    return None
