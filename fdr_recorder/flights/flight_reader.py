# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A flight, or another recording, for scripts: its messages, its tables, its header and footer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from fdr_recorder.errors import RecordError, SegmentError
from fdr_recorder.flights.query import Query
from fdr_recorder.flights.reader import own_record
from fdr_recorder.flights.recording import recording_at
from fdr_recorder.flights.utc import read_utc
from fdr_recorder.mcap.decode import Message
from fdr_recorder.record.kinds import FlightFooter, FlightHeader
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX, Payload

if TYPE_CHECKING:
    import pyarrow as pa


class FlightReader:
    """
    The records of a flight, closed or not, in file order. Needs no `metadata.yaml`.

    It reads any other recording, too: a bag, or an MCAP or SQLite file alone.

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
        ...     imu = flight.frames('/imu/data')
        >>> imu.to_pandas()['linear_acceleration.z'].mean()
        9.81

    """

    def __init__(self, path: Path | str) -> None:
        """Take the directory of a flight, or another recording; nothing is read yet."""
        self.path = Path(path)
        self.damage: list[SegmentError | RecordError] = []
        self.header: FlightHeader | None = None
        self.footer: FlightFooter | None = None
        self._open: set[ExitStack] = set()

    def __enter__(self) -> FlightReader:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file that `messages` is reading, if it has not come to an end."""
        for stack in self._open:
            stack.close()

    def messages(self) -> Iterator[Message]:
        """
        Yield every message that can be read: in a segment, those of whole chunks.

        Raises:
            OSError: A file cannot be read.

        """
        started_ns = 0
        recording = recording_at(self.path)
        for path in recording.files:
            with ExitStack() as stack:
                self._open.add(stack)
                try:
                    reader = stack.enter_context(recording.open(path, started_ns=started_ns))
                except SegmentError as error:
                    self.damage.append(error)
                    continue
                for message in reader.messages():
                    if message.channel.topic.startswith(OWN_TOPIC_PREFIX):
                        self._note(message)
                        started_ns = started_ns or message.log_time_ns
                    yield message
                self.damage += reader.errors
            self._open.remove(stack)

    def frames(
        self,
        topic: str,
        *,
        type_name: str = '',
        start_ns: int | None = None,
        end_ns: int | None = None,
        utc: bool = False,
    ) -> pa.Table:
        """
        Return the messages of a topic as a table of Apache Arrow, in the order of log times.

        A row is a message: `log_time`, `publish_time`, `sequence`, `publisher`, and its fields,
        named as in `header.stamp.sec`; lists stay lists. All of it is in memory. What cannot be
        read or decoded is in `damage` afterwards.

        Args:
            topic: Its name.
            type_name: The type, for a topic that has several: `sensor_msgs/msg/Imu`.
            start_ns: Log time (system clock) of the first message; None for from the beginning.
            end_ns: Log time behind the last; None for to the end.
            utc: Log times are to be true UTC, if the clock of the vehicle was wrong.

        Raises:
            ExportError: There is no such message, or the topic has several types.
            ExtraMissingError: `pyarrow` is not installed.
            OSError: A file cannot be read.
            RecordError: Nothing of the topic can be decoded.

        """
        from fdr_recorder.flights.frames import read_frames  # noqa: PLC0415 - takes its time

        times = read_utc(self.path) if utc else None
        types = (type_name,) if type_name else ()
        query = Query(self.path, (topic,), start_ns, end_ns, utc=times, types=types)
        table, damage = read_frames(query)
        self.damage += map(RecordError, damage)
        return table

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
