# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr recover`: make flights whole that were never closed."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.cli.colours import Tone, Toned
from fdr_recorder.cli.console import print_json, progress, say, warn
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.flight_arguments import add_flight, find_flights
from fdr_recorder.cli.passphrases import add_key, identity_for
from fdr_recorder.cli.permissions import Unreadable
from fdr_recorder.errors import UsageError
from fdr_recorder.units import format_duration, format_size, plural

if TYPE_CHECKING:
    from fdr_recorder.flights.export import Exported
    from fdr_recorder.flights.recovery.added_segment import Identify
    from fdr_recorder.flights.recovery.recover import RecoveredFlight

SUMMARY: Final = 'Make flights whole that were never closed; others are left alone'
EXAMPLES: Final = """\
  fdr recover /data/flights --dry-run    show which flights need it
  fdr recover /data/flights              recover them
  fdr recover flight_20261122T110505Z_1aef
  fdr recover /data/flights --key ~/.ssh/fdr_identity    sign what is added to sealed flights
  fdr recover torn.mcap -o whole.mcap    what can be read of another recording

A recording of another program is never changed: what can be read of it is copied, with -o, into
one MCAP file, or into a bag. So is a segment that lies alone.

In a flight that is sealed no sealed byte changes: its footer goes into a segment of its own. With
--key that is sealed, and SHA256SUMS renewed, by whoever recovers; without it nothing is signed.

The recorder does the same when it is configured. While a recorder owns the flight root, or writes
the flight, `fdr recover` refuses to run, whatever name leads there.

exit codes:
  0  all flights are whole
  1  with --dry-run: some flights need it; otherwise: nothing can be read of a flight
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flights."""
    add_flight(parser, several=True)
    parser.add_argument(
        '-n', '--dry-run', action='store_true', help='only show which flights need it'
    )
    parser.add_argument(
        '-o',
        '--output',
        type=Path,
        metavar='OUT',
        help='for one recording that is no flight: NAME.mcap for one file, any other name for '
        'the directory of a bag; must not exist',
    )
    add_key(parser, 'signs what is added to sealed flights')


def run(args: argparse.Namespace) -> int:
    """Recover the flights that need it."""
    from fdr_recorder.flights.directory import named
    from fdr_recorder.flights.recording import Kind, recording_at

    flights = find_flights(args.flight)
    if args.output is not None:
        if len(flights) > 1 or recording_at(flights[0]).kind is Kind.FLIGHT:
            raise UsageError(
                '-o is for one recording that is no flight; flights are made whole where they are'
            )
        if not args.dry_run:
            return _copy(flights[0], args.output.expanduser(), is_json=args.json)
    identify = identity_for(args)
    results: list[_Result] = []
    unreadable = Unreadable()
    for flight in flights:
        with unreadable.telling(flight):
            results.append(
                _look_at(flight, dry_run=args.dry_run)
                if recording_at(flight).kind is not Kind.FLIGHT
                else _recover(flight, identify, dry_run=args.dry_run, quiet=args.json)
            )
            result = results[-1]
            if args.json:
                continue
            say(f'{named(flight, result.flight_id)}: ', Toned(result.in_words(), result.tone))
    if args.json:
        print_json('recover', [result.to_dict() for result in results])
    is_left = any(result.is_left_unclosed for result in results)
    return unreadable.code(EXIT_FINDINGS if is_left else EXIT_OK)


