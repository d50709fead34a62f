# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr play`: publish a flight again."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import sys
import time
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.cli.argument_types import parse_frequency, parse_interval, parse_rate
from fdr_recorder.cli.console import print_json, say, warn
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.flight_arguments import add_flight
from fdr_recorder.cli.full_screen import Keys, keys
from fdr_recorder.cli.query_arguments import add_query, make_query
from fdr_recorder.errors import NoFlightError, UsageError
from fdr_recorder.units import format_duration, NS_PER_S, plural, short

if TYPE_CHECKING:
    from fdr_recorder.flights.listing import ListedFlight
    from fdr_recorder.flights.playback import Timed
    from fdr_recorder.flights.query import Query
    from fdr_recorder.node.play import Outlets, Player

SUMMARY: Final = 'Publish a flight again'
EXAMPLES: Final = """\
  fdr play FLIGHT
  fdr play FLIGHT -t /imu/data -t '/gps/*' --rate 2
  fdr play FLIGHT --start 60 --duration 10 --loop
  fdr play FLIGHT --clock --remap /imu/data:=/replay/imu

Messages are published as they were serialised, each at its time, with the QoS that was recorded.
The last message of each latched topic from before the start comes first. Space pauses and goes on,
q or Ctrl-C ends. A type has to be installed to be published; a topic whose type is not is left
out, and so are the recorder's own. ROS_DOMAIN_ID and the like choose where, as for any node.

exit codes:
  0    all was played, or q was pressed
  1    some topics were left out, or some of it cannot be read; the rest was played
  130  interrupted
"""
CLOCK_HZ: Final = 40.0
_FRAME_S: Final = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flight, which part of it, and how."""
    add_flight(parser)
    add_query(parser)
    parser.add_argument(
        '-r', '--rate', type=parse_rate, default=1.0, metavar='N',
        help='so many times as fast (default: 1)',
    )
    parser.add_argument(
        '--remap', type=_parse_remap, action='append', default=[], metavar='FROM:=TO',
        help='publish a topic under another name; may be repeated',
    )
    parser.add_argument('-l', '--loop', action='store_true', help='begin again at the end')
    parser.add_argument(
        '--clock', type=parse_frequency, nargs='?', const=CLOCK_HZ, default=0.0, metavar='HZ',
        help=f'publish the time of the flight on /clock, by default {CLOCK_HZ:g} times a second',
    )
    parser.add_argument(
        '--delay', type=parse_interval, default=1.0, metavar='SECONDS',
        help='begin once no subscriber was newly found for so long (default: 1), or 5 s later',
    )
    parser.add_argument(
        '--publish-time', action='store_true',
        help='play by the times at which messages were published, not received',
    )


def _parse_remap(text: str) -> tuple[str, str]:
    old, arrow, new = text.partition(':=')
    if not (arrow and old.startswith('/') and new):
        raise argparse.ArgumentTypeError(f'invalid: {text!r}; write for example /imu:=/replay/imu')
    return old, new


def run(args: argparse.Namespace) -> int:
    """Play until the end."""
    try:
        from fdr_recorder.node.play import Outlets, play_node, Player, Schedule
    except ImportError as error:
        raise UsageError(
            f'playing needs ROS 2, and that is not here ({error}); source its setup.bash'
        ) from None
    from fdr_recorder.flights.playback import in_order, topics_in

    flight, query = make_query(args, with_latched=True)
    topics = topics_in(flight.path, query)
    if not topics:
        raise NoFlightError(flight.path, 'has none of the topics that are asked for')
    made: list[Query] = []

    def messages() -> Iterator[Timed]:
        made[:] = [make_query(args, with_latched=True)[1] if made else query]
        return in_order(made[0], by_publish_time=args.publish_time)

    with play_node() as node:
        outlets = Outlets.make(node, topics, dict(args.remap))
        for key, why in outlets.left_out.items():
            warn(f'{short(key.topic)} is left out: {why}')
        if not outlets.by_topic:
            raise NoFlightError(flight.path, 'has no topic that can be published here')
        start_ns = None if args.publish_time else query.start_ns
        schedule = Schedule(args.rate, start_ns, args.loop, args.clock, args.delay)
        player = Player(node, outlets, messages, schedule)
        began = time.monotonic()
        player.start()
        try:
            _attend(player, flight, quiet=args.json)
        finally:
            player.end()
        took_s = time.monotonic() - began
    if player.error is not None:
        raise player.error
    for text in query.damage:
        warn(text)
    _tell(args, flight, outlets, player, took_s)
    return EXIT_FINDINGS if outlets.left_out or query.damage else EXIT_OK


def _attend(player: Player, flight: ListedFlight, *, quiet: bool) -> None:
    """Show how far it is, and obey keys, until it ends: this thread may wait for the terminal."""
    is_shown = not quiet and sys.stderr.isatty()
    with keys() as typed:
        if typed.are_there and not quiet:
            warn('space: pause; q: end')
        try:
            while player.is_alive():
                if is_shown:
                    sys.stderr.write(f'\r{_progress(player, flight)}\x1b[K')
                    sys.stderr.flush()
                if not _obey(player, typed):
                    return
        finally:
            if is_shown:
                sys.stderr.write('\r\x1b[K')
                sys.stderr.flush()


def _obey(player: Player, typed: Keys) -> bool:
    """Wait for a key, and do what it says; return False if that is to end."""
    if not typed.are_there:
        player.join(_FRAME_S)
        return True
    key = typed.next(_FRAME_S)
    if key == 'space':
        player.pause(is_paused=not player.is_paused)
    return key != 'q'


def _progress(player: Player, flight: ListedFlight) -> str:
    if not player.position_ns:
        return 'waiting for subscribers'
    at_s = max(player.position_ns - flight.started_ns, 0) / NS_PER_S
    paused = '  paused' if player.is_paused else ''
    played = plural(player.published, 'message')
    return f'{at_s:.1f} s of {flight.duration_s:.1f} s  {played}{paused}'


def _tell(
    args: argparse.Namespace,
    flight: ListedFlight,
    outlets: Outlets,
    player: Player,
    took_s: float,
) -> None:
    late = sorted(player.lateness_ns)
    late_ms = {
        'median': _part(late, 0.5), 'p99': _part(late, 0.99), 'max': _part(late, 1.0),
    }
    said: dict[str, Any] = {
        'path': str(flight.path),
        'messages': player.published,
        'topics': len(outlets.by_topic),
        'seconds': took_s,
        'late_ms': late_ms,
        'left_out': [
            {'name': key.topic, 'type': key.type_name, 'reason': why}
            for key, why in outlets.left_out.items()
        ],
    }
    if args.json:
        print_json('play', said)
        return
    words = f'{plural(player.published, "message")} of {plural(len(outlets.by_topic), "topic")}'
    say(
        f'{flight.path}: {words} in {format_duration(took_s)}; late by {late_ms["median"]:.2f} ms '
        f'(median), {late_ms["p99"]:.2f} ms (99 %)'
    )


def _part(late: list[int], part: float) -> float:
    """Return a quantile of times in milliseconds; 0 without any."""
    return late[min(int(len(late) * part), len(late) - 1)] / 1e6 if late else 0.0
