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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.fields import Fields
from fdr_recorder.record.schema import Schema
from fdr_recorder.storage import descriptor, mcap
from fdr_recorder.storage.checksum import crc32

MAX_RECORD_BYTES: Final = 1 << 30
"""A record, compressed or not, that claims to be larger is not believed."""

_DATA_OPCODES: Final = frozenset(range(mcap.HEADER, mcap.DATA_END)) - {mcap.FOOTER}
_FIRST_PRIVATE_OPCODE: Final = 0x80
"""From here on an application may add records of its own; readers pass over them."""

_CHUNK_FIXED = struct.Struct('<QQQI')
_MESSAGE_FIXED = struct.Struct('<HIQQ')


@dataclass(frozen=True, eq=False)
class FileChannel:
    """A channel as a segment describes it.

    Attributes:
        id: Its number in this segment.
        topic: Name of the topic.
        schema_id: Number of the schema in this segment.
        schema: Name and definition of the type; empty if the segment has none for it.
        message_encoding: For example `cdr`.
        metadata: Whatever the channel record says besides.

    """

    id: int
    topic: str
    schema_id: int
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


class RawRecord(NamedTuple):
    """A record as it lies in a file.

    Attributes:
        opcode: Its type.
        offset: Where it begins in the file.
        content: What follows opcode and length.

    """

    opcode: int
    offset: int
    content: memoryview

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + mcap.RECORD_PREFIX.size + len(self.content)


