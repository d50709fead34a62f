# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""`fdr fleet sql`: ask the catalogue of a fleet."""

from __future__ import annotations

import argparse
from pathlib import Path
import re
from typing import Final

from fdr_recorder.cli.console import print_json, say
from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.fleet.store_argument import add_url, open_store
from fdr_recorder.errors import UsageError
from fdr_recorder.units import plural

SUMMARY: Final = 'Ask the catalogue of a fleet, in SQL'
EXAMPLES: Final = """\
  fdr fleet sql s3://flights "SELECT vehicle, count(*) FROM flights GROUP BY vehicle"
  fdr fleet sql s3://flights "DESCRIBE topics"
  fdr fleet sql s3://flights "FROM missing_flights" --csv > missing.csv
  fdr fleet sql s3://flights "FROM losses" --parquet losses.parquet

Tables: flights, topics, losses, alerts, places, and the view missing_flights; docs/fleet.md
describes their columns, and has questions to begin with. The dialect is that of DuckDB.
Times are in UTC. A question reads the catalogue, and nothing else.
"""

_QUESTION: Final = re.compile(r'\s*(SELECT|WITH|FROM|DESCRIBE)\s', re.IGNORECASE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the store, the question, and how the answer is shown."""
    add_url(parser)
    parser.add_argument('question', metavar='SQL', help='one statement that reads: SELECT ...')
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument('--csv', action='store_true', help='print the answer as CSV')
    shown.add_argument(
        '--parquet', type=Path, metavar='FILE', help='write the answer to a new Parquet file'
    )


def run(args: argparse.Namespace) -> int:
    """Ask."""
    if args.json and (args.csv or args.parquet):
        raise UsageError('choose one of --json, --csv and --parquet')
    _check_order(args)
    store = open_store(args)
    from fdr_recorder.cli.fleet import answers
    from fdr_recorder.cli.fleet.catalogue_faults import tell_faults
    from fdr_recorder.fleet.catalogue.query import Catalogue, tables_text
    from fdr_recorder.fleet.errors import QueryError

    with Catalogue.of(store, args.question) as catalogue:
        tell_faults(catalogue.snapshot)
        try:
            answer = catalogue.ask(args.question)
        except QueryError as error:
            raise QueryError(f'{error}\n\n{tables_text()}') from None
    if args.json:
        columns = [
            {'name': name, 'type': kind}
            for name, kind in zip(answer.columns, answer.types, strict=True)
        ]
        rows = answers.rows_for_json(answer)
        print_json('fleet_sql', {'url': store.url, 'columns': columns, 'rows': rows})
    elif args.csv:
        answers.write_csv(answer)
    elif args.parquet:
        answers.write_parquet(answer, args.parquet)
        say(f'{plural(answer.table.num_rows, "row")} in {args.parquet}')
    else:
        answers.show(answer)
    return EXIT_OK


def _check_order(args: argparse.Namespace) -> None:
    """Refuse a question where the store belongs, and a store in place of a question."""
    if _QUESTION.match(args.url):
        what = f'fdr fleet sql {args.question} "{args.url}"'
        raise UsageError(f'the store comes first, then the question: {what}')
    if '://' in args.question and not re.search(r'\s', args.question):
        raise UsageError(f'there is no question: fdr fleet sql {args.question} "SELECT ..."')
