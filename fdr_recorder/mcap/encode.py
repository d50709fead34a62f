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

Source: the MCAP specification (https://mcap.dev/spec). Integers are little-endian; a string is a
32-bit length and UTF-8; a record is an opcode byte, a 64-bit length and its content. Functions
return whole records. Nothing here knows files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import struct
from typing import Final

from fdr_recorder.storage.checksum import crc32

MAGIC: Final = b'\x89MCAP0\r\n'

HEADER: Final = 0x01
FOOTER: Final = 0x02
SCHEMA: Final = 0x03
CHANNEL: Final = 0x04
MESSAGE: Final = 0x05
CHUNK: Final = 0x06
MESSAGE_INDEX: Final = 0x07
CHUNK_INDEX: Final = 0x08
STATISTICS: Final = 0x0B
METADATA: Final = 0x0C
METADATA_INDEX: Final = 0x0D
SUMMARY_OFFSET: Final = 0x0E
DATA_END: Final = 0x0F
UNREADABLE: Final = 0xFD
"""A private record, which readers pass over: bytes that recovery could not read and left there."""

RECORD_PREFIX: Final = struct.Struct('<BQ')
"""Opcode and content length: what every record begins with."""

MESSAGE_PREFIX: Final = struct.Struct('<BQHIQQ')
"""A message record up to its data: opcode, length, channel, sequence, log and publish time."""

MESSAGE_FIXED_LENGTH: Final = MESSAGE_PREFIX.size - RECORD_PREFIX.size
"""Content length of a message record without data."""

FOOTER_LENGTH: Final = RECORD_PREFIX.size + 8 + 8 + 4
DATA_END_LENGTH: Final = RECORD_PREFIX.size + 4
SUMMARY_OFFSET_LENGTH: Final = RECORD_PREFIX.size + 1 + 8 + 8

_U16 = struct.Struct('<H')
_U32 = struct.Struct('<I')
_U64 = struct.Struct('<Q')
_CHUNK_FIXED = struct.Struct('<QQQI')
_CHUNK_INDEX_FIXED = struct.Struct('<QQQQ')
_STATISTICS_FIXED = struct.Struct('<QHIIIIQQ')
_ID_AND_U64 = struct.Struct('<HQ')
_SUMMARY_OFFSET = struct.Struct('<BQQ')
_FOOTER_OFFSETS = struct.Struct('<QQ')


def record(opcode: int, content: bytes) -> bytes:
    """Put opcode and length before a content."""
    return RECORD_PREFIX.pack(opcode, len(content)) + content


def string(text: str) -> bytes:
    """Encode a string."""
    data = text.encode()
    return _U32.pack(len(data)) + data


def string_map(values: Mapping[str, str]) -> bytes:
    """Encode a map of strings."""
    content = b''.join(string(key) + string(value) for key, value in values.items())
    return _U32.pack(len(content)) + content


def header(profile: str, library: str) -> bytes:
    """Encode the record that follows the first magic."""
    return record(HEADER, string(profile) + string(library))


def schema(schema_id: int, name: str, encoding: str, data: bytes) -> bytes:
    """Encode a schema."""
    content = _U16.pack(schema_id) + string(name) + string(encoding) + _U32.pack(len(data)) + data
    return record(SCHEMA, content)


def channel(
    channel_id: int,
    schema_id: int,
    topic: str,
    message_encoding: str,
    metadata: Mapping[str, str],
) -> bytes:
    """Encode a channel."""
    content = (
        _U16.pack(channel_id)
        + _U16.pack(schema_id)
        + string(topic)
        + string(message_encoding)
        + string_map(metadata)
    )
    return record(CHANNEL, content)


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
        _CHUNK_FIXED.pack(start_time, end_time, uncompressed_size, uncompressed_crc)
        + string(compression)
        + _U64.pack(compressed_size)
    )
    return RECORD_PREFIX.pack(CHUNK, len(content) + compressed_size) + content


def chunk_prefix_length(compression: str) -> int:
    """Return the length of what `chunk_prefix` returns."""
    return RECORD_PREFIX.size + _CHUNK_FIXED.size + 4 + len(compression) + 8


def message_index_prefix(channel_id: int, entries: int) -> bytes:
    """Encode a message index up to its entries, each log time and offset in the chunk."""
    size = entries * MESSAGE_INDEX_ENTRY_LENGTH
    return _MESSAGE_INDEX_PREFIX.pack(MESSAGE_INDEX, 2 + 4 + size, channel_id, size)


_MESSAGE_INDEX_PREFIX: Final = struct.Struct('<BQHI')
MESSAGE_INDEX_ENTRY_LENGTH: Final = 16
MESSAGE_INDEX_PREFIX_LENGTH: Final = _MESSAGE_INDEX_PREFIX.size


def data_end() -> bytes:
    """Encode the end of the data section, with no CRC of it: each chunk has its own."""
    return record(DATA_END, _U32.pack(0))


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
    offsets = b''.join(_ID_AND_U64.pack(*item) for item in message_index_offsets.items())
    content = (
        _CHUNK_INDEX_FIXED.pack(start_time, end_time, chunk_offset, chunk_length)
        + _U32.pack(len(offsets))
        + offsets
        + _U64.pack(message_index_length)
        + string(compression)
        + _U64.pack(compressed_size)
        + _U64.pack(uncompressed_size)
    )
    return record(CHUNK_INDEX, content)


def chunk_index_length(compression: str, channels: int) -> int:
    """Return the length of what `chunk_index` returns for a chunk with so many channels."""
    fixed = _CHUNK_INDEX_FIXED.size + 4 + 8 + 4 + len(compression) + 8 + 8
    return RECORD_PREFIX.size + fixed + channels * _ID_AND_U64.size


def statistics(
    *,
    schemas: int,
    chunks: int,
    metadata: int,
    start_time: int,
    end_time: int,
    message_counts: Mapping[int, int],
) -> bytes:
    """Encode the statistics; `message_counts` is by channel id and names every channel."""
    counts = b''.join(_ID_AND_U64.pack(*item) for item in message_counts.items())
    fixed = _STATISTICS_FIXED.pack(
        sum(message_counts.values()),
        schemas,
        len(message_counts),
        0,  # attachments
        metadata,
        chunks,
        start_time,
        end_time,
    )
    return record(STATISTICS, fixed + _U32.pack(len(counts)) + counts)


def statistics_length(channels: int) -> int:
    """Return the length of what `statistics` returns for so many channels."""
    return RECORD_PREFIX.size + _STATISTICS_FIXED.size + 4 + channels * _ID_AND_U64.size


def metadata(name: str, values: Mapping[str, str]) -> bytes:
    """Encode a metadata record."""
    return record(METADATA, string(name) + string_map(values))


def metadata_index(offset: int, length: int, name: str) -> bytes:
    """Encode the summary's entry for a metadata record."""
    return record(METADATA_INDEX, _U64.pack(offset) + _U64.pack(length) + string(name))


def summary_offset(opcode: int, start: int, length: int) -> bytes:
    """Encode the place of one group of records in the summary."""
    return record(SUMMARY_OFFSET, _SUMMARY_OFFSET.pack(opcode, start, length))


def file_end(summary_start: int, summary_offset_start: int, summary: Iterable[bytes]) -> bytes:
    """Encode the footer record, with the CRC of the summary and of itself, and the last magic."""
    offsets = _FOOTER_OFFSETS.pack(summary_start, summary_offset_start)
    prefix = RECORD_PREFIX.pack(FOOTER, len(offsets) + _U32.size) + offsets
    return prefix + _U32.pack(crc32((*summary, prefix))) + MAGIC
