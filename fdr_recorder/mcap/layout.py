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
The layout of MCAP, version 0: opcodes, and the fixed parts of its records.

Source: the MCAP specification (https://mcap.dev/spec). Integers are little-endian; a string is a
32-bit length and UTF-8; a record is an opcode byte, a 64-bit length and its content.
"""

from __future__ import annotations

import struct
from typing import Final

MAGIC: Final = b'\x89MCAP0\r\n'

HEADER: Final = 0x01
FOOTER: Final = 0x02
SCHEMA: Final = 0x03
CHANNEL: Final = 0x04
MESSAGE: Final = 0x05
CHUNK: Final = 0x06
MESSAGE_INDEX: Final = 0x07
CHUNK_INDEX: Final = 0x08
ATTACHMENT: Final = 0x09
ATTACHMENT_INDEX: Final = 0x0A
STATISTICS: Final = 0x0B
METADATA: Final = 0x0C
METADATA_INDEX: Final = 0x0D
SUMMARY_OFFSET: Final = 0x0E
DATA_END: Final = 0x0F
UNREADABLE: Final = 0xFD
"""A private record, which readers skip: bytes that could not be read and were left there."""

RECORD_PREFIX: Final = struct.Struct('<BQ')
"""Opcode and content length: what every record begins with."""

MESSAGE_PREFIX: Final = struct.Struct('<BQHIQQ')
"""A message record up to its data: opcode, length, channel, sequence, log and publish time."""

MESSAGE_FIXED: Final = struct.Struct('<HIQQ')
"""The content of a message record up to its data."""

MESSAGE_FIXED_LENGTH: Final = MESSAGE_FIXED.size

FOOTER_LENGTH: Final = RECORD_PREFIX.size + 8 + 8 + 4
ENDING_LENGTH: Final = FOOTER_LENGTH + len(MAGIC)
DATA_END_LENGTH: Final = RECORD_PREFIX.size + 4
SUMMARY_OFFSET_LENGTH: Final = RECORD_PREFIX.size + 1 + 8 + 8

U16: Final = struct.Struct('<H')
U32: Final = struct.Struct('<I')
U64: Final = struct.Struct('<Q')
CHUNK_FIXED: Final = struct.Struct('<QQQI')
ATTACHMENT_TIMES: Final = struct.Struct('<QQ')
"""Log time, and time of creation: what an attachment begins with."""
CHUNK_TIMES: Final = struct.Struct('<QQ')
"""Earliest and latest log time: what `CHUNK_FIXED` begins with."""

CHUNK_INDEX_FIXED: Final = struct.Struct('<QQQQ')
STATISTICS_FIXED: Final = struct.Struct('<QHIIIIQQ')
ID_AND_U64: Final = struct.Struct('<HQ')
SUMMARY_OFFSET_FIXED: Final = struct.Struct('<BQQ')
FOOTER_OFFSETS: Final = struct.Struct('<QQ')

MESSAGE_INDEX_PREFIX: Final = struct.Struct('<BQHI')
"""A message index record up to its entries: opcode, length, channel, bytes of entries."""

MESSAGE_INDEX_ENTRY: Final = struct.Struct('<QQ')
MESSAGE_INDEX_ENTRY_LENGTH: Final = MESSAGE_INDEX_ENTRY.size
"""An entry of a message index: log time and offset in the uncompressed chunk."""

ROS2MSG: Final = 'ros2msg'
ROS2IDL: Final = 'ros2idl'
"""Schema encodings (MCAP registry)."""

CDR: Final = 'cdr'
"""Message encoding of ROS 2 (MCAP registry)."""

JSON: Final = 'json'
"""Message encoding of other programs (MCAP registry)."""
