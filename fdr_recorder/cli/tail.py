# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr tail`: messages as they are recorded, from the files of the flight."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence, Set
import json
from pathlib import Path
import sys
import time
from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.argument_types import parse_count
from fdr_recorder.cli.console import json_of, warn
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.flight_arguments import (
    complete_flight,
    complete_topic,
    find_flight_or_root,
    offer,
    ROOT_VARIABLE,
)
from fdr_recorder.cli.message_objects import add_short, MessageObjects
from fdr_recorder.errors import NoFlightError, SegmentError
from fdr_recorder.units import plural

if TYPE_CHECKING:
    from fdr_recorder.flights.follow import FlightFollower
    from fdr_recorder.mcap.decode import FileChannel, Message

SUMMARY: Final = 'Print messages as they are recorded'
EXAMPLES: Final = """\
  fdr tail /gps/fix
  fdr tail /battery '/imu/*' --short            several topics, and patterns
  fdr tail /gps/fix -n 1                        the next one
  fdr tail /gps/fix --last 10                   the last ten, and then what comes
  fdr tail '/fdr/*' --flight FLIGHT --last 3    the recorder's own records
  fdr tail --follow-next                        everything, flight after flight

It reads the files that the recorder writes, and needs no ROS. A message is there as soon as it is
written: at most writer.flush_interval_s (0.25 s) after it was received, and 0.1 s. The lines are
those of `fdr cat`; with --json each has `schema` besides. What is recorded again at the beginning
of a segment is not printed again. It ends when the flight is closed; with --follow-next it goes on
with the next one, and waits if none is being recorded.

exit codes:
  0    the flight was closed, or N messages were printed
  1    the flight was not closed: its recorder was ended; or some of it was missed or is unreadable
  3    no flight is being recorded
  130  interrupted
"""
_POLL_S: Final = 0.05
_LOOK_S: Final = 1.0
"""How often it is looked whether the flight is still being recorded, when nothing comes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add topics, the flight, and limits."""
    action = parser.add_argument(
        'topic',
        nargs='*',
        metavar='TOPIC',
        help='a topic, or a pattern: * stands for one part of a name, ** for several (default: '
        "all topics but the recorder's own)",
    )
    offer(action, complete_topic)
    action = parser.add_argument(
        '--flight',
        metavar='FLIGHT',
        help='a flight, or a flight root for the flight that is being recorded there (default: '
        f'${ROOT_VARIABLE}, else the current directory if it has flights, else ~/fdr_flights)',
    )
    offer(action, complete_flight)
    parser.add_argument(
        '-n', '--limit', type=parse_count, metavar='N', help='stop after N messages'
    )
    parser.add_argument(
        '--last',
        type=parse_count,
        default=0,
        metavar='N',
        help='begin with the last N messages that are there already (default: 0)',
    )
    add_short(parser)
    parser.add_argument(
        '--follow-next',
        action='store_true',
        help='go on with the next flight, and wait if none is being recorded',
    )


def run(args: argparse.Namespace) -> int:
    """Print messages until the flight ends."""
    from fdr_recorder.flights.recording import Kind, recording_at

    flight, root = find_flight_or_root(args.flight)
    if flight is not None and recording_at(flight).kind is not Kind.FLIGHT:
        raise NoFlightError(flight, 'is no flight, and does not grow here; see `fdr info`')
    wants, printer = _selection(args.topic), _Printer(args)
    passed: set[Path] = set()
    code = EXIT_OK
    while not printer.is_done:
        from_start = bool(passed)
        if flight is None:
            flight, has_waited = _next_flight(root, passed, may_wait=args.follow_next)
            from_start = from_start or has_waited
        follow = _Following(flight, wants, printer, 0 if from_start else args.last)
        code = max(code, follow.run(from_start=from_start))
        if not args.follow_next:
            break
        passed.add(flight)
        flight = None
    for text in printer.objects.problems:
        warn(text)
    return EXIT_FINDINGS if printer.objects.problems else code


