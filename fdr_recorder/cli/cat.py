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
import base64
from itertools import islice
import json
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.cli.argument_types import parse_count
from fdr_recorder.cli.console import json_of, warn
from fdr_recorder.cli.exit_codes import EXIT_FINDINGS, EXIT_OK
from fdr_recorder.cli.flight_arguments import add_flight
from fdr_recorder.cli.query_arguments import add_query, make_query
from fdr_recorder.errors import NoFlightError, RecordError

if TYPE_CHECKING:
    from fdr_recorder.mcap.decode import FileChannel, Message
    from fdr_recorder.types.cdr_to_json import JsonDecoder

SUMMARY: Final = 'Print messages of a flight as JSON lines'
EXAMPLES: Final = """\
  fdr cat FLIGHT -t /gps/fix | jq -c '[.log_time, .message.latitude, .message.longitude]'
  fdr cat FLIGHT -t /camera/image_raw --short -n 3
  fdr cat FLIGHT -t '/fdr/*'                       the recorder's own records
  fdr cat FLIGHT -t /battery --start -10           the last ten seconds

Each line is an object: topic, type, log_time (UTC), log_time_ns, publish_time_ns, sequence, and
message. Messages are complete unless --short is given. Lists of bytes are base64, NaN is null,
infinity is "Infinity". A message whose type has no definition is printed as `data_base64`. With
--json the objects are the elements of one list.

exit codes:
  0  all was printed
  1  some of it cannot be read; the rest was printed
"""
_SHORT: Final = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add flight, topics and times, and limits."""
    add_flight(parser)
    add_query(parser)
    parser.add_argument(
        '-n', '--limit', type=parse_count, metavar='N', help='stop after N messages'
    )
    parser.add_argument(
        '--short',
        action='store_true',
        help=f'print lists of more than {_SHORT} elements as their length',
    )


def run(args: argparse.Namespace) -> int:
    """Print the messages, one at a time."""
    flight, query = make_query(args)
    decoders = _Decoders(_SHORT if args.short else None)
    count = 0
    for message in islice(query.messages(), args.limit):
        before = ('[\n' if not count else ',\n') if args.json else ''
        after = '' if args.json else '\n'
        said = decoders.describe(message)
        if args.json:
            said = json_of('cat', said)
        print(f'{before}{json.dumps(said)}', end=after)
        count += 1
    topics = query.all_topics
    if not count and topics and not any(map(query.wants_topic, topics)):
        raise NoFlightError(flight.path, query.why_nothing())
    if args.json:
        print('\n]' if count else '[]')
    for text in (*decoders.problems, *query.damage):
        warn(text)
    return EXIT_FINDINGS if decoders.problems or query.damage else EXIT_OK


class _Decoders:
    """
    Decodes the messages of each channel.

    Attributes:
        problems: Why messages cannot be decoded, once for each channel.

    """

    def __init__(self, longest: int | None) -> None:
        self.problems: list[str] = []
        self._longest = longest
        self._known: dict[FileChannel, JsonDecoder | None] = {}

    def describe(self, message: Message) -> dict[str, Any]:
        """Return the object to print for a message."""
        from fdr_recorder.units import iso_time

        channel = message.channel
        said = {
            'topic': channel.topic,
            'type': channel.schema.name,
            'log_time': iso_time(message.log_time_ns),
            'log_time_ns': message.log_time_ns,
            'publish_time_ns': message.publish_time_ns,
            'sequence': message.sequence,
        }
        decoder = self._find(channel)
        if decoder is not None:
            try:
                return {**said, 'message': decoder.decode(message.data)}
            except RecordError as error:
                self._give_up(channel, error)
        return {**said, 'data_base64': base64.b64encode(message.data).decode()}

    def _find(self, channel: FileChannel) -> JsonDecoder | None:
        from fdr_recorder.types.cdr_to_json import JsonDecoder

        if channel not in self._known:
            try:
                self._known[channel] = JsonDecoder(channel.schema, longest=self._longest)
            except RecordError as error:
                self._give_up(channel, error)
        return self._known[channel]

    def _give_up(self, channel: FileChannel, error: RecordError) -> None:
        self._known[channel] = None
        problem = f'{channel.topic}: {error}'
        if problem not in self.problems:
            self.problems.append(problem)
