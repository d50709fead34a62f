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
The bytes of the MCAP format, version 0: one small function for each record type.

Functions return whole records, by the layout in `layout`. Nothing here knows files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fdr_recorder.mcap import layout
from fdr_recorder.mcap.checksum import crc32


def record(opcode: int, content: bytes) -> bytes:
    """Encode a record: opcode, length and content."""
    return layout.RECORD_PREFIX.pack(opcode, len(content)) + content


def sized(data: bytes) -> bytes:
    """Encode bytes after their number."""
    return layout.U32.pack(len(data)) + data


def string(text: str) -> bytes:
    """Encode a string."""
    return sized(text.encode())


def string_map(values: Mapping[str, str]) -> bytes:
    """Encode a map of strings."""
    return sized(b''.join(string(key) + string(value) for key, value in values.items()))


def id_map(values: Mapping[int, int]) -> bytes:
    """Encode a map of 64-bit integers by channel id."""
    return sized(b''.join(layout.ID_AND_U64.pack(*item) for item in values.items()))


def header(profile: str, library: str) -> bytes:
    """Encode the record that follows the first magic."""
    return record(layout.HEADER, string(profile) + string(library))


def schema(schema_id: int, name: str, encoding: str, data: bytes) -> bytes:
    """Encode a schema."""
    content = string(name) + string(encoding) + sized(data)
    return record(layout.SCHEMA, layout.U16.pack(schema_id) + content)


def channel(
    channel_id: int,
    schema_id: int,
    topic: str,
    message_encoding: str,
    metadata: Mapping[str, str],
) -> bytes:
    """Encode a channel."""
    ids = layout.U16.pack(channel_id) + layout.U16.pack(schema_id)
    content = string(topic) + string(message_encoding) + string_map(metadata)
    return record(layout.CHANNEL, ids + content)


def chunk_prefix(
    *,
    start_time: int,
    end_time: int,
    uncompressed_size: int,
    uncompressed_crc: int,
    compression: str,
    compressed_size: int,
) -> bytes:
    """Encode a chunk record up to the (compressed) records in it, which follow."""
    content = (
        layout.CHUNK_FIXED.pack(start_time, end_time, uncompressed_size, uncompressed_crc)
        + string(compression)
        + layout.U64.pack(compressed_size)
    )
    return layout.RECORD_PREFIX.pack(layout.CHUNK, len(content) + compressed_size) + content


def chunk_prefix_length(compression: str) -> int:
    """Return the length of what `chunk_prefix` returns."""
    return layout.RECORD_PREFIX.size + layout.CHUNK_FIXED.size + 4 + len(compression) + 8


def message_index_prefix(channel_id: int, entries: int) -> bytes:
    """Encode a message index up to its entries, each log time and offset in the chunk."""
    size = entries * layout.MESSAGE_INDEX_ENTRY_LENGTH
    return layout.MESSAGE_INDEX_PREFIX.pack(layout.MESSAGE_INDEX, 2 + 4 + size, channel_id, size)


def data_end() -> bytes:
    """Encode the end of the data section, with no CRC of it: each chunk has its own."""
    return record(layout.DATA_END, layout.U32.pack(0))


def chunk_index(
    *,
    start_time: int,
    end_time: int,
    chunk_offset: int,
    chunk_length: int,
    message_index_offsets: Mapping[int, int],
    message_index_length: int,
    compression: str,
    compressed_size: int,
    uncompressed_size: int,
) -> bytes:
    """Encode the summary's entry for a chunk."""
    content = (
        layout.CHUNK_INDEX_FIXED.pack(start_time, end_time, chunk_offset, chunk_length)
        + id_map(message_index_offsets)
        + layout.U64.pack(message_index_length)
        + string(compression)
        + layout.U64.pack(compressed_size)
        + layout.U64.pack(uncompressed_size)
    )
    return record(layout.CHUNK_INDEX, content)


def chunk_index_length(compression: str, channels: int) -> int:
    """Return the length of what `chunk_index` returns for a chunk with so many channels."""
    fixed = layout.CHUNK_INDEX_FIXED.size + 4 + 8 + 4 + len(compression) + 8 + 8
    return layout.RECORD_PREFIX.size + fixed + channels * layout.ID_AND_U64.size


def statistics(
    *,
    schemas: int,
    chunks: int,
    metadata: int,
    start_time: int,
    end_time: int,
    message_counts: Mapping[int, int],
    attachments: int = 0,
) -> bytes:
    """Encode the statistics; `message_counts` is by channel id and names every channel."""
    fixed = layout.STATISTICS_FIXED.pack(
        sum(message_counts.values()),
        schemas,
        len(message_counts),
        attachments,
        metadata,
        chunks,
        start_time,
        end_time,
    )
    return record(layout.STATISTICS, fixed + id_map(message_counts))


def statistics_length(channels: int) -> int:
    """Return the length of what `statistics` returns for so many channels."""
    fixed = layout.STATISTICS_FIXED.size + 4
    return layout.RECORD_PREFIX.size + fixed + channels * layout.ID_AND_U64.size


def metadata(name: str, values: Mapping[str, str]) -> bytes:
    """Encode a metadata record."""
    return record(layout.METADATA, string(name) + string_map(values))


def metadata_index(offset: int, length: int, name: str) -> bytes:
    """Encode the summary's entry for a metadata record."""
    place = layout.U64.pack(offset) + layout.U64.pack(length)
    return record(layout.METADATA_INDEX, place + string(name))


def attachment_index(
    offset: int, length: int, times: bytes, size: int, name: str, media_type: str
) -> bytes:
    """Encode the summary's entry for an attachment; `times` are both of its times, as there."""
    place = layout.U64.pack(offset) + layout.U64.pack(length)
    names = string(name) + string(media_type)
    return record(layout.ATTACHMENT_INDEX, place + times + layout.U64.pack(size) + names)


def summary_offset(opcode: int, start: int, length: int) -> bytes:
    """Encode the place of one group of records in the summary."""
    return record(layout.SUMMARY_OFFSET, layout.SUMMARY_OFFSET_FIXED.pack(opcode, start, length))


def file_end(summary_start: int, summary_offset_start: int, summary: Iterable[bytes]) -> bytes:
    """Encode the footer record, with the CRC of the summary and of itself, and the last magic."""
    offsets = layout.FOOTER_OFFSETS.pack(summary_start, summary_offset_start)
    prefix = layout.RECORD_PREFIX.pack(layout.FOOTER, len(offsets) + layout.U32.size) + offsets
    return prefix + layout.U32.pack(crc32((*summary, prefix))) + layout.MAGIC
