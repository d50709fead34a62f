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
Reads one SQLite file of a bag, row by row, as a segment is read chunk by chunk.

The tables are those of rosbag2's plugin `sqlite3`, of any version: `topics` and `messages`, and
since ROS 2 Iron `message_definitions`. SQLite has no CRC: rows that it can read are believed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
import sqlite3
import sys
from typing import Any, Final
from urllib.parse import quote

from fdr_recorder.errors import SegmentError
from fdr_recorder.mcap.decode import FileChannel, Message, WholeChunk
from fdr_recorder.mcap.foreign import FindSchema
from fdr_recorder.mcap.layout import CDR
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.mcap.summary import Summary
from fdr_recorder.mcap.walk import IndexedChunk
from fdr_recorder.record.channel import QOS_KEY, TYPE_HASH_KEY

MAGIC: Final = b'SQLite format 3\0'
_BATCH_BYTES: Final = 1 << 20
_BATCH_ROWS: Final = 2000
_MAX_BLOB_BYTES: Final = 1 << 30
_MAX_TIME_NS: Final = (1 << 63) - 1
_MAX_FAULTS: Final = 20
_LONGEST_STEP: Final = 1 << 40


class SqliteFile:
    """
    An SQLite file of a bag, open for reading; a `RecordingFile`.

    Offsets count the bytes of messages before: SQLite does not tell where a row lies.

    Attributes:
        path: Where it is.
        size: Its size, in bytes.
        channels: Its topics by number.
        metadata: Nothing: such a file has no metadata records.
        tear: None: SQLite never leaves half a row.
        errors: What could not be read, once it has been tried.
        is_sound: Whether SQLite finds the structure of the file sound; asks when it is read.

    """

    def __init__(self, path: Path, shown: Path, find_schema: FindSchema) -> None:
        """
        Open the file.

        Args:
            path: The file; nothing is written to it, nor next to it.
            shown: Where the user has it.
            find_schema: Asked for a type that the file does not define.

        Raises:
            OSError: It cannot be read.
            SegmentError: It is no SQLite file, or has no table of messages.

        """
        self.path = shown
        self.size = path.stat().st_size
        self.channels: dict[int, FileChannel] = {}
        self.metadata: Mapping[str, Mapping[str, str]] = {}
        self.tear: SegmentError | None = None
        self.errors: list[SegmentError] = []
        uri = f'file:{quote(str(path.absolute()))}?mode=ro&immutable=1'
        try:
            self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._error(str(error)) from error
        try:
            self._database.text_factory = lambda data: data.decode('utf-8', 'backslashreplace')
            self._database.execute('PRAGMA trusted_schema = OFF')
            if sys.version_info >= (3, 11):
                self._database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_BLOB_BYTES)
            self._read_topics(find_schema)
        except sqlite3.Error as error:
            self.close()
            raise self._error(str(error)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def _error(self, what: str) -> SegmentError:
        return SegmentError(self.path, 0, f'SQLite says: {what}')

    def _fault(self, what: str) -> None:
        if len(self.errors) < _MAX_FAULTS:
            self.errors.append(SegmentError(self.path, 0, what))

    def _columns(self, table: str) -> set[str]:
        return {row[1] for row in self._database.execute(f'PRAGMA table_info({table})')}

    def _read_topics(self, find_schema: FindSchema) -> None:
        if not {'topic_id', 'timestamp', 'data'} <= self._columns('messages'):
            raise SegmentError(self.path, 0, 'this is no bag: it has no table of messages')
        schemas: dict[str, Schema] = {}
        if {'topic_type', 'encoding', 'encoded_message_definition'} <= self._columns(
            'message_definitions'
        ):
            for row in self._database.execute(
                'SELECT topic_type, encoding, encoded_message_definition FROM message_definitions'
            ):
                name, encoding, definition = map(_text, row)
                if definition:
                    schemas[name] = Schema(name, definition, encoding)
        wanted = ('id', 'name', 'type', 'serialization_format')
        optional = [QOS_KEY, 'type_description_hash']
        there = self._columns('topics')
        if not set(wanted) <= there:
            raise SegmentError(self.path, 0, 'this is no bag: it has no table of topics')
        more = [name for name in optional if name in there]
        for row in self._database.execute(f'SELECT {", ".join((*wanted, *more))} FROM topics'):
            number, name, type_name, encoding = row[0], *map(_text, row[1:4])
            said = dict(zip(more, map(_text, row[4:]), strict=True))
            schema = schemas.get(type_name) or find_schema(type_name)
            metadata = {QOS_KEY: said.get(QOS_KEY, '')}
            if digest := said.get('type_description_hash', ''):
                metadata[TYPE_HASH_KEY] = digest
            self.channels[number] = FileChannel(
                number, name, 0, schema or Schema(type_name, '', ''), encoding or CDR, metadata
            )

    # --- as a segment is read --------------------------------------------------------------

    @property
    def ends_with_magic(self) -> bool:
        """Say that it is complete: SQLite has no other files, see `flights.recording`."""
        return True

    def messages(self) -> Iterator[Message]:
        """Yield every message that can be read, in the order of their numbers."""
        for chunk in self.chunks():
            for message, _ in chunk.messages:
                yield message

    def chunks(self) -> Iterator[WholeChunk]:
        """Yield the messages in the order of their numbers, some at a time."""
        batch: list[tuple[Message, int]] = []
        begin = end = 0
        for message in self._rows():
            batch.append((message, 0))
            end += len(message.data)
            if end - begin >= _BATCH_BYTES or len(batch) >= _BATCH_ROWS:
                yield WholeChunk(min(begin, self.size), min(end, self.size), batch)
                batch, begin = [], end
        if batch:
            yield WholeChunk(min(begin, self.size), min(end, self.size), batch)

    def summary(self) -> Summary:
        """Raise `SegmentError`: there is none."""
        raise self._error('there is no summary')

    def chunk_at(self, offset: int) -> WholeChunk:
        """Raise `SegmentError`: `chunks` has read them all."""
        raise self._error(f'there is no chunk at {offset}')

    def index_at(self, offset: int) -> array[int]:
        """Raise `SegmentError`: there are no message indexes."""
        raise self._error(f'there is no message index at {offset}')

    def records_of(self, chunk: IndexedChunk) -> memoryview:
        """Raise `SegmentError`: there are no chunks."""
        raise self._error(f'there is no chunk at {chunk.offset}')

    # --- rows ------------------------------------------------------------------------------

    def _rows(self) -> Iterator[Message]:
        """Yield every message that can be read; step over rows where the file is broken."""
        last, step = -(1 << 63), 0
        query = (
            'SELECT rowid, topic_id, timestamp, data FROM messages WHERE rowid > ? ORDER BY rowid'
        )
        while step <= _LONGEST_STEP:
            try:
                for row in self._database.execute(query, (last + step,)):
                    if step:
                        self._fault(f'the messages {last + 1} to {row[0] - 1} cannot be read')
                    last, step = row[0], 0
                    if (message := self._message(row)) is not None:
                        yield message
            except (sqlite3.DatabaseError, OverflowError) as error:
                if not step:
                    self._fault(f'behind message {max(last, 0)}: {error}')
                    last = max(last, 0)
                step = step * 2 or 1
            else:
                if step:
                    self._fault(f'no message behind {last} can be read')
                return

    def _message(self, row: tuple[Any, ...]) -> Message | None:
        """Return the message in a row; None if it makes no sense."""
        number, topic, time_ns, data = row
        channel = self.channels.get(topic)
        if channel is None:
            self._fault(f'message {number} has the unknown topic {topic!r:.40}')
        elif not isinstance(time_ns, int) or not 0 <= time_ns <= _MAX_TIME_NS:
            self._fault(f'message {number} has the time {time_ns!r:.40}')
        elif not isinstance(data, bytes):
            self._fault(f'message {number} has no data')
        else:
            return Message(channel, 0, time_ns, time_ns, data)
        return None

    # --- what a list and a check ask -------------------------------------------------------

    def counted(self) -> tuple[int, int, int]:
        """Return how many messages there are, the earliest time and the latest one; 0 if none."""
        try:
            row = self._database.execute(
                'SELECT count(*), min(timestamp), max(timestamp) FROM messages'
            ).fetchone()
            count, first, last = (value if isinstance(value, int) else 0 for value in row)
            return count, max(first, 0), max(last, 0)
        except sqlite3.Error as error:
            self._fault(str(error))
            return 0, 0, 0

    def check(self) -> list[str]:
        """Return what SQLite finds wrong with the structure of the file."""
        try:
            rows = self._database.execute(f'PRAGMA quick_check({_MAX_FAULTS})').fetchall()
        except sqlite3.Error as error:
            return [str(error)]
        return [str(text) for (text,) in rows if text != 'ok']


def _text(value: object) -> str:
    return value if isinstance(value, str) else ''
