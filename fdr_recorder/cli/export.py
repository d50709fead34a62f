# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr export`: copies a flight, or a part of it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Final

from fdr_recorder.cli.console import print_json, progress, say, warn
from fdr_recorder.cli.flight_arguments import add_flight, find_flight
from fdr_recorder.cli.query_arguments import add_cut, make_selection
from fdr_recorder.cli.verb import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.units import format_duration, format_size, plural

SUMMARY: Final = 'Copy a flight, or a part of it, into one MCAP file or a bag'
EXAMPLES: Final = """\
  fdr export FLIGHT -o flight.mcap                            all of it, in one file
  fdr export FLIGHT -o bag -t '/imu/*' -t /tf_static          some topics, as a rosbag2 bag
  fdr export FLIGHT -o end.mcap --start -10                   the last ten seconds
  fdr export FLIGHT -o cut.mcap --start 62.5 --duration 5 --compression zstd

Messages keep their data, times, sequence numbers and channels. A part that does not begin with the
flight begins with the last message of each latched topic from before; these have the time of its
start. What is exported is no flight: `fdr verify` is for the original.

exit codes:
  0  exported
  1  exported what can be read; some of it cannot, see `fdr verify`
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add flight, output, topics and times."""
    add_flight(parser)
    parser.add_argument(
        '-o',
        '--output',
        required=True,
        type=Path,
        metavar='OUT',
        help='NAME.mcap for one file, any other name for the directory of a bag; nothing may be '
        'there yet',
    )
    add_cut(parser)
    parser.add_argument(
        '--compression',
        choices=('none', 'lz4', 'zstd'),
        default='none',
        help='of the output (default: none)',
    )


def run(args: argparse.Namespace) -> int:
    """Copy it."""
    from fdr_recorder.flights.export import export
    from fdr_recorder.flights.listing import list_flight
    from fdr_recorder.storage.flight_root import root_holder

    path = find_flight(args.flight)
    flight = list_flight(path, root_holder(path.absolute().parent))
    selection = make_selection(args, flight, with_latched=True)
    with progress(f'exporting {path.name}', flight.bytes, quiet=args.json) as advance:
        exported = export(
            selection,
            args.output.expanduser(),
            compression=args.compression,
            advance=advance,
        )
    if args.json:
        print_json({**asdict(exported), 'path': str(exported.path)})
    else:
        seconds = (exported.last_ns - exported.first_ns) / 1e9
        say(
            f'{exported.path}: {plural(exported.messages, "message")} of '
            f'{plural(exported.topics, "topic")}, {format_duration(seconds)}, '
            f'{format_size(exported.bytes)}'
        )
    for text in exported.damage:
        warn(f'not exported: {text}')
    return EXIT_FINDINGS if exported.damage else EXIT_OK
