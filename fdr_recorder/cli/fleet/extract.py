# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr fleet extract`: one topic of all flights as one Parquet data set."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.console import print_json
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.fleet.job_running import add_job_arguments, JobRun
from fdr_recorder.cli.fleet.store_argument import open_store
from fdr_recorder.errors import UsageError
from fdr_recorder.topics.names import has_wildcard
from fdr_recorder.units import format_size, plural

if TYPE_CHECKING:
    from fdr_recorder.fleet.jobs.extract_job import ExtractJob
    from fdr_recorder.fleet.store import Store

SUMMARY: Final = 'Write a topic of all flights as one Parquet data set'
EXAMPLES: Final = """\
  fdr fleet extract s3://flights --topic /imu/data
  fdr fleet extract s3://flights --topic /battery --vehicle drone-7 --since 2026-11-01
  fdr fleet extract s3://flights --topic /gps/fix --output gps     into a directory here

The data set lies in results/extract/imu.data/ in the store, a file for each flight:
vehicle=V/flight=F/part.parquet. pyarrow.dataset, pandas and DuckDB read it as one table, with the
columns vehicle and flight. All files have the same columns: where a field came with a later
version of its type, flights from before have nulls. A flight whose type does not fit the others
is left out, and named.

exit codes:
  0  all was extracted; flights without the topic are counted
  1  some flights could not be read, or not all of them: they are named
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what all jobs have, the topic, and where the data set goes."""
    add_job_arguments(parser)
    parser.add_argument('--topic', required=True, metavar='TOPIC', help='the topic, say /imu/data')
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        '--name', default='', help='of the data set below results/extract/ (default: the topic)'
    )
    place.add_argument(
        '--output',
        default='',
        metavar='DIR|URL',
        help='where the data set goes instead: a directory, or a place in a store',
    )


def run(args: argparse.Namespace) -> int:
    """Extract the topic, then make all files alike."""
    from fdr_recorder.topics.names import wrong_name

    if has_wildcard(args.topic):
        raise UsageError(f'{args.topic}: a data set is made of one topic; name it in full')
    if wrong := wrong_name(args.topic):
        raise UsageError(wrong)
    store = open_store(args)
    from fdr_recorder.fleet.jobs.conforming import check_data_set
    from fdr_recorder.fleet.jobs.extract_job import data_set_name, ExtractJob
    from fdr_recorder.fleet.layout import encoded

    name = encoded(args.name) if args.name else data_set_name(args.topic)
    job = ExtractJob(args.topic, name, args.output)
    check_data_set(job, store)
    flights = JobRun(args, store)
    flights.each('extracting', job)
    _make_alike(flights, job, store)
    found = [item.found for item in flights.outcomes.values() if item.found]
    with_rows = [item for item in found if item['rows']]
    partly = [key for key, item in flights.outcomes.items() if item.found.get('damage')]
    rows, size = (sum(item[what] for item in with_rows) for what in ('rows', 'bytes'))
    where = job.store(store).url if job.output else f'{store.url}/{job.prefix}'.rstrip('/')
    if args.json:
        print_json('fleet_extract', {
            **flights.to_dict(),
            'output': where,
            'topic': args.topic,
            'rows': rows,
            'bytes': size,
            'without_topic': len(found) - len(with_rows),
            'flights': flights.flights('rows', 'bytes', 'left_out', 'damage'),
        })
    else:
        told = [
            (key.vehicle, key.flight, 'in part', flights.outcomes[key].found['damage'][0])
            for key in partly
        ]
        without = len(found) - len(with_rows)
        flights.say(told, (
            f'{len(with_rows):,} with {args.topic}' if with_rows else '',
            f'{without:,} without {args.topic}' if without else '',
        ))
        if with_rows:
            print(f'{where}: {plural(rows, "row")}, {format_size(size)}')
    return EXIT_FINDINGS if flights.count('failed') or partly else EXIT_OK


def _make_alike(flights: JobRun, job: ExtractJob, store: Store) -> None:
    """Write files again that lack columns of others; take out those that do not fit."""
    from fdr_recorder.fleet.jobs.conforming import conform, others, remove
    from fdr_recorder.fleet.jobs.extract_job import ConformJob
    from fdr_recorder.fleet.jobs.task import Outcome, State

    done = {key: item for key, item in flights.outcomes.items() if item.found}
    found = others(job, store, set(done))
    found |= {key: item.found for key, item in done.items() if item.found['rows']}
    fields, behind, odd = conform(found)
    jobs = ((key, ConformJob(job, found[key]['document'], fields)) for key in behind)
    for key, item in flights.run('making alike', jobs):
        state = done[key].state if key in done and item.found else item.state
        if key in done or item.why:
            flights.outcomes[key] = replace(item, state=state)
    remove(job, store, {key: found[key] for key in odd})
    for key in odd.keys() & done.keys():
        flights.outcomes[key] = Outcome(key, State.FAILED, why=f'left out: {odd[key]}')
