# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Reads a flight: its segments in order, its header and footer, the recorder's own records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.mcap.reader import Message, SegmentReader
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.record.codec import decode, own_definition
from fdr_recorder.record.kinds import (
    FlightFooter,
    FlightHeader,
    OWN_TOPIC_PREFIX,
    Payload,
    PAYLOADS,
    RECORD_SCHEMA_VERSION,
)


def open_segment(path: Path | str, *, started_ns: int = 0) -> SegmentReader:
    """
    Open a segment for reading; the recorder's own schemas are known if they are lost.

    Args:
        path: The file.
        started_ns: When the flight began (system clock), if that is known.

    Raises:
        OSError: It cannot be opened.
        SegmentError: It is no regular file (a link is not followed).

    """
    return SegmentReader(path, started_ns=started_ns, known_schema=_known_schema)


def _known_schema(topic: str, metadata: Mapping[str, Mapping[str, str]]) -> Schema | None:
    """Return the schema of one of the recorder's own topics, if it is of this version."""
    payload_type = PAYLOADS.get(topic.removeprefix(OWN_TOPIC_PREFIX))
    about = metadata.get('fdr_recorder', {})
    version = about.get('record_schema_version', RECORD_SCHEMA_VERSION)
    if payload_type is None or version != RECORD_SCHEMA_VERSION:
        return None
    return own_definition(payload_type).schema


def segment_damage(reader: SegmentReader, *, is_last: bool) -> list[str]:
    """
    Say what was wrong with a segment that has been read.

    Args:
        reader: The segment.
        is_last: Whether it is the last of its flight. It is no damage that such a one is torn: it
            is still growing, or the flight was not closed.

    """
    return [str(error) for error in reader.errors if not (is_last and error is reader.tear)]


def own_record(message: Message) -> Payload | None:
    """
    Decode a record of the recorder itself.

    Returns:
        The record; None for a topic's message, for a kind that is not known, or if the definition
        is lost.

    Raises:
        RecordError: It cannot be decoded.

    """
    kind = message.channel.topic.removeprefix(OWN_TOPIC_PREFIX)
    if kind == message.channel.topic or kind not in PAYLOADS:
        return None
    if not message.channel.schema.definition:
        return None
    return decode(kind, message.data, message.channel.schema)


@dataclass
class FlightReader:
    """
    The records of a flight, clean or not, in file order. Needs no `metadata.yaml`.

    Attributes:
        path: The flight's directory.
        damage: What was wrong with segments, once `messages` has come to an end. Whole chunks
            behind damage are read all the same.
        header: The flight's header, once it was read.
        footer: The flight's footer, once it was read; a flight without one is unclean.

    """

    path: Path
    damage: list[SegmentError | RecordError] = field(default_factory=list)
    header: FlightHeader | None = None
    footer: FlightFooter | None = None

    def messages(self) -> Iterator[Message]:
        """
        Yield every message of every segment that lies in a whole chunk.

        Raises:
            OSError: A file cannot be read.

        """
        started_ns = 0
        for segment in segment_files(self.path):
            with open_segment(segment.path, started_ns=started_ns) as reader:
                for message in reader.messages():
                    if message.channel.topic.startswith(OWN_TOPIC_PREFIX):
                        self._note(message)
                        started_ns = started_ns or message.log_time_ns
                    yield message
                self.damage += reader.errors

    def own_records(self) -> Iterator[Payload]:
        """Yield the records of the recorder itself, decoded."""
        for message in self.messages():
            try:
                payload = own_record(message)
            except RecordError:
                continue  # noted by `messages`
            if payload is not None:
                yield payload

    def _note(self, message: Message) -> None:
        try:
            payload = own_record(message)
        except RecordError as error:
            self.damage.append(error)
            return
        if isinstance(payload, FlightHeader):
            self.header = self.header or payload
        elif isinstance(payload, FlightFooter):
            self.footer = payload