@dataclass(frozen=True)
class _Result:
    """What happened to one flight; nothing, if it needed no recovery."""

    path: Path
    flight_id: str
    is_needed: bool
    is_open: bool
    is_dry: bool
    recovered: RecoveredFlight | None = None
    copied: Exported | None = None

    @property
    def is_left_unclosed(self) -> bool:
        return self.is_needed and self.recovered is None

    @property
    def tone(self) -> Tone | None:
        if self.is_left_unclosed:
            return Tone.DOUBTFUL if self.is_dry else Tone.BAD
        return Tone.GOOD if self.recovered is not None else None

    def in_words(self) -> str:
        done = self.recovered
        if done is not None:
            footer = done.footer
            text = (
                f'recovered in {format_duration(done.seconds)}: '
                f'{plural(footer.records_written, "record")}, {format_size(footer.bytes_written)}'
            )
            if done.cut_bytes:
                text += f'; {format_size(done.cut_bytes)} at a torn end were cut off'
            if done.kept:
                text += f'; what was cut is kept in {", ".join(done.kept)}'
            if done.unreadable_bytes:
                text += f'; {format_size(done.unreadable_bytes)} inside cannot be read'
            if done.left:
                names = ', '.join(done.left)
                text += f'; left as they are, sealed bytes in them cannot be read: {names}'
            if done.added:
                text += f'; the sealed segments are as they were, its end is in {done.added}'
                text += f', signed by {done.signed_by}' if done.signed_by else ', not signed'
            if done.set_aside:
                text += f'; set aside as unreadable: {", ".join(done.set_aside)}'
            return text
        if self.is_left_unclosed:
            return 'would be recovered' if self.is_dry else 'nothing of it can be read'
        if self.is_open:
            return 'is being recorded right now'
        return 'needs no recovery'

    def to_dict(self) -> dict[str, Any]:
        done = self.recovered
        return {
            'path': str(self.path),
            'flight_id': self.flight_id,
            'needs_recovery': self.is_needed,
            'is_open': self.is_open,
            'recovered': done.to_dict() if done is not None else None,
            'copied': self.copied.to_dict() if self.copied is not None else None,
        }


def _look_at(path: Path, *, dry_run: bool) -> _Result:
    """Find out whether another recording needs recovery; raise `UsageError` if it does."""
    from fdr_recorder.flights.list_recording import list_recording
    from fdr_recorder.flights.status import Verdict

    found = list_recording(path)
    is_needed = found.status.verdict in (Verdict.UNCLOSED, Verdict.DAMAGED)
    if is_needed and not dry_run:
        raise UsageError(
            f'{path} is no flight, and is never changed; name with -o a file or a directory for '
            'what can be read of it'
        )
    return _Result(path, found.flight_id, is_needed, is_open=False, is_dry=dry_run)


def _copy(path: Path, out: Path, *, is_json: bool) -> int:
    """Copy what can be read of another recording."""
    from fdr_recorder.flights.export import export
    from fdr_recorder.flights.query import Query
    from fdr_recorder.flights.recording import recording_at

    result = _look_at(path, dry_run=True)
    size = recording_at(path).bytes
    with progress(f'recovering {result.flight_id}', size, quiet=is_json) as advance:
        copied = export(Query(path), out, advance=advance)
    if is_json:
        print_json('recover', [replace(result, copied=copied).to_dict()])
        return EXIT_OK
    for text in copied.damage:
        warn(f'not recovered: {text}')
    what = f'{plural(copied.messages, "message")} of {plural(copied.topics, "topic")}'
    say(f'{path}: ', Toned(f'recovered: {what}, {format_size(copied.bytes)}, in {out}', Tone.GOOD))
    return EXIT_OK


def _recover(flight: Path, identify: Identify, *, dry_run: bool, quiet: bool) -> _Result:
    from fdr_recorder.flights.directory import segment_files
    from fdr_recorder.flights.in_use import holder_of_root
    from fdr_recorder.flights.listing import list_flight
    from fdr_recorder.flights.recovery.recover import needs_recovery, recover_flight
    from fdr_recorder.flights.status import Ended
    from fdr_recorder.storage.flight_root import FlightRoot

    found = list_flight(flight, holder_of_root(flight))
    is_open = found.status.ended is Ended.OPEN
    is_needed = not is_open and needs_recovery(flight)
    if not is_needed or dry_run:
        return _Result(flight, found.flight_id, is_needed, is_open, dry_run)
    steps = len(segment_files(flight)) + 1
    with (
        FlightRoot.acquire(flight.resolve().parent, owner='fdr recover') as owned,
        progress(f'recovering {found.flight_id}', steps, quiet=quiet) as advance,
    ):

        def step() -> bool:
            advance(1)
            return False

        done = recover_flight(flight, should_stop=step, root=owned, identify=identify)
        return _Result(flight, found.flight_id, is_needed, is_open, dry_run, done)
