# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""`fdr fleet catalogue`: what the catalogue has; make it again, or join its files."""

from __future__ import annotations

import argparse
from typing import Any, Final

from fdr_recorder.cli.console import print_json, say, warn
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.fleet.late_progress import progress
from fdr_recorder.cli.fleet.store_argument import add_url, open_store
from fdr_recorder.units import plural, short

SUMMARY: Final = 'Show what the catalogue of a fleet has, or make it again'
EXAMPLES: Final = """\
  fdr fleet catalogue s3://flights              rows of each table
  fdr fleet catalogue s3://flights --rebuild    again, from the receipts alone
  fdr fleet catalogue s3://flights --compact    few large files in place of many small ones

`fdr fleet receive` keeps the catalogue up to date, and joins small files itself.

exit codes:
  0  done
  1  receipts or files of the catalogue cannot be read: stderr names them
  3  not done: stderr says why
"""
_MOST_TOLD: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the store, and what to do."""
    add_url(parser)
    parser.add_argument(
        '--rebuild', action='store_true', help='make the catalogue again, from all receipts'
    )
    parser.add_argument(
        '--compact', action='store_true', help='join its files, as many as fit into one'
    )


def run(args: argparse.Namespace) -> int:
    """Do it, and show what the catalogue has."""
    store = open_store(args)
    from fdr_recorder.fleet.catalogue.columns import TABLES
    from fdr_recorder.fleet.catalogue.compacting import compact
    from fdr_recorder.fleet.catalogue.query import Catalogue
    from fdr_recorder.fleet.catalogue.writing import rebuild

    said: dict[str, Any] = {'url': store.url, 'rebuilt': None, 'compacted': None}
    faults: dict[str, str] = {}
    if args.rebuild:
        with progress('reading receipts', quiet=args.json) as bar:
            rebuilt = rebuild(store, bar.begin, bar.advance)
        faults.update(rebuilt.faults)
        said['rebuilt'] = {'flights': rebuilt.flights, 'batches': rebuilt.batches}
    if args.compact:
        compacted = compact(store, everything=True)
        said['compacted'] = {'joined': compacted.joined, 'removed': compacted.removed}
    with Catalogue.of(store, ' '.join(TABLES)) as catalogue:
        rows = {name: _rows(catalogue.ask(f'SELECT count(*) FROM {name}')) for name in TABLES}
        faults.update(catalogue.snapshot.faults)
        said.update(batches=len(catalogue.snapshot.notes), rows=rows)
    said['faults'] = [{'key': key, 'why': why} for key, why in faults.items()]
    if args.json:
        print_json('fleet_catalogue', said)
    else:
        _tell(said)
    for key, why in list(faults.items())[:_MOST_TOLD]:
        warn(f'{key}: left out: {short(why)}')
    if len(faults) > _MOST_TOLD:
        warn(f'and {len(faults) - _MOST_TOLD:,} more')
    return EXIT_FINDINGS if faults else EXIT_OK


def _rows(answer: Any) -> int:  # noqa: ANN401 - importing its type would take a second
    ((count,),) = answer.rows()
    return int(count)


def _tell(said: dict[str, Any]) -> None:
    if said['rebuilt'] is not None:
        say(f'{plural(said["rebuilt"]["flights"], "flight")} read from receipts')
    if said['compacted'] is not None:
        say(f'{said["compacted"]["joined"]:,} batches joined')
    for name, count in said['rows'].items():
        say(f'{name:8} {plural(count, "row")}')
    say(f'in {plural(said["batches"], "batch").replace("batchs", "batches")} of {said["url"]}')
