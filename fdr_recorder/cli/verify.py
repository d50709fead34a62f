# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr verify`: check that flights are intact, and that every record is accounted for."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.argument_types import parse_sha256
from fdr_recorder.cli.colours import tone_of, Toned
from fdr_recorder.cli.console import print_json, reading_progress, say
from fdr_recorder.cli.flight_arguments import add_flight, find_flights
from fdr_recorder.cli.permissions import Unreadable
from fdr_recorder.errors import UsageError

if TYPE_CHECKING:
    from fdr_recorder.flights.verify import Verification
    from fdr_recorder.flights.verify.succession import Finding

SUMMARY: Final = 'Check that flights are intact, and list what is missing from them'
EXAMPLES: Final = """\
  fdr verify flight_20261122T110505Z_1aef
  fdr verify /data/flights && echo 'nothing is missing'
  fdr verify flight_* --json | jq -r '.[] | .verdict + " " + .path'
  fdr verify /data/flights --keys allowed_signers

exit codes, of the worst flight:
  0  complete: every byte is as it was written, every record accounted for
  4  nothing is known to be missing, but on some topics the middleware does not show losses
  1  intact, but records are missing, and the recording says so
  5  intact, but of a topic that was asked for nothing was recorded
  6  never closed (a crash or a power cut): `fdr recover` makes it whole
  8  with --keys: authentic up to a time only, or in part
  9  with --keys: not sealed, or not by a key in the file
  2  damaged: the files are not as they were written
  7  not authentic: the files are not as the recorder sealed them
  3  there is no such flight, or it cannot be read
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flights, and what their seals are checked with."""
    add_flight(parser, several=True)
    parser.add_argument(
        '--keys',
        type=Path,
        metavar='FILE',
        help='find out whether the flights are authentic, by this file of allowed signers '
        '(ssh-keygen(1)); `fdr keys show` prints a line for it',
    )
    parser.add_argument(
        '--witness',
        type=parse_sha256,
        metavar='HASH',
        help='the SHA-256 of a seal that was seen in flight, on diagnostics, or its first 24 '
        'digits, on the ground station: it must be there',
    )


def _successions(args: argparse.Namespace, results: list[Verification]) -> Iterator[Finding]:
    """Yield what is wrong between the flights of each root that was named."""
    if args.keys is None:
        return
    from fdr_recorder.flights.verify.succession import check_succession
    from fdr_recorder.flights.verify.trust import Trust

    trust = Trust.of_file(args.keys)
    for root in dict.fromkeys(Path(name).expanduser() for name in args.flight):
        below = [result for result in results if result.path.parent == root]
        if below and root not in (item.path for item in results):
            yield from check_succession(below, root, trust)


def run(args: argparse.Namespace) -> int:
    """Verify all flights."""
    from fdr_recorder.flights.verify import Verdict, verify

    results: list[Verification] = []
    unreadable = Unreadable()
    if args.witness and args.keys is None:
        raise UsageError('--witness needs --keys: whose seals count')
    flights = find_flights(args.flight)
    if args.witness and len(flights) > 1:
        raise UsageError('--witness is a seal of one flight: name that one')
    for flight in flights:
        with unreadable.telling(flight):
            with reading_progress('verifying', flight, quiet=args.json) as advance:
                result = verify(flight, advance, keys=args.keys, witness=args.witness or '')
            results.append(result)
            if not args.json:
                first, sentence, *more = str(results[-1]).split('\n')
                tone = tone_of(results[-1].verdict)
                say('\n'.join((first, '')), Toned(sentence, tone), *(f'\n{text}' for text in more))
    findings = list(_successions(args, results))
    for finding in findings:
        if not args.json:
            is_wrong = finding.verdict is Verdict.NOT_AUTHENTIC
            text = f'not authentic: {finding}' if is_wrong else str(finding)
            say(Toned(text, tone_of(finding.verdict)))
    if args.json:
        print_json('verify', [result.to_dict() for result in results])
    verdicts = [*(result.verdict for result in results), *(item.verdict for item in findings)]
    worst = max(verdicts, key=lambda verdict: verdict.weight, default=Verdict.COMPLETE)
    return unreadable.code(worst.value)
