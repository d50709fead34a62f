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
Tables out of the messages of a recording: one for each topic, and each definition of its type.

Messages are collected until there are enough of a table to take them apart together. What is
collected has a bound in bytes, so memory does not grow with the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, NamedTuple, Union

from fdr_recorder.errors import RecordError
from fdr_recorder.flights.query import Query
from fdr_recorder.flights.reader import Advance
from fdr_recorder.mcap.decode import FileChannel, Message
from fdr_recorder.mcap.layout import CDR, JSON, ROS2IDL, ROS2MSG
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.record.channel import PUBLISHER_KEY, TYPE_HASH_KEY
from fdr_recorder.types.cdr_to_tables import TableDecoder
from fdr_recorder.types.columns import Column
from fdr_recorder.types.json_to_tables import JsonTableDecoder
from fdr_recorder.units import plural
import numpy as np
import numpy.typing as npt

TABLE_BYTES: Final = 16 << 20
TABLE_ROWS: Final = 1 << 16
"""With so much of a table collected, it is written."""
TOTAL_BYTES: Final = 64 << 20
"""With so much of all tables, the largest is."""

_MOST_CHANNELS: Final = 1000

Times = npt.NDArray[np.uint64]
Decoder = Union[TableDecoder, JsonTableDecoder]  # noqa: UP007 - evaluated by Python 3.10


class Rows(NamedTuple):
    """
    Some rows of a table.

    Attributes:
        log_time_ns: When each message was received (system clock, or UTC if that is asked for).
        publish_time_ns: When it was published, by the publisher's clock.
        sequence: The publisher's sequence number, low 32 bits.
        publisher: Its gid in hexadecimal; None where that is not known.
        columns: The fields of the messages, by dotted names.

    """

    log_time_ns: Times
    publish_time_ns: Times
    sequence: npt.NDArray[np.uint32]
    publisher: list[str | None]
    columns: dict[str, Column]


class Pending(NamedTuple):
    """
    Messages that are collected, by columns.

    So many tuples as there are messages would keep Python's garbage collector busy, for a quarter
    of the time that an export takes.
    """

    log_time_ns: list[int]
    publish_time_ns: list[int]
    sequence: list[int]
    publisher: list[str | None]
    data: list[bytes]

    def picked(self, places: Sequence[int]) -> Pending:
        """Return some of the messages."""
        columns: tuple[Any, ...] = self
        return Pending._make([column[place] for place in places] for column in columns)

    def cut(self, start: int, end: int) -> Pending:
        """Return the messages from one place to another."""
        columns: tuple[Any, ...] = self
        return Pending._make(column[start:end] for column in columns)


@dataclass(eq=False)
class Table:
    """
    A table: messages of one topic and one definition of its type.

    Attributes:
        topic: Name of the topic.
        schema: The type.
        type_hash: Its hash, if the recording has it.
        encoding: That of the messages, for example `cdr`.
        decoder: Takes the messages apart; None if nothing can.
        why: Why nothing can.
        rows: How many rows it has so far.
        left_out: How many messages are not in it.
        first_ns: Earliest log time.
        last_ns: Latest log time.

    """

    topic: str
    schema: Schema
    type_hash: str
    encoding: str
    decoder: Decoder | None = None
    why: str = ''
    rows: int = 0
    left_out: int = 0
    first_ns: int = (1 << 64) - 1
    last_ns: int = 0
    pending: Pending = field(default_factory=lambda: Pending([], [], [], [], []))
    pending_bytes: int = 0

    @property
    def damage(self) -> list[str]:
        """Say what is not in it, in a sentence each, if anything."""
        said = []
        if self.left_out:
            of = f' of {self.schema.name:.100}' if self.schema.name else ''
            count = plural(self.left_out, 'message')
            said.append(f'{self.topic}: {count}{of} left out: {self.why}')
        if self.decoder is not None and self.decoder.note:
            said.append(f'{self.topic}: {self.decoder.note}')
        return said


Write = Callable[[Table, Rows], None]
"""Takes some rows of a table, in the order of the messages."""


