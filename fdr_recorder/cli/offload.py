# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr offload`: bring flights off the drone, into a store of objects."""

from __future__ import annotations

import argparse
from argparse import ArgumentTypeError
from collections.abc import Callable
import os
from pathlib import Path
import re
import signal
import sys
from threading import Event, Thread
from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.argument_types import parse_seconds, parse_size
from fdr_recorder.cli.console import print_json, progress, say, table, warn
from fdr_recorder.cli.exit_codes import (
    EXIT_FINDINGS,
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
)
from fdr_recorder.cli.fleet.store_argument import add_url, open_store
from fdr_recorder.cli.flight_arguments import complete_flight, find_flight_or_root, offer
from fdr_recorder.errors import NoFlightError, UsageError
from fdr_recorder.units import format_size, plural

if TYPE_CHECKING:
    from fdr_recorder.fleet.offload_flight import FlightOffload, Outcome
    from fdr_recorder.fleet.offload_root import RootOffload
    from fdr_recorder.fleet.pace import Pace
    from fdr_recorder.fleet.store import Store

SUMMARY: Final = 'Bring flights off the drone, into a store of objects'
EXAMPLES: Final = """\
  fdr offload /data/flights s3://flights           all flights of a root
  fdr offload /data/flights /media/usb/flights     a directory is a store, too
  fdr offload FLIGHT s3://flights                  one flight
  fdr offload /data/flights s3://flights --watch --low-priority --rate-limit 500KB/s
                                                   as a service, also while a flight goes on
  fdr offload /data/flights s3://flights --prune   remove here what was read back there
  fdr offload /data/flights s3://flights --prune --receipt-keys fleet_signers
                                                   remove what the fleet has signed a receipt for

It may be ended at any time, and goes on where it was: what has arrived is not sent twice. A flight
is there when its manifest is, which goes last. Of a flight that goes on the closed segments are
brought; a recorder may be recording meanwhile. Credentials come from where the cloud's own tools
look for them. Nothing is ever deleted in the store.

With --prune a flight is removed only if it is closed or recovered, has no pins, and every byte of
it was read back from the store and is the same; with --receipt-keys, if there is a receipt for
exactly that, signed by one of these keys for `fdr-receipt`. .fdr.pruned says so.

exit codes:
  0  all flights are in the store (with --watch: it was told to end)
  1  some are not, or stay here with --prune: the output says why
  2  not all is in the store yet: the store did not answer, or a flight goes on; run it again
"""

_RATE: Final = re.compile(r'(.+?)\s*(?:/s|ps)?', re.IGNORECASE)
_POLL_S: Final = 3.0
_LET_END_S: Final = 1.0
"""So long the thread that works may take to end; it loses nothing when it is cut."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add root, store and options."""
    action = parser.add_argument(
        'source', metavar='FLIGHT|ROOT', help='a flight root, or the directory of one flight'
    )
    offer(action, complete_flight)
    add_url(parser)
    parser.add_argument(
        '--vehicle', metavar='NAME', help='whose flights they are (default: as recorded)'
    )
    parser.add_argument(
        '--watch', action='store_true', help='go on until told to end, with what comes'
    )
    parser.add_argument(
        '--rate-limit',
        type=_parse_rate,
        default=0.0,
        metavar='RATE',
        help='use at most so much of the network, for example 500KB/s',
    )
    parser.add_argument(
        '--low-priority',
        action='store_true',
        help='take only what processor and disk have left',
    )
    parser.add_argument(
        '--prune', action='store_true', help='remove flights here that are certainly in the store'
    )
    parser.add_argument(
        '--receipt-keys',
        type=Path,
        metavar='FILE',
        help='with --prune: allowed signers (see ssh-keygen) whose receipts count, in place of '
        'reading everything back',
    )
    parser.add_argument(
        '--timeout',
        type=parse_seconds,
        default=300.0,
        metavar='SECONDS',
        help='without --watch: give up when nothing has arrived for so long (default: 300)',
    )
    parser.add_argument(
        '-n', '--dry-run', action='store_true', help='only show what would be sent'
    )


