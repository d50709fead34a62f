# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The demo's output: progress, the table, facts about the flight, and all of it as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
import shlex
import sys
from typing import Any, TextIO

from demo.readback import Flight
from demo.verdict import Row

_BAR = 30
_HEADER_FACTS = ('vehicle_id', 'flight_started_at_iso')
_FOOTER_FACTS = (
    'clean_shutdown',
    'flight_ended_at_iso',
    'records_written',
    'records_dropped_overrun',
    'records_dropped_write_error',
    'records_lost_transport',
    'records_before_match',
    'bytes_written',
    'rollover_count',
)


def human_size(count: float) -> str:
    """Format a number of bytes."""
    for unit in ('B', 'KiB', 'MiB'):
        if count < 1024:
            return f'{count:.0f} {unit}' if unit == 'B' else f'{count:.1f} {unit}'
        count /= 1024
    return f'{count:.1f} GiB'


def table(rows: Sequence[Row]) -> str:
    """Return the table of topics: what was sent beside what was recorded."""
    titles = ('topic', 'type', 'sent', 'recorded', 'lost', 'rate', 'size', 'bytes')
    cells = [
        (
            row.topic,
            row.type,
            f'{row.sent:,}',
            f'{row.recorded:,}',
            f'{row.lost:,}',
            f'{row.hertz:.1f} Hz',
            human_size(row.size),
            'same' if row.identical else 'DIFFER',
        )
        for row in rows
    ]
    sent, recorded = sum(row.sent for row in rows), sum(row.recorded for row in rows)
    total = (
        'total',
        '',
        f'{sent:,}',
        f'{recorded:,}',
        f'{sent - recorded:,}',
        '',
        human_size(sum(row.size for row in rows)),
        '',
    )
    widths = [max(map(len, column)) for column in zip(titles, *cells, total, strict=True)]
    rule = tuple('-' * width for width in widths)

    def line(row: Sequence[str]) -> str:
        # Names to the left, figures to the right.
        return '  '.join(
            text.ljust(width) if number in (0, 1, 7) else text.rjust(width)
            for number, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()

    return '\n'.join(line(row) for row in (titles, rule, *cells, rule, total))


def facts(flight: Flight, late_ms: float) -> str:
    """Return facts about the flight, one per line."""
    segments = '1 segment' if len(flight.segments) == 1 else f'{len(flight.segments)} segments'
    lines = [
        ('flight', flight.directory.name),
        ('directory', str(flight.directory)),
        ('recording', f'{flight.seconds:.1f} s, {segments}, {human_size(flight.size)}'),
        ('', f"the recorder's own records on /fdr/...: {flight.own_records:,}"),
        ('timing', f'each message was sent within {late_ms:.0f} ms of its time'),
    ]
    for name, values, wanted in (
        ('header', flight.header, _HEADER_FACTS),
        ('footer', flight.footer, _FOOTER_FACTS),
    ):
        known = [f'{key} {_shown(values[key])}' for key in wanted if key in values]
        rows = [', '.join(known[start:start + 3]) for start in range(0, len(known), 3)]
        lines += [(name if not n else '', text) for n, text in enumerate(rows or ['missing'])]
    return '\n'.join(f'{name:<10} {text}' for name, text in lines)


def _shown(value: object) -> str:
    """Format a field of a record."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'{value:,}' if isinstance(value, int) else str(value)


def next_steps(directory: Path) -> str:
    """Return how to look at a recording; the first command is what most people want."""
    here = Path.cwd()
    short = directory.relative_to(here) if directory.is_relative_to(here) else directory
    return (
        'Next, see the flight on one page:\n'
        f'  ./dev fdr report {shlex.quote(str(short))} --open\n'
        'It is a bag, too: ros2 bag info and ros2 bag play take the directory, Foxglove and\n'
        'PlotJuggler open its .mcap files.'
    )


def as_json(
    flight: Flight,
    rows: Sequence[Row],
    problems: Sequence[str],
    not_mapped: Mapping[str, str],
    late_ms: float,
) -> dict[str, Any]:
    """Return all of it as one JSON object."""
    return {
        'ok': not problems,
        'problems': list(problems),
        'flight_id': flight.directory.name,
        'directory': str(flight.directory),
        'seconds': round(flight.seconds, 3),
        'bytes': flight.size,
        'segments': dict(flight.segments),
        'topics': [
            {
                'topic': row.topic,
                'type': row.type,
                'sent': row.sent,
                'recorded': row.recorded,
                'lost': row.lost,
                'hertz': round(row.hertz, 2),
                'bytes': row.size,
                'identical': row.identical,
            }
            for row in rows
        ],
        'header': dict(flight.header),
        'footer': dict(flight.footer),
        'not_mapped': dict(not_mapped),
        'latest_message_ms': late_ms,
    }


class Progress:
    """How far the flight is: one line that moves on a terminal, a few plain lines elsewhere."""

    def __init__(self, seconds: float, stream: TextIO) -> None:
        self._seconds = seconds
        self._stream = stream
        self._moving = stream.isatty()
        self._quarter = 0
        self._reports: dict[object, tuple[float, int]] = {}

    def update(self, who: object, seconds: float, sent: int) -> None:
        """Take one publisher's report: seconds since take-off, and messages sent."""
        self._reports[who] = (seconds, sent)
        at = min(self._seconds, max(report[0] for report in self._reports.values()))
        self._show(at, sum(report[1] for report in self._reports.values()))

    def finish(self, sent: int) -> None:
        """Show the end of the flight."""
        self._quarter = -1
        self._show(self._seconds, sent)
        if self._moving:
            print(file=self._stream)

    def _show(self, at: float, sent: int) -> None:
        share = at / self._seconds
        text = f'{at:.1f} of {self._seconds:.1f} s, {sent:,} messages sent'
        if self._moving:
            bar = '#' * round(share * _BAR)
            print(f'\r  flying     [{bar:<{_BAR}}] {text}\x1b[K', end='', file=self._stream)
            self._stream.flush()
        elif int(share * 4) > self._quarter:
            self._quarter = int(share * 4)
            print(f'  flying     {text}', file=self._stream, flush=True)


class Teller:
    """Prints what happens, line by line; to standard error if the output is JSON."""

    def __init__(self, *, json: bool) -> None:
        self.stream = sys.stderr if json else sys.stdout

    def __call__(self, what: str, text: str) -> None:
        """Print one line: the step, and its result."""
        print(f'  {what:<10} {text}', file=self.stream, flush=True)
