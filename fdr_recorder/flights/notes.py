# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Notes in a flight: the messages of the topic `~/annotation`, of any recorder's name."""

from __future__ import annotations

from typing import Final

from fdr_recorder.mcap.decode import FileChannel, Message
from fdr_recorder.mcap.layout import CDR
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.record.payload import Payload

_NAME: Final = '/annotation'
_TYPE: Final = 'std_msgs/msg/String'
_TEXT_AT: Final = 8
"""After the CDR header and the length of the text."""


@dataclass(frozen=True, kw_only=True)
class Note(Payload):
    """What somebody has noted in flight; a message of the `topic`, not a record of its own."""

    KIND = 'note'

    topic: str = ''
    text: str = ''


def has_notes(channel: FileChannel) -> bool:
    """Return whether the messages of a channel are notes."""
    return (
        channel.topic.endswith(_NAME)
        and channel.schema.name == _TYPE
        and channel.message_encoding == CDR
    )


def note_of(message: Message) -> Note | None:
    """Return the note that a message of such a channel is; None if it cannot be read."""
    data = message.data
    if len(data) < _TEXT_AT:
        return None
    size = int.from_bytes(data[4:_TEXT_AT], 'little' if data[1] & 1 else 'big')
    text = data[_TEXT_AT:_TEXT_AT + size].rstrip(b'\0').decode(errors='replace')
    return Note(topic=message.channel.topic, text=text) if text else None
