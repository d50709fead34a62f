"""Reads one segment front to back, however it ends.

The file is taken as it comes: nothing in it is believed before it is checked against the size of
the file, and against limits that bound the memory of the reader. What a power cut or a bad disk
left of a segment is read up to the last whole chunk; `damage` then says what is wrong, and where.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from fdr_recorder.errors import SegmentError
from fdr_recorder.record.schema import Schema
from fdr_recorder.storage import mcap

MAX_RECORD_BYTES: Final = 1 << 30
"""A record, compressed or not, that claims to be larger is not believed."""

_CHUNK_FIXED = struct.Struct('<QQQI')
_MESSAGE_FIXED = struct.Struct('<HIQQ')
_U16 = struct.Struct('<H')
_U32 = struct.Struct('<I')
_U64 = struct.Struct('<Q')


@dataclass(frozen=True, eq=False)
class FileChannel:
    """A channel as a segment describes it.

    Attributes:
        id: Its number in this segment.
        topic: Name of the topic.
        schema: Name and definition of the type; empty if the segment has none for it.
        message_encoding: For example `cdr`.
        metadata: Whatever the channel record says besides.

    """

    id: int
    topic: str
    schema: Schema
    message_encoding: str
    metadata: Mapping[str, str]


class Message(NamedTuple):
    """A message as it lies in a segment.

    Attributes:
        channel: Where it belongs.
        sequence: The publisher's sequence number, low 32 bits.
        log_time_ns: When it was received.
        publish_time_ns: When it was published.
        data: The serialised message.

    """

    channel: FileChannel
    sequence: int
    log_time_ns: int
    publish_time_ns: int
    data: bytes


class SegmentReader:
    """The messages of one segment, in file order.

    Memory is bounded by the largest chunk; the file is read once, front to back.

    Attributes:
        path: The file.
        metadata: The metadata records by name, as far as they have been read.
        damage: What is wrong with the file, once `messages` has come to an end; None if nothing.
        whole_bytes: Where the last whole record that was read ends.
        is_sealed: Whether summary, footer and the last magic were reached.

    Example:
        >>> with SegmentReader(path) as reader:
        ...     for message in reader.messages():
        ...         print(message.channel.topic, message.log_time_ns)
        ...     print(reader.damage or 'all well')

    """

    def __init__(self, path: Path | str) -> None:
        """Open the file.

        Raises:
            OSError: It cannot be opened.
            SegmentError: It is no regular file (a link is not followed).

        """
        self.path = Path(path)
        self.metadata: dict[str, Mapping[str, str]] = {}
        self.damage: SegmentError | None = None
        self.whole_bytes = 0
        self.is_sealed = False
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, FileChannel] = {}
        self._fd = os.open(
            self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        )
        status = os.fstat(self._fd)
        self._size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise SegmentError(self.path, 0, 'not a regular file')

    def __enter__(self) -> SegmentReader:
        """Return itself: the file is open."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def messages(self) -> Iterator[Message]:
        """Yield every message that lies in a whole chunk, then set `damage`.

        Nothing that is in the file makes it raise.
        """
        try:
            for opcode, content, offset in self._records():
                if opcode == mcap.CHUNK:
                    yield from self._chunk(content, offset)
                else:
                    self._describe(opcode, content, offset)
        except SegmentError as error:
            self.damage = error

    # --- records -------------------------------------------------------------------------

    def _records(self) -> Iterator[tuple[int, memoryview, int]]:
        """Yield opcode, content and offset of the records of the data section."""
        if self._read(0, len(mcap.MAGIC)) != mcap.MAGIC:
            raise SegmentError(self.path, 0, 'this is no MCAP file')
        offset = len(mcap.MAGIC)
        while True:
            prefix = self._read(offset, mcap.RECORD_PREFIX.size)
            opcode, length = mcap.RECORD_PREFIX.unpack(prefix)
            end = offset + len(prefix) + length
            if end > self._size:
                raise SegmentError(self.path, offset, 'the file ends within a record')
            if length > MAX_RECORD_BYTES:
                what = f'a record of {length} bytes is not believed'
                raise SegmentError(self.path, offset, what)
            if opcode == mcap.DATA_END:
                self._check_ending()
                self.whole_bytes = offset
                return
            if opcode != mcap.MESSAGE_INDEX:
                yield opcode, memoryview(self._read(offset + len(prefix), length)), offset
            self.whole_bytes = offset = end

    def _check_ending(self) -> None:
        ending = self._read(self._size - len(mcap.MAGIC), len(mcap.MAGIC))
        if ending != mcap.MAGIC:
            raise SegmentError(self.path, self._size, 'the summary is not complete')
        self.is_sealed = True

    def _read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._fd, length, offset)
        while len(data) < length:
            more = os.pread(self._fd, length - len(data), offset + len(data))
            if not more:
                raise SegmentError(self.path, offset, 'the file ends within a record')
            data += more
        return data

    def _describe(self, opcode: int, content: memoryview, offset: int) -> None:
        """Take in a schema, a channel or metadata."""
        fields = _Fields(content, self.path, offset)
        if opcode == mcap.SCHEMA:
            schema_id, name, _encoding = fields.u16(), fields.string(), fields.string()
            self._schemas[schema_id] = Schema(name, fields.string())
        elif opcode == mcap.CHANNEL:
            channel_id, schema_id = fields.u16(), fields.u16()
            self._channels[channel_id] = FileChannel(
                channel_id,
                fields.string(),
                self._schemas.get(schema_id, Schema('', '')),
                fields.string(),
                fields.string_map(),
            )
        elif opcode == mcap.METADATA:
            name = fields.string()
            self.metadata[name] = fields.string_map()

    # --- chunks --------------------------------------------------------------------------

    def _chunk(self, content: memoryview, offset: int) -> Iterator[Message]:
        """Yield the messages of a chunk whose CRC is right."""
        records = self._uncompressed(content, offset)
        position = 0
        while position < len(records):
            if position + mcap.RECORD_PREFIX.size > len(records):
                raise SegmentError(self.path, offset, 'the chunk ends within a record')
            opcode, length = mcap.RECORD_PREFIX.unpack_from(records, position)
            position += mcap.RECORD_PREFIX.size
            if length > len(records) - position:
                raise SegmentError(self.path, offset, 'the chunk ends within a record')
            body = records[position : position + length]
            position += length
            if opcode == mcap.MESSAGE:
                yield self._message(body, offset)
            else:
                self._describe(opcode, body, offset)

    def _uncompressed(self, content: memoryview, offset: int) -> memoryview:
        fields = _Fields(content, self.path, offset)
        _, _, size, crc = fields.unpack(_CHUNK_FIXED)
        compression = fields.string()
        stored = fields.bytes(fields.u64())
        if size > MAX_RECORD_BYTES:
            raise SegmentError(self.path, offset, f'a chunk of {size} bytes is not believed')
        if compression:
            decompress = _DECOMPRESSORS.get(compression)
            if decompress is None:
                raise SegmentError(self.path, offset, f'unknown compression {compression!r}')
            try:
                stored = memoryview(decompress(stored, size))
            except Exception as error:  # each library has errors of its own
                raise SegmentError(self.path, offset, f'cannot decompress: {error}') from error
        if len(stored) != size:
            raise SegmentError(self.path, offset, 'the chunk is not of the size it claims')
        if crc and zlib.crc32(stored) != crc:
            raise SegmentError(self.path, offset, 'the CRC of the chunk is wrong')
        return stored

    def _message(self, body: memoryview, offset: int) -> Message:
        if len(body) < _MESSAGE_FIXED.size:
            raise SegmentError(self.path, offset, 'a message is too short')
        channel_id, sequence, log_time_ns, publish_time_ns = _MESSAGE_FIXED.unpack_from(body)
        channel = self._channels.get(channel_id)
        if channel is None:
            raise SegmentError(self.path, offset, f'a message of unknown channel {channel_id}')
        data = bytes(body[_MESSAGE_FIXED.size :])
        return Message(channel, sequence, log_time_ns, publish_time_ns, data)


