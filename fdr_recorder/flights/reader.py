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

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from pathlib import Path
import re

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.mcap.decode import Message, WholeChunk
from fdr_recorder.mcap.reader import SegmentReader
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.record.codec import decode, own_definition
from fdr_recorder.record.kinds import (
    FlightFooter,
    FlightHeader,
    METADATA_NAME,
    OWN_TOPIC_PREFIX,
    Payload,
    PAYLOADS,
    RECORD_SCHEMA_VERSION,
)

Advance = Callable[[int], None]
"""Told that so many more bytes of the flight are done with."""


def open_segment(path: Path | str, *, started_ns: int = 0) -> SegmentReader:
    """Open a segment as `SegmentReader` does; the recorder's own schemas are known if lost."""
    return SegmentReader(
        path, started_ns=started_ns, known_schema=_known_schema, is_steady=_is_steady
    )


def _known_schema(topic: str, metadata: Mapping[str, Mapping[str, str]]) -> Schema | None:
    """Return the schema of one of the recorder's own topics, if it is of this version."""
    payload_type = PAYLOADS.get(topic.removeprefix(OWN_TOPIC_PREFIX))
    about = metadata.get(METADATA_NAME, {})
    version = about.get('record_schema_version', RECORD_SCHEMA_VERSION)
    if payload_type is None or version != RECORD_SCHEMA_VERSION:
        return None
    return own_definition(payload_type).schema


def _is_steady(metadata: Mapping[str, Mapping[str, str]]) -> bool:
    """Tell whether the log times of a segment are steady: since schema 1.3.0."""
    version = metadata.get(METADATA_NAME, {}).get('record_schema_version', '')
    match = re.match(r'(\d{1,9})\.(\d{1,9})', version, re.ASCII)
    return match is not None and (int(match[1]), int(match[2])) >= (1, 3)


def read_segments(
    flight: Path, damage: list[str], closed: Set[str] | None = None
) -> Iterator[SegmentReader]:
    """
    Yield each segment of a flight, open; one that is dropped meanwhile, to free space, is skipped.

    `damage` takes what could not be read, in words, when the caller asks for the next segment. It
    is no damage that the last segment is torn: it is growing, or the flight was not closed. Nor
    is it with others that are not among `closed`, names of segments, where that is given.
    """
    segments = segment_files(flight)
    for segment in segments:
        with suppress(FileNotFoundError), open_segment(segment.path) as reader:
            yield reader
            may_grow = segment is segments[-1] or (
                closed is not None and segment.path.name not in closed
            )
            tear = reader.tear if may_grow else None
            damage += [str(error) for error in reader.errors if error is not tear]


def read_chunks(reader: SegmentReader, advance: Advance) -> Iterator[IndexedChunk | WholeChunk]:
    """Yield each chunk of a segment; tell `advance` of it when the caller asks for the next."""
    done = 0
    for chunk in reader.chunks():
        yield chunk
        advance(chunk.end - done)
        done = chunk.end
    advance(reader.size - done)


def own_record(message: Message) -> Payload | None:
    """
    Decode a record of the recorder itself; raise `RecordError` if that is impossible.

    Return None for a topic's message, for an unknown kind, or if the definition is lost.
    """
    topic, schema = message.channel.topic, message.channel.schema
    kind = topic.removeprefix(OWN_TOPIC_PREFIX)
    if kind == topic or kind not in PAYLOADS or not schema.definition:
        return None
    return decode(kind, message.data, schema)


class FlightReader:
    """
    The records of a flight, closed or not, in file order. Needs no `metadata.yaml`.

    Attributes:
        path: The flight's directory.
        damage: What was wrong with segments, once `messages` has come to an end. Whole chunks
            behind damage are read all the same.
        header: The flight's header, once it was read.
        footer: The flight's footer, once it was read; a flight that was not closed has none.

    Example:
        >>> with FlightReader('/data/flights/flight_20260101T120000Z_1a2b') as flight:
        ...     for message in flight.messages():
        ...         print(message.channel.topic, message.log_time_ns)

    """

    def __init__(self, path: Path | str) -> None:
        """Take the directory of a flight; nothing is read yet."""
        self.path = Path(path)
        self.damage: list[SegmentError | RecordError] = []
        self.header: FlightHeader | None = None
        self.footer: FlightFooter | None = None
        self._open: set[SegmentReader] = set()

    def __enter__(self) -> FlightReader:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file that `messages` is reading, if it has not come to an end."""
        for reader in self._open:
            reader.close()

    def messages(self) -> Iterator[Message]:
        """
        Yield every message of every segment that lies in a whole chunk.

        Raises:
            OSError: A file cannot be read.

        """
        started_ns = 0
        for segment in segment_files(self.path):
            with open_segment(segment.path, started_ns=started_ns) as reader:
                self._open.add(reader)
                for message in reader.messages():
                    if message.channel.topic.startswith(OWN_TOPIC_PREFIX):
                        self._note(message)
                        started_ns = started_ns or message.log_time_ns
                    yield message
                self.damage += reader.errors
            self._open.remove(reader)

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
