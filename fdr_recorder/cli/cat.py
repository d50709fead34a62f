# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr cat`: the messages of a flight as JSON lines."""

from __future__ import annotations

import argparse
from itertools import islice
import json
from typing import Final

from fdr_recorder.cli.argument_types import parse_count
from fdr_recorder.cli.console import json_of, warn
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.flight_arguments import add_flight
from fdr_recorder.cli.message_objects import add_short, MessageObjects
from fdr_recorder.cli.query_arguments import add_query, make_query
from fdr_recorder.errors import NoFlightError

SUMMARY: Final = 'Print messages of a flight as JSON lines'
EXAMPLES: Final = """\
  fdr cat FLIGHT -t /gps/fix | jq -c '[.log_time, .message.latitude, .message.longitude]'
  fdr cat FLIGHT -t /camera/image_raw --short -n 3
  fdr cat FLIGHT -t '/fdr/*'                       the recorder's own records
  fdr cat FLIGHT -t /battery --start -10           the last ten seconds

Each line is an object: topic, type, log_time (UTC), log_time_ns, publish_time_ns, sequence, and
message. Messages are complete unless --short is given. Lists of bytes are base64, NaN is null,
infinity is "Infinity". A message whose type has no definition, or that is not in CDR or JSON, is
printed as `data_base64`. With --json the objects are the elements of one list.

exit codes:
  0  all was printed
  1  some of it cannot be read; the rest was printed
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add flight, topics and times, and limits."""
    add_flight(parser)
    add_query(parser)
    parser.add_argument(
        '-n', '--limit', type=parse_count, metavar='N', help='stop after N messages'
    )
    add_short(parser)


def run(args: argparse.Namespace) -> int:
    """Print the messages, one at a time."""
    flight, query = make_query(args)
    objects = MessageObjects(short=args.short)
    count = 0
    for message in islice(query.messages(), args.limit):
        before = ('[\n' if not count else ',\n') if args.json else ''
        after = '' if args.json else '\n'
        said = objects.of(message)
        if args.json:
            said = json_of('cat', said)
        print(f'{before}{json.dumps(said)}', end=after)
        count += 1
    topics = query.all_topics
    if not count and topics and not any(map(query.wants_topic, topics)):
        raise NoFlightError(flight.path, query.why_nothing())
    if args.json:
        print('\n]' if count else '[]')
    for text in (*objects.problems, *query.damage):
        warn(text)
    return EXIT_FINDINGS if objects.problems or query.damage else EXIT_OK