class _Fields:
    """The fields of a record, one after the other; none reaches beyond the record."""

    def __init__(self, content: memoryview, path: Path, offset: int) -> None:
        self._content = content
        self._position = 0
        self._path = path
        self._offset = offset

    def bytes(self, length: int) -> memoryview:
        position = self._position
        if length > len(self._content) - position:
            raise SegmentError(self._path, self._offset, 'a field reaches beyond its record')
        self._position += length
        return self._content[position : self._position]

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        return layout.unpack(self.bytes(layout.size))

    def u16(self) -> int:
        return self.unpack(_U16)[0]

    def u64(self) -> int:
        return self.unpack(_U64)[0]

    def string(self) -> str:
        try:
            return str(self.bytes(self.unpack(_U32)[0]), 'utf-8')
        except UnicodeDecodeError as error:
            raise SegmentError(self._path, self._offset, 'a string is not UTF-8') from error

    def string_map(self) -> dict[str, str]:
        length = self.unpack(_U32)[0]
        end = self._position + length
        if end > len(self._content):
            raise SegmentError(self._path, self._offset, 'a map reaches beyond its record')
        values: dict[str, str] = {}
        while self._position < end:
            key = self.string()
            values[key] = self.string()
        return values


def _decompress_lz4(data: memoryview, size: int) -> bytes:
    from lz4.frame import LZ4FrameDecompressor  # noqa: PLC0415 - only where it is needed

    result: bytes = LZ4FrameDecompressor().decompress(data, max_length=size + 1)
    return result


def _decompress_zstd(data: memoryview, size: int) -> bytes:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor  # noqa: PLC0415
    else:
        from backports.zstd import ZstdDecompressor  # noqa: PLC0415
    result: bytes = ZstdDecompressor().decompress(data, max_length=size + 1)
    return result


_DECOMPRESSORS: Final[Mapping[str, Callable[[memoryview, int], bytes]]] = {
    'lz4': _decompress_lz4,
    'zstd': _decompress_zstd,
}
"""Each returns at most one byte more than it is asked for."""
