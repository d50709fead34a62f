# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr fleet report`: a page about each flight of a fleet."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Final

from fdr_recorder.cli.console import print_json
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.fleet.job_running import add_job_arguments, JobRun
from fdr_recorder.cli.fleet.store_argument import open_store

SUMMARY: Final = 'Write a page about each flight of a fleet, as fdr report does'
EXAMPLES: Final = """\
  fdr fleet report s3://flights
  fdr fleet report s3://flights --vehicle drone-7 --since 2026-11-01 --workers 1
  fdr fleet report s3://flights --json

The pages lie below results/report/ in the store. A page is not made again while its flight has
the same files.

exit codes:
  0  all pages are there
  1  some could not be made: their flights are named
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what all jobs have."""
    add_job_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the pages."""
    store = open_store(args)
    from fdr_recorder.fleet.jobs.report_job import ReportJob

    flights = JobRun(args, store)
    flights.each('reporting', ReportJob())
    if args.json:
        print_json('fleet_report', {
            **flights.to_dict(), 'flights': flights.flights('level', 'headline', 'page')
        })
    else:
        levels = Counter(item.found['level'] for item in flights.outcomes.values() if item.found)
        flights.say((), (f'{count:,} {name}' for name, count in sorted(levels.items())))
    return EXIT_FINDINGS if flights.count('failed') else EXIT_OK
