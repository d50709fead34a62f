# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What `fdr info` says of one topic."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from operator import sub
from typing import Any

from fdr_recorder.record.payload import OWN_TOPIC_PREFIX
from fdr_recorder.topics.names import TopicType
from fdr_recorder.units import NS_PER_S


@dataclass
class TopicInfo:
    """
    The messages of one topic in one type.

    Attributes:
        name: Of the topic.
        type: Of its messages.
        publishers: The gids of its publishers, as far as they are known.
        messages: How many there are.
        bytes: Their data, uncompressed.
        first_ns: Log time of the first (system clock).
        last_ns: Log time of the last.
        gap_ns: The longest time between two that follow each other.
        gap_at_ns: When that began.
        silence_ns: The longest time without a message from the flight's beginning to its end, as
            the footer tells; 0 if it is not known, or below a second.
        silence_at_ns: When that began.
        lost_transport: How many never reached the recorder.
        dropped_overrun: How many a full ring refused.
        dropped_write_error: How many the disk refused, as far as it is known whose they were.
        before_match: How many publishers that came in flight had sent before they were heard.
        throttled: How many were left out, as asked for; these are not lost.
        why_unseen: Why losses in transport cannot be seen; empty if they can.

    """

    name: str
    type: str
    publishers: set[str] = field(default_factory=set)
    messages: int = 0
    bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    gap_ns: int = 0
    gap_at_ns: int = 0
    silence_ns: int = 0
    silence_at_ns: int = 0
    lost_transport: int = 0
    dropped_overrun: int = 0
    dropped_write_error: int = 0
    before_match: int = 0
    throttled: int = 0
    why_unseen: str = ''

    @property
    def key(self) -> TopicType:
        """Return the topic and its type."""
        return TopicType(self.name, self.type)

    @property
    def is_own(self) -> bool:
        """Whether these are records of the recorder itself."""
        return self.name.startswith(OWN_TOPIC_PREFIX)

    @property
    def lost(self) -> int:
        """How many are known to be missing."""
        lost = self.lost_transport + self.dropped_overrun + self.dropped_write_error
        return lost + self.before_match

    @property
    def lost_text(self) -> str:
        """Return the same in words: `12`, `?` if nobody knows, `12 + ?` if there may be more."""
        if not self.why_unseen:
            return f'{self.lost:,}'
        return f'{self.lost:,} + ?' if self.lost else '?'

    @property
    def longest_gap(self) -> tuple[int, int]:
        """Return the longest time without a message, and when it began; 0 if unknown."""
        return max((self.gap_ns, self.gap_at_ns), (self.silence_ns, self.silence_at_ns))

    @property
    def rate_hz(self) -> float | None:
        """Messages per second between the first and the last; None for less than two."""
        elapsed = self.last_ns - self.first_ns
        return (self.messages - 1) * NS_PER_S / elapsed if elapsed > 0 else None

    def add(self, times: Sequence[int], size: int) -> None:
        """Take in one or more messages behind those before: log times, bytes of their data."""
        if self.messages:
            times = array('Q', (self.last_ns, *times))
            self.first_ns = min(self.first_ns, times[1])
        else:
            self.first_ns = times[0]
        longest = max(map(sub, times[1:], times), default=0)
        if longest > self.gap_ns:
            self.gap_ns = longest
            self.gap_at_ns = times[list(map(sub, times[1:], times)).index(longest)]
        self.messages += len(times) - bool(self.messages)
        self.bytes += size
        self.last_ns = max(self.last_ns, times[-1])

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        is_unknown = self.why_unseen and not self.lost_transport
        return {
            **asdict(self),
            'publishers': sorted(self.publishers),
            'rate_hz': self.rate_hz,
            'lost_transport': None if is_unknown else self.lost_transport,
        }
