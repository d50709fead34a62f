# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr ls`: list the flights of a flight root, and other recordings there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.colours import tone_of, Toned
from fdr_recorder.cli.console import print_json, progress, say, table
from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.flight_arguments import add_root, find_root, recording_named
from fdr_recorder.cli.permissions import Unreadable
from fdr_recorder.cli.tables import brief
from fdr_recorder.units import format_duration, format_size, format_time, plural

if TYPE_CHECKING:
    from fdr_recorder.flights.listing import ListedFlight

SUMMARY: Final = 'List the flights of a flight root, and other recordings in it'
EXAMPLES: Final = """\
  fdr ls                          flights of the default root
  fdr ls /media/usb/flights       flights of another root; bags and MCAP files in it, too
  fdr ls recording.mcap           one recording
  fdr ls --json | jq '.flights[] | select(.losses.transport > 0) | .flight_id'

status, as far as the ends of the flights tell (`fdr verify` reads every byte):
  complete        nothing is known to be missing    open        being recorded now
  losses          see `missing`                     not closed  by a crash: `fdr recover`
  losses unknown  on some topics: `fdr info`        recovered   not closed, made whole since
  not as asked    nothing of a topic: `fdr info`    damaged     files are not as written
"""
_COLUMNS: Final = (
    '~flight', '&start (UTC)', '>duration', '>size', '>records', 'status', '&missing'
)

_MORE: Final = ('&metadata', '&pins')
"""Columns that are there if a flight has something in them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the root."""
    add_root(parser)


def run(args: argparse.Namespace) -> int:
    """List the flights."""
    from fdr_recorder.flights.list_recording import list_recording
    from fdr_recorder.flights.listing import by_age, list_flight
    from fdr_recorder.storage.flight_root import root_holder

    root, of_flights, of_others = _found(args.root)
    holder = root_holder(root)
    flights, others, unreadable = [], [], Unreadable()
    count = len(of_flights) + len(of_others)
    with progress('looking at flights', count, quiet=args.json) as advance:
        for path in of_flights:
            with unreadable.telling(path):
                flights.append(list_flight(path, holder))
            advance(1)
        for path in of_others:
            with unreadable.telling(path):
                others.append(list_recording(path))
            advance(1)
    flights.sort(key=by_age)
    found = [*flights, *others]
    if args.json:
        print_json(
            'ls',
            {
                'root': str(root),
                'in_use_by': holder.text if holder else None,
                'flights': [flight.to_dict() for flight in flights],
                'others': [other.to_dict() for other in others],
                'unreadable': unreadable.found,
            }
        )
        return unreadable.code(EXIT_OK)
    if found:
        more = [name for name in _MORE if any(getattr(item, name[1:]) for item in found)]
        named = ['&pinned' if name == '&pins' else name for name in more]
        table((*_COLUMNS, *named), (_row(item, more) for item in found))
        print()
    size = format_size(sum(item.bytes for item in found))
    also = f', {plural(len(others), "other recording")}' if others else ''
    also_not = f', and {len(unreadable.found):,} that cannot be read' if unreadable.found else ''
    say(f'{plural(len(flights), "flight")}{also}, {size}, in {root}{also_not}')
    if holder:
        say(f'in use by {holder.text}')
    return unreadable.code(EXIT_OK)


def _found(name: str | None) -> tuple[Path, list[Path], list[Path]]:
    """Return a root, its flights and the other recordings in it; or one recording's directory."""
    from fdr_recorder.flights.directory import flights_in, segment_files
    from fdr_recorder.flights.recording import recordings_in

    if name and (path := recording_named(name)) is not None:
        is_flight = path.is_dir() and segment_files(path)
        return path.parent, [path] if is_flight else [], [] if is_flight else [path]
    root = find_root(name)
    flights = flights_in(root)
    return root, flights, recordings_in(root, flights)


def _row(flight: ListedFlight, more: list[str]) -> tuple[str, ...]:
    metadata = ', '.join(f'{key}={value}' for key, value in flight.metadata.items())
    said = {
        '&metadata': brief(metadata),
        '&pins': brief(flight.pins.reasons),
    }
    return (
        flight.name,
        format_time(flight.utc_started_ns).removesuffix('Z') if flight.utc_started_ns else '-',
        format_duration(flight.duration_s),
        format_size(flight.bytes),
        f'{flight.records:,}',
        Toned(flight.status.words, tone_of(flight.status.verdict)),
        str(flight.status.losses),
        *(said[name] for name in more),
    )
