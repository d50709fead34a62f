# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The arguments of `pin` and `unpin`, and what these say."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fdr_recorder.cli.argument_types import parse_count, parse_moment
from fdr_recorder.cli.console import print_json, say
from fdr_recorder.cli.flight_arguments import add_flight, find_flight
from fdr_recorder.errors import NoFlightError, UsageError
from fdr_recorder.units import format_size, format_time, plural

if TYPE_CHECKING:
    from fdr_recorder.flights.pinning import Selection
    from fdr_recorder.storage.pins import Pins, Window


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add a flight, and which part of it."""
    add_flight(parser)
    parser.add_argument(
        '--segment',
        type=parse_count,
        action='append',
        default=[],
        metavar='N',
        help='this segment; may be repeated',
    )
    times = 'seconds into the flight, seconds before its end (-10), or a date and time (UTC)'
    parser.add_argument(
        '--from', dest='start', type=parse_moment, metavar='TIME', help=f'first time: {times}'
    )
    parser.add_argument('--to', dest='end', type=parse_moment, metavar='TIME', help='last time')


def flight_and_selection(args: argparse.Namespace) -> tuple[Path, Selection]:
    """
    Return the flight and what of it is meant.

    Raises:
        NoFlightError: There is no such flight.
        UsageError: The arguments contradict each other.

    """
    from fdr_recorder.cli.query_arguments import log_time
    from fdr_recorder.flights.list_recording import list_recording
    from fdr_recorder.flights.pinning import Selection
    from fdr_recorder.flights.recording import Kind
    from fdr_recorder.flights.utc import read_utc

    path = find_flight(args.flight)
    flight = list_recording(path)
    if flight.kind != Kind.FLIGHT.value:
        raise NoFlightError(path, 'is no flight of this recorder, and has no pins')
    if args.segment and (args.start is not None or args.end is not None):
        raise UsageError('--segment goes without --from and --to')
    utc = read_utc(path)
    start, end = log_time(args.start, flight, utc), log_time(args.end, flight, utc)
    if start is not None and end is not None and start > end:
        raise UsageError('--to must not be before --from')
    return path, Selection(tuple(args.segment), start, end)


def tell_pins(verb: str, flight: Path, pins: Pins, *, is_json: bool) -> None:
    """Say what of a flight is pinned."""
    from fdr_recorder.flights.info import read_info

    found = read_info(flight)
    segments = [segment for segment in found.segments if segment.pinned]
    size = sum(segment.bytes for segment in segments)
    if is_json:
        document = {
            'path': str(flight),
            'pins': pins.to_dict(),
            'pinned_segments': [segment.name for segment in segments],
            'pinned_bytes': size,
        }
        print_json(verb, document)
        return
    if not pins:
        say(f'{found.listed.name}: nothing is pinned')
        return
    for window in pins.windows:
        say(f'pinned {_time(window)}: {"; ".join(window.why)}')
    for index, why in sorted(pins.segments.items()):
        say(f'pinned segment {index}: {why}')
    count = plural(len(segments), 'segment')
    say(f'{found.listed.name}: {count} of {len(found.segments):,} pinned, {format_size(size)}')


def _time(window: Window) -> str:
    from fdr_recorder.storage.pins import FIRST_NS, LAST_NS

    if window.is_whole_flight:
        return 'as a whole'
    said = []
    if window.from_ns > FIRST_NS:
        said.append(f'from {format_time(window.from_ns)}')
    if window.to_ns < LAST_NS:
        said.append(f'to {format_time(window.to_ns)}')
    return ' '.join(said)
