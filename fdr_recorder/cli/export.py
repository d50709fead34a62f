# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr export`: copy a flight, or a part of it, or make tables of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from fdr_recorder.cli.console import print_json, progress, say, warn
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.flight_arguments import add_flight
from fdr_recorder.cli.query_arguments import add_query, make_query
from fdr_recorder.errors import UsageError
from fdr_recorder.units import format_duration, format_size, NS_PER_S, plural
from fdr_recorder.version import BAG_VERSION, OLDEST_BAG_VERSION

_FILE_SUFFIXES: Final = ('.mcap', '.parquet', '.csv', '.jsonl')
SUMMARY: Final = 'Copy a flight, or a part of it, into one MCAP file or a bag, or as tables'
EXAMPLES: Final = """\
  fdr export FLIGHT -o flight.mcap                            all of it, in one file
  fdr export FLIGHT -o bag -t '/imu/*' -t /tf_static          some topics, as a rosbag2 bag
  fdr export FLIGHT -o end.mcap --start -10                   the last ten seconds
  fdr export FLIGHT -o flight.mcap --utc                      log times in true UTC
  fdr export FLIGHT -o bag --bag-version 5              a bag that ROS 2 Humble plays
  fdr export FLIGHT -o cut.mcap --start 62.5 --duration 5 --compression zstd
  fdr export FLIGHT -o tables --format parquet          a table for each topic
  fdr export FLIGHT -o csv --format csv -t /gps/fix     one for a spreadsheet
  fdr export FLIGHT --proof proof --start 60 --duration 5     sealed segments, as evidence

With --utc log times are true UTC, as `fdr info` shows it: the clock of the vehicle may have been
wrong when the flight began. Publish times stay as the publishers' clocks had them.

Messages keep their data, times, sequence numbers and channels. A part that starts later than the
flight begins with the last message of each latched topic, at the time of the part's start. The
copy is not a flight: use `fdr verify` on the original.

A table has a row for each message: log_time, publish_time, sequence, publisher, and its fields,
named as in header.stamp.sec; lists stay lists. tables.json says which file has what. Parquet needs
pyarrow (pip install 'fdr_recorder[data]'); CSV and JSON lines need nothing.

With --proof whole segments of a sealed flight are copied byte for byte, with SEALS, SHA256SUMS and
metadata.yaml; `fdr verify --keys` checks them like the flight.

exit codes:
  0  all was exported
  1  some of it cannot be read, see `fdr verify`, or not be decoded; the rest was exported
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add flight, output, topics and times."""
    add_flight(parser)
    output = parser.add_mutually_exclusive_group(required=True)
    output.add_argument(
        '-o',
        '--output',
        type=Path,
        metavar='OUT',
        help='NAME.mcap for one file, any other name for the directory of a bag, or of tables; '
        'must not exist',
    )
    output.add_argument(
        '--proof',
        type=Path,
        metavar='OUT',
        help='instead: a directory with the whole sealed segments that the messages are in, and '
        'all that is needed to check them; must not exist',
    )
    add_query(parser)
    parser.add_argument(
        '--format',
        choices=('mcap', 'parquet', 'csv', 'jsonl'),
        default='mcap',
        help='mcap: messages as they are; the others: a table for each topic (default: mcap)',
    )
    parser.add_argument(
        '--compression',
        choices=('none', 'lz4', 'zstd'),
        help='compression of the output (default: none; of parquet: zstd)',
    )
    parser.add_argument(
        '--bag-version',
        type=int,
        choices=range(OLDEST_BAG_VERSION, BAG_VERSION + 1),
        help='version of the bag metadata, for the rosbag2 that is to read it: 5 for Humble, 7 '
        'for Iron, 9 for Jazzy and later (default: 9)',
    )


def run(args: argparse.Namespace) -> int:
    """Copy the flight, or the part of it."""
    from fdr_recorder.flights.export import export

    if args.proof is not None:
        return _prove(args)
    is_table = args.format != 'mcap'
    if is_table and args.bag_version is not None:
        raise UsageError('--bag-version goes with --format mcap')
    if args.format in ('csv', 'jsonl') and args.compression not in (None, 'none'):
        raise UsageError(f'--compression does not go with --format {args.format}')
    if is_table and args.output.suffix in _FILE_SUFFIXES:
        what = f'--format {args.format} makes a directory, with a file for each topic'
        raise UsageError(f'{what}: -o {args.output.with_suffix("")}')
    flight, query = make_query(args, with_latched=True)
    with progress(f'exporting {flight.flight_id}', flight.bytes, quiet=args.json) as advance:
        exported = export(
            query,
            args.output.expanduser(),
            format=args.format,
            compression=args.compression,
            bag_version=args.bag_version or BAG_VERSION,
            advance=advance,
        )
    if args.json:
        print_json('export', exported.to_dict())
    else:
        seconds = (exported.last_ns - exported.first_ns) / NS_PER_S
        tables = f'{plural(len(exported.tables), "table")}, ' if is_table else ''
        say(
            f'{exported.path}: {tables}{plural(exported.messages, "message")} of '
            f'{plural(exported.topics, "topic")}, {format_duration(seconds)}, '
            f'{format_size(exported.bytes)}'
        )
    for text in exported.damage:
        warn(f'not exported: {text}')
    return EXIT_FINDINGS if exported.damage else EXIT_OK


def _prove(args: argparse.Namespace) -> int:
    """Copy whole sealed segments."""
    from fdr_recorder.flights.proof import export_proof

    if args.utc or args.format != 'mcap' or args.compression or args.bag_version is not None:
        raise UsageError('--proof copies segments as they are: no --utc, --format, --compression')
    flight, query = make_query(args)
    with progress(f'exporting {flight.flight_id}', flight.bytes, quiet=args.json) as advance:
        proof = export_proof(query, args.proof.expanduser(), advance=advance)
    if args.json:
        print_json('export', proof.to_dict())
    else:
        say(
            f'{proof.path}: {plural(len(proof.segments), "sealed segment")}, '
            f'{format_size(proof.bytes)}; {len(proof.left_out)} left out'
        )
    for text in proof.damage:
        warn(f'copied as it is: {text}')
    return EXIT_FINDINGS if proof.damage else EXIT_OK
