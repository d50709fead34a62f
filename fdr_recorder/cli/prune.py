# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr prune`: remove the oldest flights of a flight root."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.argument_types import parse_count, parse_size
from fdr_recorder.cli.console import print_json, progress, say, table
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.flight_arguments import find_root
from fdr_recorder.cli.passphrases import add_key, identity_for
from fdr_recorder.errors import UsageError
from fdr_recorder.units import format_size, format_time, plural

if TYPE_CHECKING:
    from pathlib import Path

    from fdr_recorder.flights.listing import ListedFlight
    from fdr_recorder.flights.prune import Pruning

SUMMARY: Final = 'Remove the oldest flights of a flight root, to make room'
EXAMPLES: Final = """\
  fdr prune /data/flights --keep 10 --dry-run     show what would be removed
  fdr prune /data/flights --keep 10               keep the newest ten
  fdr prune /data/flights --max-bytes 20GB        remove the oldest until 20 GB are left
  fdr prune /data/flights --keep 10 --max-bytes 20GB    both
  fdr prune /data/flights --keep 10 --key ~/.ssh/fdr_identity    sign what was removed

The flight that is being recorded is never removed, nor one with pins (see fdr pin), nor, with
--max-bytes, the newest one. Flights that were never closed, recovered ones included, are removed
only with --unclean. A recorder may be recording into the root meanwhile. --dry-run says of each
flight why it would go or stay.

Each flight leaves an entry in .fdr.pruned of the root, with its newest seal if it is sealed; with
--key the entries are signed.

exit codes:
  0  the limits are kept (with --dry-run: would be kept)
  1  the flights that must stay exceed the limits
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add root and limits."""
    parser.add_argument('root', metavar='ROOT', help='flight root; there is no default')
    parser.add_argument(
        '--keep', type=parse_count, metavar='N', help='keep at most N flights, the newest'
    )
    parser.add_argument(
        '--max-bytes',
        type=parse_size,
        metavar='SIZE',
        help='keep at most this much, for example 20GB or 512MiB',
    )
    parser.add_argument(
        '--unclean', action='store_true', help='also remove flights that were never closed'
    )
    parser.add_argument(
        '-n', '--dry-run', action='store_true', help='only show what would be removed'
    )
    add_key(parser, 'signs an entry of each removed flight in .fdr.pruned of the root')


def run(args: argparse.Namespace) -> int:
    """Remove the flights."""
    from fdr_recorder.flights.directory import flights_in
    from fdr_recorder.flights.listing import list_flight
    from fdr_recorder.flights.prune import plan_pruning, prune
    from fdr_recorder.storage.flight_root import root_holder

    if args.keep is None and args.max_bytes is None:
        raise UsageError('say what to keep: --keep N, --max-bytes SIZE, or both')
    root = find_root(args.root)
    identify = identity_for(args)
    holder = root_holder(root)
    pruning = plan_pruning(
        [list_flight(path, holder) for path in flights_in(root)],
        keep=args.keep,
        max_bytes=args.max_bytes,
        unclean=args.unclean,
        in_use_by=holder.text if holder else '',
    )
    gone = pruning.doomed
    if not args.dry_run:
        removed: list[ListedFlight] = []
        with (
            progress('removing flights', len(pruning.doomed), quiet=args.json) as advance,
            identify() or nullcontext() as identity,
        ):
            for flight in prune(root, pruning, identity):
                removed.append(flight)
                advance(1)
        gone = tuple(removed)
    if args.json:
        print_json(
            'prune',
            {
                'root': str(root),
                'dry_run': args.dry_run,
                'removed': [flight.to_dict() for flight in gone],
                'spared': [
                    {**flight.to_dict(), 'reason': reason} for flight, reason in pruning.spared
                ],
                'bytes_left': pruning.bytes_left,
                'is_enough': pruning.is_enough,
                'decisions': [
                    {'path': str(flight.path), 'goes': goes, 'why': why}
                    for flight, goes, why in pruning.decisions
                ],
            }
        )
    else:
        _show(root, pruning, is_dry=args.dry_run)
    return EXIT_OK if pruning.is_enough else EXIT_FINDINGS


def _show(root: Path, pruning: Pruning, *, is_dry: bool) -> None:
    if is_dry:
        rows = [
            (*_row(flight), f'would go: the oldest, {why}' if goes else f'stays: {why}')
            for flight, goes, why in pruning.decisions
        ]
    else:
        rows = [(*_row(flight), 'removed') for flight in pruning.doomed]
        rows += [(*_row(flight), f'stays: {reason}') for flight, reason in pruning.spared]
    if rows:
        table(('~flight', '&start (UTC)', '>size', '&what'), rows)
        print()
    freed = format_size(sum(flight.bytes for flight in pruning.doomed))
    would = 'would be removed' if is_dry else 'removed'
    count = plural(len(pruning.doomed), 'flight')
    say(f'{count}, {freed}, {would}; {format_size(pruning.bytes_left)} left in {root}')
    if not pruning.is_enough:
        say('that is not enough: what must not go is over the limit')


def _row(flight: ListedFlight) -> tuple[str, str, str]:
    started = format_time(flight.utc_started_ns).removesuffix('Z')
    return flight.name, started, format_size(flight.bytes)
