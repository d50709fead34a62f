# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr fleet verify`: verify the flights of a fleet."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Final

from fdr_recorder.cli.console import print_json
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.fleet.job_running import add_job_arguments, JobRun
from fdr_recorder.cli.fleet.store_argument import open_store

SUMMARY: Final = 'Verify the flights of a fleet, each as fdr verify does'
EXAMPLES: Final = """\
  fdr fleet verify s3://flights
  fdr fleet verify s3://flights --vehicle drone-7 --since 2026-11-01
  fdr fleet verify s3://flights --keys allowed_signers
  fdr fleet verify s3://flights --scheduler tcp://10.0.0.1:8786
  fdr fleet verify s3://flights --json | jq '.verdicts'

What fdr verify --json says of each flight lies below results/verify/ in the store; a flight whose
files have not changed is not verified again.

exit codes:
  0  every flight is complete
  1  some are not, or could not be verified: they are named
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what all jobs have, and the keys."""
    add_job_arguments(parser)
    parser.add_argument(
        '--keys',
        type=Path,
        metavar='FILE',
        help='find out whether the flights are authentic, by this file of allowed signers '
        '(ssh-keygen(1))',
    )


def run(args: argparse.Namespace) -> int:
    """Verify the flights."""
    store = open_store(args)
    from fdr_recorder.fleet.jobs.verify_job import VerifyJob

    job = VerifyJob(_keys(args.keys))
    flights = JobRun(args, store)
    flights.each('verifying', job)
    found = {
        key: item.found['verdict'] for key, item in flights.outcomes.items() if item.found
    }
    verdicts = Counter(found.values())
    if args.json:
        print_json('fleet_verify', {
            **flights.to_dict(),
            'verdicts': dict(sorted(verdicts.items())),
            'flights': flights.flights('verdict', 'sentence'),
        })
    else:
        worse = [
            (key.vehicle, key.flight, in_words(verdict), flights.outcomes[key].found['sentence'])
            for key, verdict in found.items()
            if verdict != 'complete'
        ]
        flights.say(
            worse, (f'{count:,} {in_words(name)}' for name, count in sorted(verdicts.items()))
        )
    is_good = len(flights.outcomes) == verdicts['complete']
    return EXIT_OK if is_good else EXIT_FINDINGS


def in_words(verdict: str) -> str:
    """Return a verdict's name as people say it."""
    return verdict.replace('_', ' ')


def _keys(path: Path | None) -> str:
    """Return the text of a file of allowed signers that can be used; raise `SealError` if not."""
    if path is None:
        return ''
    from fdr_recorder.flights.verify.trust import Trust

    path = path.expanduser()
    Trust.of_file(path)
    return path.read_text(encoding='utf-8')
