# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr top`: the recorder in the terminal, from the files that it writes."""

from __future__ import annotations

import argparse
from contextlib import closing
import threading
import time
from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.argument_types import parse_seconds
from fdr_recorder.cli.colours import painter, Tone, Toned
from fdr_recorder.cli.console import print_json
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.flight_arguments import (
    complete_flight,
    find_flight_or_root,
    offer,
    ROOT_HELP,
)
from fdr_recorder.cli.full_screen import FullScreen, has_screen, keys, screen_size

if TYPE_CHECKING:
    from fdr_recorder.flights.live.root_watch import RootWatch
    from fdr_recorder.flights.live.status import LiveStatus

SUMMARY: Final = 'Watch the recorder: state, rates, losses, disk, alerts'
EXAMPLES: Final = """\
  fdr top
  fdr top /data/flights --interval 0.5
  fdr top --once                       one look, as text
  fdr top --json | jq -r .state

It reads the files that the recorder writes, and needs no ROS: it works over ssh. The recorder
cannot notice it. q quits, the arrows scroll the topics. In a pipe, and on a terminal that cannot
do it, the picture is printed again and again.

  recording    messages are being written
  silent       nothing was written for 3 s: no messages come, or the recorder is held up
  hangs        likewise, and its process is stopped, waits for the disk, or should have written
  degraded     the disk is full, or refuses data
  idle         a recorder is there, and no flight is open
  killed       the last flight was not closed, and no recorder is there
  not running  no recorder is there

exit codes, with --once and --json:
  0  recording
  1  anything else
"""
_FRAME_S: Final = 0.1
_NO_ANSWER_S: Final = 3.0
_LEAST_INTERVAL_S: Final = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flight root, and how often to look."""
    action = parser.add_argument(
        'root',
        metavar='ROOT',
        nargs='?',
        help=f'{ROOT_HELP}; or one flight',
    )
    offer(action, complete_flight)
    parser.add_argument(
        '--interval',
        type=parse_seconds,
        default=1.0,
        metavar='SECONDS',
        help='time between two looks (default: 1)',
    )
    parser.add_argument('--once', action='store_true', help='look once, print it, and end')


def run(args: argparse.Namespace) -> int:
    """Look once, or until the user quits."""
    from fdr_recorder.flights.live.other import look_at_other
    from fdr_recorder.flights.live.root_watch import RootWatch
    from fdr_recorder.flights.recording import Kind, recording_at

    flight, root = find_flight_or_root(args.root)
    if flight is not None and recording_at(flight).kind is not Kind.FLIGHT:
        status = look_at_other(flight, root)
        if args.json:
            print_json('top', status.to_dict())
        else:
            _print(status)
        return EXIT_FINDINGS
    interval = max(args.interval, _LEAST_INTERVAL_S)
    with closing(RootWatch(root, flight)) as watch:
        if args.json or args.once:
            status = watch.look(thorough=True)
            if args.json:
                print_json('top', status.to_dict())
            else:
                _print(status)
            return EXIT_OK if status.state.is_good else EXIT_FINDINGS
        if not has_screen():
            while True:
                _print(watch.look())
                print(flush=True)
                time.sleep(interval)
        return _watch_on_screen(watch, interval)


def _print(status: LiveStatus) -> None:
    from fdr_recorder.cli.live_screen import Screen

    width, _ = screen_size()
    print('\n'.join(Screen(painter()).lines(status, width, None)), flush=True)


class _Looker(threading.Thread):
    """
    Looks again and again: only this thread reads files, which a disk may keep from returning.

    Attributes:
        status: The last look; None before the first.
        looked_at: When that was (monotonic seconds).
        error: Why it has ended; None while it goes on.

    """

    def __init__(self, watch: RootWatch, interval: float) -> None:
        super().__init__(name='fdr_top', daemon=True)
        self.status: LiveStatus | None = None
        self.looked_at = time.monotonic()
        self.error: Exception | None = None
        self._watch = watch
        self._interval = interval
        self._is_over = threading.Event()

    def run(self) -> None:
        try:
            while not self._is_over.is_set():
                self.status, self.looked_at = self._watch.look(), time.monotonic()
                self._is_over.wait(self._interval)
        except Exception as error:  # the main thread decides
            self.error = error

    def end(self) -> None:
        """End it soon; do not wait for a disk that does not answer."""
        self._is_over.set()
        self.join(_FRAME_S)


def _watch_on_screen(watch: RootWatch, interval: float) -> int:
    from fdr_recorder.cli.live_screen import Screen

    looker = _Looker(watch, interval)
    screen, paint = Screen(painter()), painter()
    looker.start()
    try:
        with keys() as typed, FullScreen() as terminal:
            while looker.error is None:
                width, height = screen_size()
                silent_s = time.monotonic() - looker.looked_at - interval
                if looker.status is not None:
                    lines = screen.lines(looker.status, width, height)
                else:
                    lines = ['fdr top: reading ...'[:width]]
                if silent_s > _NO_ANSWER_S:
                    text = Toned(f'the disk has not answered for {silent_s:.0f} s', Tone.BAD)
                    lines[-1] = paint(text, text[:width])
                terminal.show(lines)
                key = typed.next(_FRAME_S)
                page = max(height - 14, 1)
                screen.scrolled += {'up': -1, 'down': 1, 'page up': -page, 'page down': page}.get(
                    key, 0
                )
                if key == 'q':
                    return EXIT_OK
        raise looker.error
    finally:
        looker.end()
