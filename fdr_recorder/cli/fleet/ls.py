# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""`fdr fleet ls`: list the flights of a fleet."""

from __future__ import annotations

import argparse
from typing import Any, Final

from fdr_recorder.cli.argument_types import parse_count
from fdr_recorder.cli.colours import Tone, Toned
from fdr_recorder.cli.console import print_json, say, table
from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.fleet.arguments import parse_when
from fdr_recorder.cli.fleet.store_argument import add_url, open_store
from fdr_recorder.errors import UsageError
from fdr_recorder.units import format_duration, format_size, plural

SUMMARY: Final = 'List the flights of a fleet'
EXAMPLES: Final = """\
  fdr fleet ls s3://flights                    the newest 50, of all vehicles
  fdr fleet ls s3://flights --vehicle 'drone-*' --since 7d
  fdr fleet ls s3://flights --verdict damaged,not_authentic --limit 0
  fdr fleet ls s3://flights --where "firmware = '1.15.2' AND lost > 100"
  fdr fleet ls s3://flights --json | jq -r '.flights[].vehicle' | sort | uniq -c

It asks the catalogue, which `fdr fleet receive` makes: flights that were not received yet are
not listed. docs/fleet.md describes the columns that --where may name.
"""
_MOST_SHOWN: Final = 50
_GOOD: Final = 'complete'
_BAD: Final = ('damaged', 'unclosed', 'unproved', 'not_authentic', 'bad_upload', 'not_checked')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the store, and which flights."""
    add_url(parser)
    parser.add_argument(
        '--vehicle', metavar='PATTERN', help="of these vehicles only: 'drone-*'"
    )
    parser.add_argument(
        '--since',
        type=parse_when,
        metavar='TIME',
        help='that began then or later: 2026-11-22, 2026-11-22T09:14:02Z, or 7d (days ago)',
    )
    parser.add_argument(
        '--until', type=parse_when, metavar='TIME', help='that began before that time'
    )
    parser.add_argument(
        '--verdict',
        metavar='VERDICTS',
        help='with one of these: complete, unknown, losses, not_as_asked, unclosed, '
        'partly_authentic, unproved, damaged, not_authentic, bad_upload, not_checked',
    )
    parser.add_argument(
        '--where', metavar='SQL', help='for which this holds: "lost > 100"'
    )
    parser.add_argument(
        '--limit',
        type=parse_count,
        metavar='N',
        help=f'so many at most, 0 for all (default: {_MOST_SHOWN}; with --json all)',
    )


def run(args: argparse.Namespace) -> int:
    """List the flights."""
    conditions, values = _conditions(args)
    store = open_store(args)
    from fdr_recorder.cli.fleet.answers import documents
    from fdr_recorder.cli.fleet.catalogue_faults import tell_faults
    from fdr_recorder.fleet.catalogue.query import Catalogue, tables_text
    from fdr_recorder.fleet.errors import QueryError

    where = '\n AND '.join(conditions) or 'true'
    limit = args.limit if args.limit is not None else 0 if args.json else _MOST_SHOWN
    with Catalogue.of(store, where) as catalogue:
        tell_faults(catalogue.snapshot)
        question = (
            f'SELECT * FROM flights WHERE {where}\nORDER BY started DESC NULLS LAST, '
            f'vehicle, flight {f"LIMIT {limit}" if limit else ""}'
        )
        try:
            flights = documents(catalogue.ask(question, values))
            ((total, size),) = catalogue.ask(
                f'SELECT count(*), sum(bytes) FROM flights WHERE {where}\n', values
            ).rows()
        except QueryError as error:
            raise QueryError(f'{error}\n\n{tables_text()}') from None
    if args.json:
        print_json('fleet_ls', {'url': store.url, 'total': total, 'flights': flights})
        return EXIT_OK
    if flights:
        columns = [('&firmware', 'firmware')] if any(row['firmware'] for row in flights) else []
        table(
            (*_COLUMNS, *(heading for heading, _ in columns)),
            ((*_row(flight), *(flight[name] or '-' for _, name in columns)) for flight in flights),
        )
        print()
    more = f'; the newest {len(flights):,} are shown' if total > len(flights) else ''
    say(f'{plural(total, "flight")}, {format_size(int(size or 0))}, in {store.url}{more}')
    return EXIT_OK


_COLUMNS: Final = (
    '~vehicle', '~flight', '&start (UTC)', '>duration', '>size', '>messages', 'verdict', '>lost'
)


def _conditions(args: argparse.Namespace) -> tuple[list[str], list[object]]:
    """Return what must hold, in SQL, and the values of its parameters."""
    conditions: list[str] = []
    values: list[object] = []
    for condition, value in (
        ('vehicle GLOB ?', args.vehicle),
        ('started >= ?', args.since and args.since.replace(tzinfo=None)),
        ('started < ?', args.until and args.until.replace(tzinfo=None)),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if args.verdict is not None:
        named = [name.strip() for name in args.verdict.split(',')]
        unknown = sorted({*named} - _verdicts())
        if unknown:
            known = ', '.join(sorted(_verdicts()))
            raise UsageError(f'--verdict: there is no {", ".join(unknown)}; there are {known}')
        conditions.append('verdict IN (SELECT unnest(?))')
        values.append(named)
    if args.where is not None:
        conditions.append(f'({args.where}\n)')
    return conditions, values


def _verdicts() -> set[str]:
    from fdr_recorder.flights.status import Verdict

    return {verdict.name.lower() for verdict in Verdict} | {'bad_upload', 'not_checked'}


def _row(flight: dict[str, Any]) -> tuple[str, ...]:
    verdict = flight['verdict'] or '-'
    tone = Tone.BAD if verdict in _BAD else Tone.GOOD if verdict == _GOOD else Tone.DOUBTFUL
    started, lost = flight['started'], flight['lost']
    return (
        flight['vehicle'],
        flight['flight'],
        started.replace('T', ' ')[:19] if started else '-',
        format_duration(flight['duration_s']) if flight['duration_s'] is not None else '-',
        format_size(flight['bytes'] or 0),
        f'{flight["messages"]:,}' if flight['messages'] is not None else '-',
        Toned(verdict.replace('_', ' '), tone),
        f'{lost:,}' if lost is not None else '-',
    )