def run(args: argparse.Namespace) -> int:
    """Bring the flights."""
    if args.receipt_keys is not None and not args.prune:
        raise UsageError('--receipt-keys goes with --prune')
    if args.dry_run and args.watch:
        raise UsageError('--dry-run and --watch contradict each other')
    flight, root = _source(args)
    if args.low_priority:
        from fdr_recorder.fleet.pace import yield_to_others

        yield_to_others()
    if args.dry_run:
        return _show_waiting(args, flight, root)
    stop = Event()
    work = _Work(args, flight, root, stop)
    code = _in_thread(work.run, stop, is_service=args.watch)
    outcomes = work.outcomes()
    if args.json:
        _print_json(args, root, work.url, outcomes, work.why)
    else:
        _show(outcomes, work.url)
    if work.why:
        warn(work.why)
        return EXIT_INCOMPLETE
    return code if code is not None else _exit_code(outcomes)


def _open_store(args: argparse.Namespace, root: Path) -> Store:
    """
    Open the store that a user names.

    Raises:
        UsageError: It is inside the flight root: what removes a flight there removes its copy.

    """
    store = open_store(args)
    place = store.directory
    if place is not None and place.is_relative_to(root.resolve()):
        raise UsageError(f'the store {place} is inside the flight root {root}; choose another')
    return store


class _Work:
    """
    What the thread does that works.

    Attributes:
        url: Of the store, as people are told.
        why: Why it was given up; empty if it was not.

    """

    def __init__(
        self, args: argparse.Namespace, flight: Path | None, root: Path, stop: Event
    ) -> None:
        self.url = ''
        self.why = ''
        self._args = args
        self._flight = flight
        self._path = root
        self._stop = stop
        self._root: RootOffload | None = None

    def outcomes(self) -> list[Outcome]:
        """Return what became of the flights."""
        return list(self._root.outcomes.values()) if self._root is not None else []

    def run(self) -> None:
        """Bring the flights; raise what a user can do something about."""
        from fdr_recorder.fleet.errors import NotCompleteError, StoppedError
        from fdr_recorder.fleet.journal import Journal
        from fdr_recorder.fleet.offload_flight import FlightOffload
        from fdr_recorder.fleet.offload_root import (
            offload_for_ever,
            offload_once,
            Patience,
            RootOffload,
        )
        from fdr_recorder.fleet.pace import Pace
        from fdr_recorder.fleet.prune_stored import StoredPruner

        args = self._args
        signers = None
        if args.receipt_keys is not None:
            from fdr_recorder.seal.allowed_signers import read_allowed_signers

            signers = read_allowed_signers(args.receipt_keys)
        pace = Pace(args.rate_limit, self._stop)
        try:
            self._wait_for_root(pace)
            store = _open_store(args, self._path)
            self.url = store.url
            with Journal(self._path, store.place) as journal:
                if journal.trouble:
                    what = 'what has arrived cannot be noted there'
                    warn(f'{self._path}: {what}: {journal.trouble}')
                offload = FlightOffload(store, journal, pace, vehicle=args.vehicle)
                pruner = StoredPruner(self._path, offload, signers) if args.prune else None
                self._root = RootOffload(
                    self._path, offload, only=self._flight, pruner=pruner, tell=self._tell
                )
                patience = Patience(offload, None if args.watch else args.timeout)
                if args.watch:
                    offload.sent = lambda _bytes: patience.progress()
                    offload_for_ever(self._root, offload, patience, warn, _POLL_S)
                with progress('offloading', self._waiting(offload), quiet=args.json) as advance:

                    def sent(count: int) -> None:
                        patience.progress()
                        advance(count)

                    offload.sent = sent
                    offload_once(self._root, patience, warn)
        except NotCompleteError as error:
            self.why = str(error)
        except StoppedError:
            return

    def _wait_for_root(self, pace: Pace) -> None:
        """Wait for the root, with --watch."""
        is_told = False
        while self._args.watch and not self._path.is_dir():
            if not is_told:
                warn(f'{self._path} does not exist; waiting for it')
            is_told = True
            pace.wait(_POLL_S)

    def _waiting(self, offload: FlightOffload) -> int:
        from fdr_recorder.flights.directory import flights_in

        flights = [self._flight] if self._flight is not None else flights_in(self._path)
        return sum(offload.waiting(flight)[1] for flight in flights)

    def _tell(self, text: str) -> None:
        if not self._args.json:
            say(text)