class SegmentReader:
    """The messages of one segment, in file order.

    Memory is bounded by the largest chunk; the file is read once, front to back.

    Attributes:
        path: The file.
        size: Size of the file when it was opened.
        metadata: The metadata records by name, as far as they have been read.
        schemas: The schemas by number, as far as they have been read.
        channels: The channels by number, as far as they have been read.
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
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, FileChannel] = {}
        self._fd = os.open(
            self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        )
        try:
            status = os.fstat(self._fd)
        except OSError:
            self.close()
            raise
        self.size = status.st_size
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
            descriptor.close(fd)

    def messages(self) -> Iterator[Message]:
        """Yield every message that lies in a whole chunk, then set `damage`.

        Nothing that is in the file makes it raise.
        """
        try:
            for record in self.records():
                if record.opcode == mcap.CHUNK:
                    yield from self.chunk_messages(record)
                else:
                    self.describe(record)
        except SegmentError as error:
            self.damage = error

    # --- records -------------------------------------------------------------------------

    def records(self) -> Iterator[RawRecord]:
        """Yield the records of the data section; `whole_bytes` is the end of the last one.

        Raises:
            SegmentError: The file is torn or broken there.

        """
        if self.read(0, len(mcap.MAGIC)) != mcap.MAGIC:
            raise SegmentError(self.path, 0, 'this is no MCAP file')
        self.whole_bytes = len(mcap.MAGIC)
        while True:
            record = self.record_at(self.whole_bytes)
            if record.opcode == mcap.DATA_END:
                self._check_ending()
                return
            if record.opcode not in _DATA_OPCODES and record.opcode < _FIRST_PRIVATE_OPCODE:
                # zeros, for example: so reads a page that a power cut kept from the disk
                what = f'no record begins with the byte {record.opcode}'
                raise SegmentError(self.path, record.offset, what)
            yield record
            self.whole_bytes = record.end

    def record_at(self, offset: int) -> RawRecord:
        """Read the record that begins at an offset.

        Raises:
            SegmentError: It is not whole, or claims to be larger than is believed.

        """
        prefix = self.read(offset, mcap.RECORD_PREFIX.size)
        opcode, length = mcap.RECORD_PREFIX.unpack(prefix)
        if offset + len(prefix) + length > self.size:
            raise SegmentError(self.path, offset, 'the file ends within a record')
        if length > MAX_RECORD_BYTES:
            what = f'a record of {length} bytes is not believed'
            raise SegmentError(self.path, offset, what)
        content = memoryview(self.read(offset + len(prefix), length))
        return RawRecord(opcode, offset, content)

    def _check_ending(self) -> None:
        ending = self.read(self.size - len(mcap.MAGIC), len(mcap.MAGIC))
        if ending != mcap.MAGIC:
            raise SegmentError(self.path, self.size, 'the summary is not complete')
        self.is_sealed = True

    def read(self, offset: int, length: int) -> bytes:
        """Read so many bytes from an offset; raise `SegmentError` if the file is shorter."""
        if not 0 <= offset <= self.size - length:
            raise SegmentError(self.path, offset, 'the file ends within a record')
        data = os.pread(self._fd, length, offset)
        while len(data) < length:
            more = os.pread(self._fd, length - len(data), offset + len(data))
            if not more:
                raise SegmentError(self.path, offset, 'the file ends within a record')
            data += more
        return data

    def describe(self, record: RawRecord) -> None:
        """Take in a schema, a channel or metadata; leave other records alone."""
        opcode = record.opcode
        fields = Fields(record.content, self.path, record.offset)
        if opcode == mcap.SCHEMA:
            schema_id, name, _encoding = fields.u16(), fields.string(), fields.string()
            self.schemas[schema_id] = Schema(name, fields.string())
        elif opcode == mcap.CHANNEL:
            channel_id, schema_id = fields.u16(), fields.u16()
            self.channels[channel_id] = FileChannel(
                channel_id,
                fields.string(),
                schema_id,
                self.schemas.get(schema_id, Schema('', '')),
                fields.string(),
                fields.string_map(),
            )
        elif opcode == mcap.METADATA:
            name = fields.string()
            self.metadata[name] = fields.string_map()

    # --- chunks --------------------------------------------------------------------------

    def chunk_messages(self, chunk: RawRecord) -> Iterator[Message]:
        """Yield the messages of a chunk.

        Raises:
            SegmentError: Its CRC is wrong, or what is in it makes no sense.

        """
        for message, _ in self.placed_messages(chunk):
            yield message

    def placed_messages(self, chunk: RawRecord) -> Iterator[tuple[Message, int]]:
        """Yield the messages of a chunk with their offsets in it; as `chunk_messages`."""
        offset = chunk.offset
        records = self._uncompressed(chunk.content, offset)
        position = 0
        while position < len(records):
            if position + mcap.RECORD_PREFIX.size > len(records):
                raise SegmentError(self.path, offset, 'the chunk ends within a record')
            opcode, length = mcap.RECORD_PREFIX.unpack_from(records, position)
            place = position
            position += mcap.RECORD_PREFIX.size
            if length > len(records) - position:
                raise SegmentError(self.path, offset, 'the chunk ends within a record')
            body = records[position : position + length]
            position += length
            if opcode == mcap.MESSAGE:
                yield self._message(body, offset), place
            else:
                self.describe(RawRecord(opcode, offset, body))

    def _uncompressed(self, content: memoryview, offset: int) -> memoryview:
        fields = Fields(content, self.path, offset)
        _, _, size, crc = fields.unpack(_CHUNK_FIXED)
        compression = fields.string()
        stored = fields.bytes(fields.u64())
        if not fields.is_at_end:
            raise SegmentError(self.path, offset, 'the chunk is larger than its content')
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
        if crc32([stored]) != crc:  # the recorder never leaves it out, but a torn page might
            raise SegmentError(self.path, offset, 'the CRC of the chunk is wrong')
        return stored

    def _message(self, body: memoryview, offset: int) -> Message:
        if len(body) < _MESSAGE_FIXED.size:
            raise SegmentError(self.path, offset, 'a message is too short')
        channel_id, sequence, log_time_ns, publish_time_ns = _MESSAGE_FIXED.unpack_from(body)
        channel = self.channels.get(channel_id)
        if channel is None:
            raise SegmentError(self.path, offset, f'a message of unknown channel {channel_id}')
        data = bytes(body[_MESSAGE_FIXED.size :])
        return Message(channel, sequence, log_time_ns, publish_time_ns, data)


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