class TableCollector:
    """
    Turns the messages of a query into tables.

    Attributes:
        tables: The tables so far, those that cannot be decoded included.
        has_more: There are more tables than were to be made.

    """

    def __init__(
        self, query: Query, write: Write, earlier: Sequence[Table] = (), most: int | None = None
    ) -> None:
        """
        Take the query; nothing is read yet.

        Args:
            query: The messages.
            write: Takes the rows.
            earlier: Tables that are not to be made again.
            most: How many tables to make.

        """
        self.tables: list[Table] = []
        self.has_more = False
        self._most = most
        self._earlier = {(table.topic, table.schema, table.encoding) for table in earlier}
        self._query = query
        self._write = write
        self._by_channel: dict[FileChannel, Table | None] = {}
        self._by_kind: dict[tuple[str, Schema, str], Table] = {}
        self._pending_bytes = 0

    def run(self, advance: Advance = lambda _bytes: None) -> None:
        """Read all messages; raise `OSError` if a file cannot be read."""
        for batch in self._query.batches(advance):
            for channel, messages in _by_channel(batch):
                table = self._table(channel)
                if table is not None:
                    self._take(table, messages)
        for table in self.tables:
            self._flush(table)

    def _table(self, channel: FileChannel) -> Table | None:
        """Return the table of a channel; None if it is one for another time."""
        if channel not in self._by_channel:
            kind = channel.topic, channel.schema, channel.message_encoding
            if kind not in self._by_kind and kind not in self._earlier:
                if self._most is None or len(self.tables) < self._most:
                    self._by_kind[kind] = self._new_table(channel)
                else:
                    self.has_more = True
            if len(self._by_channel) >= _MOST_CHANNELS:  # each segment describes them anew
                self._by_channel.clear()
            self._by_channel[channel] = self._by_kind.get(kind)
        return self._by_channel[channel]

    def _new_table(self, channel: FileChannel) -> Table:
        topic, schema = channel.topic, channel.schema
        encoding = channel.message_encoding
        table = Table(topic, schema, channel.metadata.get(TYPE_HASH_KEY, ''), encoding)
        try:
            table.decoder = _decoder(schema, encoding)
        except RecordError as error:
            table.why = str(error)
        self.tables.append(table)
        return table

    def _take(self, table: Table, messages: list[Message]) -> None:
        if table.decoder is None:
            table.left_out += len(messages)
            return
        _, sequence, log_times, published, data = zip(*messages, strict=True)
        size = sum(map(len, data))
        gid = messages[0].channel.metadata.get(PUBLISHER_KEY) or None
        columns = log_times, published, sequence, [gid] * len(data), data
        pending: tuple[Any, ...] = table.pending
        for column, more in zip(pending, columns, strict=True):
            column.extend(more)
        table.pending_bytes += size
        self._pending_bytes += size
        if table.pending_bytes >= TABLE_BYTES or len(table.pending.data) >= TABLE_ROWS:
            self._flush(table)
        while self._pending_bytes >= TOTAL_BYTES:
            self._flush(max(self.tables, key=attrgetter('pending_bytes')))

    def _flush(self, table: Table) -> None:
        messages, table.pending = table.pending, Pending([], [], [], [], [])
        self._pending_bytes -= table.pending_bytes
        table.pending_bytes = 0
        decoder = table.decoder
        if decoder is None or not messages.data:
            return
        times = np.array(messages.log_time_ns, np.uint64)
        if (times[1:] < times[:-1]).any():
            messages = messages.picked(times.argsort(kind='stable').tolist())
        for part in _parts(messages):
            self._decode(table, decoder, part)
        table.left_out = decoder.refused
        table.why = decoder.why

    def _decode(self, table: Table, decoder: Decoder, messages: Pending) -> None:
        for rows, columns in decoder.decode(messages.data):
            is_all = len(rows) == len(messages.data)
            some = messages if is_all else messages.picked(rows.tolist())
            log_times = np.array(some.log_time_ns, np.uint64)
            published = np.array(some.publish_time_ns, np.uint64)
            sequence = np.array(some.sequence, np.uint32)
            table.rows += len(rows)
            table.first_ns = min(table.first_ns, int(log_times[0]))
            table.last_ns = max(table.last_ns, int(log_times[-1]))
            self._write(table, Rows(log_times, published, sequence, some.publisher, columns))


def _decoder(schema: Schema, encoding: str) -> Decoder:
    """Return what takes messages apart; raise `RecordError` if nothing can."""
    if encoding == JSON:
        return JsonTableDecoder(schema)
    if encoding != CDR:
        raise RecordError(f'messages are in {encoding:.40}, not CDR or JSON')
    if schema.definition and schema.encoding not in (ROS2MSG, ROS2IDL):
        raise RecordError(f'it is defined in {schema.encoding:.40}, not in ROS')
    return TableDecoder(schema)


def _by_channel(batch: list[Message]) -> Iterator[tuple[FileChannel, list[Message]]]:
    found: dict[FileChannel, list[Message]] = {}
    for message in batch:
        channel = message[0]
        if channel in found:
            found[channel].append(message)
        else:
            found[channel] = [message]
    yield from found.items()


def _parts(messages: Pending) -> Iterator[Pending]:
    """Yield them in parts of bounded size: one chunk alone may have more than is collected."""
    start = size = 0
    for place, data in enumerate(messages.data):
        size += len(data)
        if size >= TABLE_BYTES:
            yield messages.cut(start, place + 1)
            start, size = place + 1, 0
    if start < len(messages.data):
        yield messages.cut(start, len(messages.data)) if start else messages