def _in_thread(work: Callable[[], None], stop: Event, *, is_service: bool) -> int | None:
    """
    Do work in a thread, so that a signal ends this process at once although the network hangs.

    Return the exit code if a signal has ended it, else None; raise what the work raises.
    """
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # raised again below
            raised.append(error)

    thread = Thread(target=guarded, name='fdr_offload', daemon=True)
    former = signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    code = None
    try:
        thread.start()
        while thread.is_alive() and not stop.is_set():
            thread.join(0.1)
        if stop.is_set():
            code = EXIT_OK if is_service else EXIT_INCOMPLETE
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, former)
    if code is not None:
        from fdr_recorder.fleet.pace import yield_no_more

        yield_no_more()
        stop.set()
        thread.join(_LET_END_S)
        if thread.is_alive():  # in a call of the network
            sys.stdout.flush()
            os._exit(code)
    if raised:
        raise raised[0]
    return code


def _source(args: argparse.Namespace) -> tuple[Path | None, Path]:
    """Return the flight that is named, if it is one, and the root."""
    from fdr_recorder.flights.directory import segment_files

    path = Path(args.source).expanduser()
    if args.watch and not path.exists():
        return None, path
    flight, root = find_flight_or_root(args.source)
    if flight is not None and not (flight.is_dir() and segment_files(flight)):
        raise NoFlightError(flight, 'is no flight of the recorder; only such are brought')
    return (flight.absolute() if flight is not None else None), root.absolute()


def _show_waiting(args: argparse.Namespace, flight: Path | None, root: Path) -> int:
    """Show what would be sent, by what is known here; nothing is asked of the store."""
    from fdr_recorder.fleet.journal import Journal
    from fdr_recorder.fleet.layout import FlightKey
    from fdr_recorder.fleet.offload_flight import Arrival, FlightOffload, Outcome
    from fdr_recorder.fleet.pace import Pace
    from fdr_recorder.flights.directory import flights_in

    store = _open_store(args, root)
    journal = Journal(root, store.place, is_dry=True)
    offload = FlightOffload(store, journal, Pace(), vehicle=args.vehicle)
    found = []
    for path in [flight] if flight is not None else flights_in(root):
        files, size = offload.waiting(path)
        key = FlightKey(offload.facts(path).vehicle, path.name)
        manifest = journal.of(path.name).manifest
        is_there = bool(manifest) and not files
        arrival = Arrival.STORED if is_there else Arrival.PENDING
        found.append(Outcome(path, key, arrival, files, size, manifest=manifest))
    if args.json:
        _print_json(args, root, store.url, found, '')
        return EXIT_OK
    if found:
        rows = [
            (item.key.vehicle, item.key.flight, f'{item.files:,}', format_size(item.bytes))
            for item in found
        ]
        table(('~vehicle', '~flight', '>files to send', '>size'), rows)
        print()
    size = sum(item.bytes for item in found)
    say(f'{plural(len(found), "flight")}, {format_size(size)} would be sent to {store.url}')
    return EXIT_OK


def _show(outcomes: list[Outcome], url: str) -> None:
    from fdr_recorder.fleet.offload_flight import Arrival

    stored = [item for item in outcomes if item.arrival is Arrival.STORED]
    gone = sum(item.is_pruned for item in outcomes)
    sent = format_size(sum(item.sent_bytes for item in outcomes))
    removed = f', {gone:,} removed here' if gone else ''
    count = plural(len(outcomes), 'flight')
    say(f'{len(stored):,} of {count} in {url}{removed}; {sent} sent')


def _print_json(
    args: argparse.Namespace, root: Path, url: str, outcomes: list[Outcome], why: str
) -> None:
    print_json(
        'offload',
        {
            'root': str(root),
            'url': url,
            'dry_run': args.dry_run,
            'flights': [item.to_dict() for item in outcomes],
            'sent_bytes': sum(item.sent_bytes for item in outcomes),
            'is_complete': not why and _exit_code(outcomes) == EXIT_OK,
            'why': why,
        },
    )


def _exit_code(outcomes: list[Outcome]) -> int:
    from fdr_recorder.fleet.offload_flight import Arrival

    arrivals = {item.arrival for item in outcomes}
    if arrivals & {Arrival.ONGOING, Arrival.PENDING}:
        return EXIT_INCOMPLETE
    has_fault = arrivals & {Arrival.REFUSED, Arrival.FAILED}
    return EXIT_FINDINGS if has_fault or any(item.stays for item in outcomes) else EXIT_OK


def _parse_rate(text: str) -> float:
    """Return bytes a second."""
    match = _RATE.fullmatch(text.strip())
    try:
        rate = parse_size(match[1] if match else text)
    except ArgumentTypeError:
        rate = 0
    if rate < 1000:
        raise ArgumentTypeError(
            f'invalid rate: {text!r}; write for example 500KB/s or 2MB/s, at least 1KB/s'
        )
    return float(rate)
