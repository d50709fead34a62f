# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""`fdr fleet receive`: check what drones have brought into the store, and write receipts."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import time
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.cli.argument_types import parse_count
from fdr_recorder.cli.colours import Tone, Toned
from fdr_recorder.cli.console import json_of, print_json, printable, say, warn
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.fleet.arguments import parse_period
from fdr_recorder.cli.fleet.late_progress import progress
from fdr_recorder.cli.fleet.store_argument import add_url, open_store
from fdr_recorder.cli.passphrases import add_key, identity_for
from fdr_recorder.errors import UsageError
from fdr_recorder.fleet.errors import StoreUnreachableError
from fdr_recorder.units import plural, short

if TYPE_CHECKING:
    from fdr_recorder.fleet.receipt import Receipt
    from fdr_recorder.fleet.receiving.receiver import Pass, Receiver

SUMMARY: Final = 'Check the flights that drones have brought, and write receipts'
EXAMPLES: Final = """\
  fdr fleet receive s3://flights                       what is new, once
  fdr fleet receive s3://flights --keys allowed_signers --key ~/.ssh/fdr_fleet
  fdr fleet receive s3://flights --every 60s           as a service
  fdr fleet receive s3://flights --vehicle 'drone-*' --workers 4 --temporary /big/disk

Each flight is fetched, compared with its manifest, and checked as `fdr verify` does; its receipt
says what was found, and the catalogue has it then. With --key receipts are signed: on a signed
receipt a drone may delete what has arrived (`fdr offload --prune`).

exit codes:
  0  all that is new has arrived, and nothing is wrong with it beside losses
  1  something is wrong with a flight, or one could not be fetched now
  3  not done: stderr says why
"""
_MOST_WORKERS: Final = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the store, and how flights are checked."""
    add_url(parser)
    parser.add_argument(
        '--keys',
        type=Path,
        metavar='FILE',
        help='check the seals, too, by this file of allowed signers (ssh-keygen(1))',
    )
    add_key(parser, 'signs the receipts')
    parser.add_argument(
        '--vehicle', default='', metavar='PATTERN', help="of these vehicles only: 'drone-*'"
    )
    parser.add_argument(
        '--again', action='store_true', help='also flights that have a receipt already'
    )
    parser.add_argument(
        '--every',
        type=parse_period,
        metavar='TIME',
        help='look again every 60s, 5min or 1h, until it is ended; '
        'with --json, one document in each line',
    )
    parser.add_argument(
        '--workers',
        type=parse_count,
        metavar='N',
        help=f'how many processes check flights (default: one for each core, at most '
        f'{_MOST_WORKERS})',
    )
    parser.add_argument(
        '--temporary',
        type=Path,
        metavar='DIR',
        help='where flights lie while they are checked (default: $TMPDIR, else /tmp)',
    )


def run(args: argparse.Namespace) -> int:
    """Receive what is new."""
    if args.workers == 0:
        raise UsageError('--workers must be at least 1')
    if args.temporary is not None and not args.temporary.is_dir():
        raise UsageError(f'--temporary: there is no directory {args.temporary}')
    store = open_store(args)
    if args.keys is not None:
        from fdr_recorder.flights.verify.trust import Trust

        Trust.of_file(args.keys)  # a wrong one is told before anything is done
    identity = identity_for(args)()
    from fdr_recorder.fleet.receiving.planning import Wish
    from fdr_recorder.fleet.receiving.receiver import Options, Receiver

    cores = len(os.sched_getaffinity(0))
    options = Options(
        url=args.url,
        wish=Wish(args.vehicle, signed=identity is not None, again=args.again),
        keys=str(args.keys.absolute()) if args.keys is not None else '',
        temporary=str(args.temporary.absolute()) if args.temporary is not None else '',
        workers=args.workers or min(cores, _MOST_WORKERS),
    )
    receiver = Receiver(store, options, identity)
    if args.every is None:
        result = _receive(receiver, is_quiet=args.json)
        if args.json:
            print_json('fleet_receive', _document(store.url, result))
        else:
            _tell(store.url, result)
        return EXIT_FINDINGS if result.is_alarming else EXIT_OK
    fault = ''
    while True:
        fault = _look_again(receiver, store.url, fault, is_json=args.json)
        time.sleep(args.every)


def _look_again(receiver: Receiver, url: str, fault: str, *, is_json: bool) -> str:
    """Receive once more; return why the store did not answer, which is told if it is new."""
    try:
        result = _receive(receiver, is_quiet=is_json)
    except StoreUnreachableError as error:
        if str(error) != fault:
            warn(f'{error}; trying again')
        return str(error)
    if is_json:
        document = json_of('fleet_receive', _document(url, result))
        print(json.dumps(document), flush=True)
    elif result.received or result.waiting or result.catalogued:
        _tell(url, result)
    return ''


def _receive(receiver: Receiver, *, is_quiet: bool) -> Pass:
    with progress('receiving flights', quiet=is_quiet) as bar:

        def told(receipt: Receipt) -> None:
            bar.advance(1)
            if not is_quiet:
                head, said = f'{receipt.key}: ', _sentence(receipt)
                say(_line(head), Toned(_line(said), _tone(receipt)))

        return receiver.receive(bar.begin, told)


def _sentence(receipt: Receipt) -> str:
    if receipt.faults:
        said = receipt.verdict.replace('_', ' ')
        return f'{said}: {"; ".join(map(short, receipt.faults))}'
    (sentence,) = receipt.rows['flights']['sentence']
    return str(sentence or receipt.verdict.replace('_', ' '))


def _line(text: str) -> str:
    """Return a text that stays in its line: names that a drone gives must not forge others."""
    return printable(text, in_line=True)


def _tone(receipt: Receipt) -> Tone:
    from fdr_recorder.fleet.receiving.receive_job import is_alarming

    if is_alarming(receipt):
        return Tone.BAD
    return Tone.GOOD if receipt.verdict == 'complete' else Tone.DOUBTFUL


def _tell(url: str, result: Pass) -> None:
    from fdr_recorder.fleet.receiving.receive_job import is_alarming

    for key, why in result.waiting.items():
        warn(_line(f'{key}: not received, and tried again next time: {why}'))
    for row in result.missing:
        say(Toned(_line(_missing(row)), Tone.DOUBTFUL))
    wrong = sum(map(is_alarming, result.received))
    said = [f'{plural(len(result.received), "flight")} received']
    said += [f'{wrong:,} to be looked at'] if wrong else []
    said += [f'{len(result.waiting):,} waiting'] if result.waiting else []
    said += [f'{result.catalogued:,} taken into the catalogue'] if result.catalogued else []
    say(f'{", ".join(said)}, in {url}')


def _missing(row: dict[str, Any]) -> str:
    behind = f'before {short(row["before_flight"])}'
    if row['flight_id'] is not None:
        return f'{row["vehicle"]}: the flight {short(row["flight_id"])}, {behind}, is missing'
    first, last, count = row['first_number'], row['last_number'], row['count']
    numbers = f'flight numbers {first} to {last} are'
    if count == 1:
        numbers = f'flight number {first} is'
    removed = f', {row["removed"]:,} of them removed on the drone' if row['removed'] else ''
    return f'{row["vehicle"]}: {numbers} missing{removed}, {behind}'


def _document(url: str, result: Pass) -> dict[str, Any]:
    return {
        'url': url,
        'received': [
            {
                'vehicle': receipt.key.vehicle,
                'flight': receipt.key.flight,
                'manifest_sha256': receipt.manifest,
                'arrived': receipt.arrived,
                'verdict': receipt.verdict,
                'faults': list(receipt.faults),
            }
            for receipt in result.received
        ],
        'catalogued': result.catalogued,
        'waiting': [
            {'vehicle': key.vehicle, 'flight': key.flight, 'why': why}
            for key, why in result.waiting.items()
        ],
        'missing': result.missing,
    }
