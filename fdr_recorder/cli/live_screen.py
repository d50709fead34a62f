# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The picture of `fdr top`: one look at a flight root as lines of text."""

from __future__ import annotations

from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.colours import Paint, Tone, Toned
from fdr_recorder.cli.console import printable
from fdr_recorder.cli.tables import shorten, Table, text_width, wrap
from fdr_recorder.units import (
    format_duration,
    format_rate,
    format_size,
    format_time,
    plural,
)

if TYPE_CHECKING:
    from fdr_recorder.flights.live.status import LiveFlight, LiveStatus, LiveTopic

_LABEL: Final = 11
_TONES: Final = {
    'recording': Tone.GOOD, 'silent': Tone.DOUBTFUL, 'idle': Tone.DOUBTFUL,
    'not running': Tone.DOUBTFUL,
}
_LOSSES: Final = {
    'transport': 'lost in transport', 'before_match': 'sent before heard',
    'overrun': 'refused by full rings', 'write_error': 'refused by the disk',
    'removed': 'in files that were removed', 'unexplained': 'without a reason',
}
_NEVER: Final = 'never'
_STALE_S: Final = 5.0
_LEAST_ROWS: Final = 3
_WIDE: Final = 100
NO_RINGS: Final = 'not in the files of the flight; they are if /diagnostics is recorded'


class Screen:
    """Makes the lines for a width and a height, topics scrolled by so many."""

    def __init__(self, paint: Paint) -> None:
        """Take what colours a text."""
        self._paint = paint
        self.scrolled = 0

    def lines(self, status: LiveStatus, width: int, height: int | None) -> list[str]:
        """Return the lines; none is wider than the width, and no more than the height."""
        head = self._head(status, width)
        topics = status.flight.topics if status.flight is not None else ()
        if height is None:
            return [*head, *(['', *self._table(topics, width)] if topics else [])]
        foot_lines = 1
        room = height - len(head) - foot_lines - 2  # an empty line, and the headings
        if room < _LEAST_ROWS:  # a very low terminal: the topics are worth more than the rest
            room = min(_LEAST_ROWS, max(height - 5, 0))
            head = head[: height - room - foot_lines - 2]
        self.scrolled = max(min(self.scrolled, len(topics) - room), 0)
        shown = topics[self.scrolled:self.scrolled + room] if room > 0 else ()
        body = ['', *self._table(shown, width, topics)] if shown else []
        foot = self._foot(len(topics), len(shown))
        lines = [*head, *body][: height - foot_lines]
        lines += [''] * (height - foot_lines - len(lines))
        return [*lines, shorten(foot, width)]

    def _foot(self, topics: int, shown: int) -> str:
        if shown >= topics:
            return 'q: quit'
        first = self.scrolled + 1
        return f'q: quit   arrows: scroll   topics {first} to {first + shown - 1} of {topics}'

    # --- above the topics ----------------------------------------------------------------

    def _head(self, status: LiveStatus, width: int) -> list[str]:
        now = format_time(status.made_ns)
        root = shorten(printable(status.root), max(width - len(now) - 10, 8))
        title = f'fdr top  {root}'
        lines = [f'{title}{" " * max(width - text_width(title) - len(now), 1)}{now}']
        tone = _TONES.get(status.state.value, Tone.BAD)
        state = status.state.value.upper()
        says = f': {status.reason}' if status.reason else ''
        flight = status.flight
        if flight is not None and flight.ended == 'open' and flight.vehicle_id:
            says += f' ({flight.vehicle_id})' if not says else ''
        lines += self._row('state', Toned(f'{state}{says}', tone), width)
        owner = status.in_use_by
        lines += self._row('recorder', owner or 'none owns the flight root', width, keep=1)
        if flight is None:
            lines += self._row('flight', 'none', width)
        else:
            lines += self._flight(flight, width)
        lines += self._row('disk', _disk(status), width)
        if flight is not None:
            lines += self._numbers(flight, width)
        return lines

    def _flight(self, flight: LiveFlight, width: int) -> list[str]:
        ended = {'open': '', 'unknown': ', not closed'}.get(flight.ended, f', {flight.ended}')
        dropped = f', {flight.segments_dropped:,} dropped' if flight.segments_dropped else ''
        text = (
            f'{flight.flight_id}{ended}, {format_duration(flight.duration_s)}, '
            f'{format_size(flight.bytes)} in {plural(flight.segments, "segment")}{dropped}'
        )
        lines = self._row('flight', text, width, keep=2)
        age = f'{format_duration(flight.age_s)} ago' if flight.age_s >= 1 else 'just now'
        flow = f'{format_rate(flight.rate_hz)}, {format_size(flight.bytes_per_second)}/s'
        tone = Tone.BAD if flight.ended == 'open' and flight.age_s >= _STALE_S else None
        written = Toned(f'{age}; {flow}' if flight.ended == 'open' else age, tone)
        return [*lines, *self._row('written', written, width)]

    def _numbers(self, flight: LiveFlight, width: int) -> list[str]:
        lines: list[str] = []
        fill = flight.ring_fill_percent
        if flight.ended == 'open':
            rings = NO_RINGS if fill is None else f'the fullest has {fill:.0f} %'
            is_full = fill is not None and fill >= 50
            lines += self._row('rings', Toned(rings, Tone.DOUBTFUL if is_full else None), width)
        so_far = ''
        if flight.unread_segments:
            so_far = f' so far; {plural(flight.unread_segments, "segment")} to be read'
        missing = ', '.join(
            f'{count:,} {_LOSSES.get(cause, cause)}'
            for cause, count in flight.losses.items()
            if count
        )
        tone = Tone.DOUBTFUL if missing else None if so_far else Tone.GOOD
        lines += self._row('missing', Toned(f'{missing or "none"}{so_far}', tone), width, keep=2)
        if flight.left_out:
            count = plural(sum(flight.left_out.values()), 'message')
            text = f'{count} of {plural(len(flight.left_out), "topic")}, as asked for'
            lines += self._row('left out', f'{text}{so_far}', width, keep=1)
        if not flight.alerts:
            return [*lines, *self._row('alerts', Toned('none', Tone.GOOD), width)]
        for number, alert in enumerate(flight.alerts[:3]):
            word = 'ERROR' if alert.level > 1 else 'WARN'
            tone = Tone.BAD if alert.level > 1 else Tone.DOUBTFUL
            text = Toned(f'{word} {alert.code}: {alert.message}', tone)
            lines += self._row('' if number else 'alerts', text, width, keep=2)
        more = len(flight.alerts) - 3
        return [*lines, *(self._row('', f'and {more:,} more', width) if more > 0 else [])]

    def _row(self, label: str, text: str, width: int, *, keep: int = 2) -> list[str]:
        """Return a label with its text, on so many lines at most."""
        room = max(width - _LABEL, 10)
        shown = printable(text, in_line=True)
        pieces = wrap(shown, room) or ['']
        if len(pieces) > keep:
            pieces[keep - 1:] = [shorten(' '.join(pieces[keep - 1:]), room)]
        return [
            f'{"" if number else label:<{_LABEL}}{self._paint(text, piece)}'
            for number, piece in enumerate(pieces)
        ]

    # --- the topics ----------------------------------------------------------------------

    def _table(
        self, topics: tuple[LiveTopic, ...], width: int, of: tuple[LiveTopic, ...] = ()
    ) -> list[str]:
        """Return a table in which each topic has one line."""
        columns = ['~topic', '~type', '>messages', '>rate', '>size/s', '>last', '>lost']
        rows = [_cells(topic) for topic in topics]
        leave_out = [] if width >= _WIDE else [1, 2] if width < 80 else [1]
        for place in reversed(leave_out):
            del columns[place]
            for row in rows:
                del row[place]
        all_rows = [_cells(topic) for topic in of]
        for place in reversed(leave_out):
            for row in all_rows:
                del row[place]
        numbers = len(columns) - 1 - (1 not in leave_out)
        others = [max(map(len, (columns[-k][1:], *(r[-k] for r in all_rows or rows))))
                  for k in range(1, numbers + 1)]
        room = max(width - sum(others) - 2 * numbers, 12)
        names = len(columns) - numbers
        for row in rows:
            for place in range(names):
                share = (room - 2 * (names - 1)) // names
                row[place] = Toned(shorten(row[place], share), getattr(row[place], 'tone', None))
        return list(Table(columns, rows, self._paint).lines(None))


