# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The objects that `fdr cat` and `fdr tail` print, one for each message."""

from __future__ import annotations

from argparse import ArgumentParser
import base64
from contextlib import suppress
import json
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.errors import RecordError

if TYPE_CHECKING:
    from fdr_recorder.mcap.decode import FileChannel, Message
    from fdr_recorder.mcap.schema import Schema
    from fdr_recorder.types.cdr_to_json import JsonDecoder

_SHORT: Final = 16


def add_short(parser: ArgumentParser) -> None:
    """Add the argument for short lists."""
    parser.add_argument(
        '--short',
        action='store_true',
        help=f'print lists of more than {_SHORT} elements as their length',
    )


class MessageObjects:
    """
    Makes the objects of messages, for `json.dumps`.

    Attributes:
        problems: Why messages cannot be decoded, once for each topic and type.

    """

    def __init__(self, *, short: bool) -> None:
        """With `short` lists are printed as their length."""
        self.problems: list[str] = []
        self._longest = _SHORT if short else None
        self._known: dict[tuple[str, Schema, str], JsonDecoder | None] = {}

    def of(self, message: Message) -> dict[str, Any]:
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
        if channel.message_encoding == 'json':
            with suppress(ValueError, RecursionError):
                return {**said, 'message': json.loads(message.data)}
        decoder = self._find(channel)
        if decoder is not None:
            try:
                return {**said, 'message': decoder.decode(message.data)}
            except RecordError as error:
                self._give_up(channel, error)
        return {**said, 'data_base64': base64.b64encode(message.data).decode()}

    def _find(self, channel: FileChannel) -> JsonDecoder | None:
        from fdr_recorder.mcap.layout import CDR
        from fdr_recorder.types.cdr_to_json import JsonDecoder

        key = channel.topic, channel.schema, channel.message_encoding
        if key not in self._known:
            try:
                if channel.message_encoding != CDR:
                    encoding = channel.message_encoding or 'an unknown encoding'
                    raise RecordError(f'messages in {encoding:.40} are printed as they are')
                self._known[key] = JsonDecoder(channel.schema, longest=self._longest)
            except RecordError as error:
                self._give_up(channel, error)
        return self._known[key]

    def _give_up(self, channel: FileChannel, error: RecordError) -> None:
        self._known[channel.topic, channel.schema, channel.message_encoding] = None
        problem = f'{channel.topic}: {error}'
        if problem not in self.problems:
            self.problems.append(problem)
