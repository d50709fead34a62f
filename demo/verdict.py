# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Compares what was sent with what was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from demo.readback import Flight


@dataclass(frozen=True)
class Sent:
    """What a publisher sent on one topic, by its own count."""

    type: str
    messages: int
    size: int
    crc32: int


@dataclass(frozen=True)
class Row:
    """One topic: what was sent and what was recorded."""

    topic: str
    type: str
    sent: int
    recorded: int
    hertz: float
    size: int
    identical: bool
    """Whether the recorded bytes are those that were sent, message by message and in order."""

    @property
    def lost(self) -> int:
        """Return how many are missing; negative if more are recorded than were sent."""
        return self.sent - self.recorded


# The causes of losses that the recorder counts, by the footer's fields.
_CAUSES = {
    'records_lost_transport': 'lost in transport',
    'records_before_match': 'sent before they were heard',
    'records_dropped_overrun': 'refused by a full ring',
    'records_dropped_write_error': 'not written, the disk failed',
}


def compare(sent: Mapping[str, Sent], flight: Flight) -> list[Row]:
    """Return a row for each topic that was sent or recorded."""
    rows = []
    for topic in sorted(sent.keys() | flight.topics.keys()):
        out, back = sent.get(topic), flight.topics.get(topic)
        rows.append(
            Row(
                topic=topic,
                type=back.type if back else out.type if out else '',
                sent=out.messages if out else 0,
                recorded=back.messages if back else 0,
                hertz=back.hertz if back else 0.0,
                size=back.size if back else 0,
                identical=(out.messages, out.size, out.crc32)
                == (back.messages, back.size, back.crc32)
                if out and back
                else not out and not back,
            )
        )
    return rows


def problems(rows: list[Row], sent: Mapping[str, Sent], flight: Flight) -> list[str]:
    """Return all that is wrong with a recording; empty if it is what was sent."""
    found = []
    for row in rows:
        if row.lost > 0:
            found.append(f'{row.topic}: {row.lost:,} of {row.sent:,} messages are not recorded')
        elif row.lost < 0:
            found.append(
                f'{row.topic}: {-row.lost:,} more messages are recorded than were sent '
                '(another publisher in this domain?)'
            )
        elif not row.identical:
            found.append(f'{row.topic}: the recorded bytes are not those that were sent')
        if row.topic in sent and row.recorded and row.type != sent[row.topic].type:
            found.append(f'{row.topic}: recorded as {row.type}, sent as {sent[row.topic].type}')
    if not flight.footer:
        found.append('the flight has no footer: it was not closed')
    elif not flight.footer.get('clean_shutdown'):
        found.append('the footer does not say clean_shutdown')
    return found + _unaccounted(rows, flight)


def _unaccounted(rows: list[Row], flight: Flight) -> list[str]:
    """Compare the losses in the footer with the messages that are really missing."""
    missing = sum(max(0, row.lost) for row in rows)
    named = {text: int(flight.footer.get(name, 0)) for name, text in _CAUSES.items()}
    if not flight.footer or not (missing or any(named.values())):
        return []
    account = ', '.join(f'{count:,} {text}' for text, count in named.items() if count)
    return [
        f'the footer accounts for {sum(named.values()):,} of {missing:,} missing messages'
        + (f': {account}' if account else '')
    ]
