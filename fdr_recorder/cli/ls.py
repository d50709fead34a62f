# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr ls`: list the flights of a flight root."""

from __future__ import annotations

import argparse
from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.colours import tone_of, Toned
from fdr_recorder.cli.console import print_json, progress, say, table
from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.flight_arguments import add_root, find_root
from fdr_recorder.cli.permissions import Unreadable
from fdr_recorder.units import format_duration, format_size, format_time, plural

if TYPE_CHECKING:
    from fdr_recorder.flights.listing import ListedFlight

SUMMARY: Final = 'List the flights of a flight root'
EXAMPLES: Final = """\
  fdr ls                          flights of the default root
  fdr ls /media/usb/flights       flights of another root
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the root."""
    add_root(parser)


def run(args: argparse.Namespace) -> int:
    """List the flights."""
    from fdr_recorder.flights.directory import flights_in
    from fdr_recorder.flights.listing import by_age, list_flight
    from fdr_recorder.storage.flight_root import root_holder

    root = find_root(args.root)
    holder = root_holder(root)
    paths = flights_in(root)
    flights, unreadable = [], Unreadable()
    with progress('looking at flights', len(paths), quiet=args.json) as advance:
        for path in paths:
            with unreadable.telling(path):
                flights.append(list_flight(path, holder))
            advance(1)
    flights.sort(key=by_age)
    if args.json:
        print_json(
            'ls',
            {
                'root': str(root),
                'in_use_by': holder.text if holder else None,
                'flights': [flight.to_dict() for flight in flights],
                'unreadable': unreadable.found,
            }
        )
        return unreadable.code(EXIT_OK)
    if flights:
        table(_COLUMNS, map(_row, flights))
        print()
    size = format_size(sum(flight.bytes for flight in flights))
    more = f', and {len(unreadable.found):,} that cannot be read' if unreadable.found else ''
    say(f'{plural(len(flights), "flight")}, {size}, in {root}{more}')
    if holder:
        say(f'in use by {holder.text}')
    return unreadable.code(EXIT_OK)


def _row(flight: ListedFlight) -> tuple[str, ...]:
    return (
        flight.name,
        format_time(flight.utc_started_ns).removesuffix('Z'),
        format_duration(flight.duration_s),
        format_size(flight.bytes),
        f'{flight.records:,}',
        Toned(flight.status.words, tone_of(flight.status.verdict)),
        str(flight.status.losses),
    )
