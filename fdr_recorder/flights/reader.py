# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Reads the files of a flight in order, and the recorder's own records in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import ExitStack, suppress
from pathlib import Path

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.open_segment import open_segment
from fdr_recorder.flights.recording import Kind, Recording, recording_at
from fdr_recorder.flights.recording_file import RecordingFile
from fdr_recorder.mcap.decode import Message, WholeChunk
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.record.codec import decode
from fdr_recorder.record.kinds import PAYLOADS
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX, Payload

Advance = Callable[[int], None]
"""Told that so many more bytes of the flight are done with."""


def read_segments(
    flight: Path | Recording, damage: list[str], closed: Set[str] | None = None
) -> Iterator[RecordingFile]:
    """
    Yield each segment of a flight, open; one that is dropped meanwhile, to free space, is skipped.

    `damage` takes what could not be read, in words, when the caller asks for the next segment. It
    is no damage that the last segment is torn: it is growing, or the flight was not closed. Nor
    is it with others that are not among `closed`, names of segments, where that is given.

    Of any other recording the files are yielded likewise.
    """
    recording = flight if isinstance(flight, Recording) else recording_at(flight)
    if recording.kind is not Kind.FLIGHT:
        yield from _read_files(recording, damage)
        return
    for path in recording.files:
        with suppress(FileNotFoundError), open_segment(path) as reader:
            yield reader
            may_grow = path is recording.files[-1] or (
                closed is not None and path.name not in closed
            )
            tear = reader.tear if may_grow else None
            damage += [str(error) for error in reader.errors if error is not tear]


def _read_files(recording: Recording, damage: list[str]) -> Iterator[RecordingFile]:
    """Yield each file of a recording that is no flight."""
    damage += recording.faults
    for path in recording.files:
        with ExitStack() as stack:
            try:
                reader = stack.enter_context(recording.open(path))
            except SegmentError as error:
                damage.append(str(error))
                continue
            yield reader
            tear = reader.tear if path is recording.files[-1] else None
            damage += [
                text
                for error in reader.errors
                if error is not tear and (text := str(error)) not in damage
            ]


def read_chunks(reader: RecordingFile, advance: Advance) -> Iterator[IndexedChunk | WholeChunk]:
    """Yield each chunk of a segment; tell `advance` of it when the caller asks for the next."""
    done = 0
    for chunk in reader.chunks():
        yield chunk
        advance(max(chunk.end - done, 0))
        done = max(chunk.end, done)
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