def _selection(topics: Sequence[str]) -> Callable[[FileChannel], bool]:
    """Return what tells whether a channel is wanted."""
    from fdr_recorder.record.payload import OWN_TOPIC_PREFIX
    from fdr_recorder.topics.names import compile_pattern

    patterns = [compile_pattern(topic) for topic in topics]
    if not patterns:
        return lambda channel: not channel.topic.startswith(OWN_TOPIC_PREFIX)
    return lambda channel: any(pattern.fullmatch(channel.topic) for pattern in patterns)


def _next_flight(root: Path, passed: Set[Path], *, may_wait: bool) -> tuple[Path, bool]:
    """Return the flight that is being recorded, and whether it was waited for."""
    from fdr_recorder.flights.follow import recorded_flight

    has_waited = False
    while True:
        flight = recorded_flight(root)
        if flight is not None and flight not in passed:
            return flight, has_waited
        if not may_wait:
            what = 'no flight is being recorded there; `--follow-next` waits for one'
            raise NoFlightError(root, f'{what}, `fdr cat` prints one that has ended')
        has_waited = True
        time.sleep(_LOOK_S / 2)


class _Printer:
    """Prints messages, so many at most."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.objects = MessageObjects(short=args.short)
        self._left: int | None = args.limit
        self._is_json: bool = args.json

    @property
    def is_done(self) -> bool:
        return self._left == 0

    def print(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if self.is_done:
                break
            said = self.objects.of(message)
            print(json.dumps(json_of('tail', said) if self._is_json else said))
            if self._left is not None:
                self._left -= 1
        sys.stdout.flush()


class _Following:
    """Prints what comes in one flight, until it ends."""

    def __init__(
        self, flight: Path, wants: Callable[[FileChannel], bool], printer: _Printer, last: int
    ) -> None:
        self._flight = flight
        self._wants = wants
        self._printer = printer
        self._last = last
        self._code = EXIT_OK
        self._told: set[str] = set()

    def run(self, *, from_start: bool) -> int:
        """Follow the flight; return the exit code."""
        from fdr_recorder.flights.follow import FlightFollower, last_messages

        if not self._last and not self._is_recorded():
            what = 'is not being recorded; `fdr cat` prints it, `--last N` its last messages'
            raise NoFlightError(self._flight, what)
        with FlightFollower(self._flight, from_start=from_start) as follower:
            if self._last:
                self._printer.print(last_messages(follower, self._wants, self._last))
            elif not from_start:
                follower.chunks_so_far()  # and not printed
            self._follow(follower)
        return self._code

    def _follow(self, follower: FlightFollower) -> None:
        look_at = time.monotonic() + _LOOK_S
        is_over = False
        while not self._printer.is_done:
            is_last = is_over
            if self._print_new(follower):
                look_at, is_last = time.monotonic() + _LOOK_S, False
            if follower.has_footer and follower.segment.is_closed:
                return
            if is_last:
                self._warn(
                    f'{self._flight} was not closed: its recorder has ended without that; what '
                    'came last may be missing; see `fdr recover`'
                )
                return
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + _LOOK_S
                is_over = not self._is_recorded()
            time.sleep(_POLL_S)

    def _print_new(self, follower: FlightFollower) -> bool:
        """Print what is new; return whether anything is, be it wanted or not."""
        has_new = False
        for new in follower.new_chunks():
            has_new = True
            if not any(map(self._wants, new.channels())):
                continue
            try:
                messages = new.messages()
            except SegmentError as error:
                self._warn(str(error))
                continue
            self._printer.print(m for m in messages if self._wants(m.channel))
            if self._printer.is_done:
                break
        if follower.missed:
            missed, follower.missed = follower.missed, 0
            self._warn(f'{plural(missed, "segment")} were dropped before they could be read')
        if follower.segment.problem is not None:
            self._warn(f'{follower.segment.problem}; what follows in this segment is left out')
        return has_new

    def _is_recorded(self) -> bool:
        from fdr_recorder.flights.follow import is_recorded
        from fdr_recorder.flights.in_use import holder_of_root

        return is_recorded(self._flight, holder_of_root(self._flight))

    def _warn(self, text: str) -> None:
        self._code = EXIT_FINDINGS
        if text not in self._told:
            self._told.add(text)
            warn(text)
