# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The arguments of `export` and `cat`: a flight, and which of its topics and times."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from fdr_recorder.cli.argument_types import Moment, parse_moment, parse_seconds
from fdr_recorder.cli.console import warn
from fdr_recorder.cli.flight_arguments import complete_topic, find_flight, offer
from fdr_recorder.errors import UsageError
from fdr_recorder.units import NS_PER_S

if TYPE_CHECKING:
    from fdr_recorder.flights.listing import ListedFlight
    from fdr_recorder.flights.query import Query
    from fdr_recorder.flights.utc import UtcTimes


def add_query(parser: argparse.ArgumentParser) -> None:
    """Add topics and times."""
    action = parser.add_argument(
        '-t',
        '--topic',
        action='append',
        default=[],
        metavar='TOPIC',
        help='only this topic, or topics that match a pattern: * stands for one part of a name, '
        '** for several; may be repeated (default: all topics)',
    )
    offer(action, complete_topic)
    parser.add_argument(
        '--type',
        action='append',
        default=[],
        metavar='TYPE',
        help='only messages of this type (sensor_msgs/msg/Imu), for a topic that has several; may '
        'be repeated',
    )
    times = 'seconds into the flight, seconds before its end (-10), or a date and time (UTC)'
    parser.add_argument('--start', type=parse_moment, metavar='TIME', help=f'first time: {times}')
    parser.add_argument('--end', type=parse_moment, metavar='TIME', help='first time to leave out')
    parser.add_argument(
        '--duration', type=parse_seconds, metavar='SECONDS', help='instead of --start or --end'
    )
    parser.add_argument(
        '--utc',
        action='store_true',
        help='log times in true UTC, if the clock of the vehicle was wrong; publish times stay',
    )


def make_query(
    args: argparse.Namespace, *, with_latched: bool = False
) -> tuple[ListedFlight, Query]:
    """
    Return the flight and the query that the arguments ask for; warn if its end may be missing.

    Raises:
        NoFlightError: There is no such flight.
        UsageError: The times contradict each other.

    """
    from fdr_recorder.flights.in_use import holder_of_root
    from fdr_recorder.flights.list_recording import list_recording
    from fdr_recorder.flights.query import Query
    from fdr_recorder.flights.status import Ended
    from fdr_recorder.flights.utc import read_utc

    path = find_flight(args.flight)
    flight = list_recording(path, holder_of_root(path))
    if flight.status.ended is Ended.UNKNOWN:
        warn(f'{flight.path} was never closed: what came last may be missing; see `fdr recover`')
    if args.duration is not None and args.start is not None and args.end is not None:
        raise UsageError('--duration goes with --start or with --end, not with both')
    started_ns, utc = flight.started_ns, read_utc(path)
    start, end = log_time(args.start, flight, utc), log_time(args.end, flight, utc)
    if args.duration is not None:
        duration = round(args.duration * NS_PER_S)
        if end is not None:
            start = end - duration
        else:
            start = started_ns if start is None else start
            end = start + duration
    if start is not None and end is not None and start >= end:
        raise UsageError('--end must be later than --start')
    query = Query(
        path,
        tuple(args.topic),
        start,
        end,
        with_latched=with_latched,
        utc=utc if args.utc else None,
        types=tuple(args.type),
    )
    return flight, query


def log_time(moment: Moment | None, flight: ListedFlight, utc: UtcTimes) -> int | None:
    """Return a moment as a log time of the flight; a date and time is true UTC."""
    if moment is None:
        return None
    time_ns = moment.in_flight(flight.started_ns, flight.ended_ns)
    return time_ns if moment.time_ns is None else utc.log_time(time_ns)