def _cells(topic: LiveTopic) -> list[str]:
    is_missing = topic.age_s is None
    is_late = topic.age_s is not None and topic.age_s >= _STALE_S
    age = _NEVER if topic.age_s is None else format_duration(topic.age_s)
    if topic.age_s is not None and topic.age_s < 1:
        age = f'{topic.age_s:.1f} s'
    return [
        Toned(printable(topic.name, in_line=True), Tone.DOUBTFUL if is_missing else None),
        printable(topic.type, in_line=True),
        f'{topic.messages:,}' if topic.messages is not None else '?',
        format_rate(topic.rate_hz) if topic.rate_hz else '0 Hz',
        format_size(topic.bytes_per_second),
        Toned(age, Tone.DOUBTFUL if is_missing or is_late else None),
        Toned(f'{topic.lost:,}', Tone.DOUBTFUL if topic.lost else None),
    ]


def _disk(status: LiveStatus) -> str:
    disk = status.disk
    text = f'{format_size(disk.free_bytes)} free'
    used = status.flight.bytes if status.flight is not None else 0
    if disk.cap_seconds is not None and disk.cap_bytes < used + disk.free_bytes:
        cap = format_size(disk.cap_bytes)
        return f'{text}; the cap of {cap} keeps the last {format_duration(disk.cap_seconds)}'
    if disk.seconds_to_full is not None:
        text += f', full in {format_duration(disk.seconds_to_full)}'
    return text
