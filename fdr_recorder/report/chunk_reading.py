# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
Finds all messages of a chunk at once, as arrays, and the times of chunks.

One array operation on all messages of a chunk costs little more than a Python statement on one
message.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.recording_file import RecordingFile
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.decode import FileChannel, Message
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.types.cdr_to_columns import Messages, numbers_at
from fdr_recorder.types.columns import Bytes, Integers
import numpy as np
import numpy.typing as npt

_MAX_TIME_NS: Final = 2**63 - 1


def times_of(entries: array[int]) -> Integers:
    """Return the log times in the entries of a message index."""
    times: npt.NDArray[np.uint64] = np.frombuffer(entries, np.uint64)[::2]
    return np.asarray(np.minimum(times, np.uint64(_MAX_TIME_NS)), np.int64)


def indexed_messages(buffer: Bytes, entries: array[int]) -> Messages:
    """
    Return the messages that a message index names; entries that point elsewhere are left out.

    Args:
        buffer: The uncompressed records of the chunk.
        entries: The index: log time and offset of each message, in turn.

    """
    room = max(len(buffer) - layout.MESSAGE_PREFIX.size + 1, 0)
    offsets: npt.NDArray[np.uint64] = np.frombuffer(entries, np.uint64)[1::2]
    is_inside = offsets < np.uint64(room)
    place = offsets[is_inside].astype(np.int64)
    times = times_of(entries)[is_inside]
    start = place + layout.MESSAGE_PREFIX.size
    length = numbers_at(buffer, place + 1, '<u8')
    longest = (len(buffer) - start + layout.MESSAGE_FIXED_LENGTH).astype(np.uint64)
    is_whole = (buffer[place] == layout.MESSAGE) & (length <= longest)
    is_whole &= length >= layout.MESSAGE_FIXED_LENGTH
    start = start[is_whole]
    published = numbers_at(buffer, start - layout.U64.size, '<u8')
    return Messages(
        buffer,
        start,
        length[is_whole].astype(np.int64) - layout.MESSAGE_FIXED_LENGTH,
        times[is_whole],
        np.minimum(published, np.uint64(_MAX_TIME_NS)).astype(np.int64),
    )


def joined_messages(messages: Iterable[Message]) -> Messages:
    """Return messages that were read one by one, as arrays."""
    messages = list(messages)
    length = np.array([len(message.data) for message in messages], np.int64)
    return Messages(
        np.frombuffer(b''.join(message.data for message in messages), np.uint8),
        np.cumsum(length) - length,
        length,
        np.array([min(message.log_time_ns, _MAX_TIME_NS) for message in messages], np.int64),
        np.array([min(message.publish_time_ns, _MAX_TIME_NS) for message in messages], np.int64),
    )


def concatenated(parts: Iterable[Sequence[Messages]]) -> list[Messages]:
    """
    Join messages that lie in several buffers.

    Args:
        parts: For each channel, what is to be one.

    Returns:
        Them, in one buffer, which holds each of the others once.

    """
    parts = list(parts)
    buffers = {id(part.buffer): part.buffer for some in parts for part in some}
    if len(buffers) == 1:
        ((number, buffer),) = buffers.items()
        offsets = {number: 0}
    else:
        buffer = np.concatenate(list(buffers.values()))
        sizes = [len(item) for item in buffers.values()]
        offsets = dict(zip(buffers, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    return [
        Messages(
            buffer,
            np.concatenate([part.start + offsets[id(part.buffer)] for part in some]),
            np.concatenate([part.length for part in some]),
            np.concatenate([part.log_time_ns for part in some]),
            np.concatenate([part.published_ns for part in some if part.published_ns is not None]),
        )
        for some in parts
    ]


class Span(NamedTuple):
    """
    The time that a chunk covers (system clock).

    Attributes:
        start_ns: Earliest log time in it.
        end_ns: Latest log time in it.
        bytes: Size of the records in it.

    """

    start_ns: int
    end_ns: int
    bytes: int


class Outline(NamedTuple):
    """
    What a segment has, as far as that is known without its messages.

    Attributes:
        spans: The time that each chunk covers.
        channels: Its channels.

    """

    spans: list[Span]
    channels: list[FileChannel]


def outline(reader: RecordingFile) -> Outline:
    """
    Return what a segment has, from the summary if there is one.

    Damage in the file never makes it raise.
    """
    try:
        summary = reader.summary()
    except SegmentError:
        spans = []
        for chunk in reader.chunks():
            if isinstance(chunk, IndexedChunk):
                spans.append(_span(chunk.start_ns, chunk.end_ns, chunk.uncompressed_bytes))
            else:
                times = [message.log_time_ns for message, _ in chunk.messages]
                spans.append(_span(min(times), max(times), chunk.end - chunk.offset))
        return Outline(spans, list(reader.channels.values()))
    spans = [_span(entry.start_ns, entry.end_ns, entry.length) for entry in summary.chunks]
    return Outline(spans, list(summary.channels.values()))


def _span(start_ns: int, end_ns: int, size: int) -> Span:
    return Span(min(start_ns, _MAX_TIME_NS), min(end_ns, _MAX_TIME_NS), size)
