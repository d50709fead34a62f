# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Exports messages of a flight to one MCAP file, to a bag with one, or as tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.config import FdrWriterConfig
from fdr_recorder.errors import ExportError
from fdr_recorder.flights.extras import ExportedFile
from fdr_recorder.flights.list_recording import list_recording
from fdr_recorder.flights.output import new_output
from fdr_recorder.flights.query import Query
from fdr_recorder.flights.reader import Advance
from fdr_recorder.flights.recovery.read_contents import read_contents
from fdr_recorder.mcap.decode import FileChannel
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.kinds import RECORD_SCHEMA_VERSION
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.files import DIRECTORY_MODE
from fdr_recorder.storage.flight_directory import FlightDirectory
from fdr_recorder.units import iso_time
from fdr_recorder.version import __version__, BAG_VERSION

if TYPE_CHECKING:
    from fdr_recorder.flights.export_tables import ExportedTable

MCAP_FORMAT: Final = 'mcap'
FILE_SUFFIX: Final = '.mcap'
_UNLIMITED: Final = 1 << 62
_KEPT_CHANNELS: Final = 256
"""Each segment describes its channels anew: more of them would be kept for nothing."""


@dataclass(frozen=True)
class Exported:
    """
    The result of an export.

    Attributes:
        path: The file, or the bag's directory.
        bytes: Size of the MCAP file, or of the tables.
        messages: Number of messages in it.
        topics: Number of topics in it.
        first_ns: Earliest log time (system clock).
        last_ns: Latest log time.
        damage: What could not be read of the flight, or not be decoded, in words.
        format: `mcap`, or that of the tables.
        tables: The tables, if there are any.

    """

    path: Path
    bytes: int
    messages: int
    topics: int
    first_ns: int
    last_ns: int
    damage: tuple[str, ...]
    format: str = MCAP_FORMAT
    tables: tuple[ExportedTable, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        return {**asdict(self), 'path': str(self.path)}


def export(
    flight: Query | Path | str,
    out: Path | str,
    *,
    format: str = MCAP_FORMAT,  # noqa: A002 - as the option is called
    compression: str | None = None,
    ros_distro: str | None = None,
    bag_version: int = BAG_VERSION,
    advance: Advance = lambda _bytes: None,
) -> Exported:
    """
    Copy a flight, or a part of it, into one MCAP file or a rosbag2 bag, or make tables of it.

    Messages keep their times and sequence numbers, and in a file or a bag their data, channels and
    metadata; log times are true UTC if the query says so. The output has another name until it is
    complete.

    Args:
        flight: The flight's directory, or another recording, for all of it; a query for a part.
        out: `<name>.mcap` for a file, any other name for a bag's directory. It must not exist.
            It is always a directory for tables.
        format: `mcap`; or tables in it, a file for each topic and type: `parquet`, which needs
            `pyarrow`, `csv` or `jsonl`. A message that cannot be decoded is in no table.
        compression: Compression of the chunks: `none`, `lz4` or `zstd`; of MCAP none by default,
            of Parquet `zstd`.
        ros_distro: ROS distribution that a bag names; by default that of the flight.
        bag_version: Version of the bag metadata, for the rosbag2 that is to read it: 5 for Humble,
            7 for Iron, 9 for Jazzy and later. The file's channels are described accordingly.
        advance: Called with the number of bytes that are done since the last call.

    Raises:
        ExportError: `out` exists, its directory does not, or there is no message to export.
        ExtraMissingError: Parquet needs `pyarrow`, which is not installed.
        OSError: A file cannot be read or written.

    Example:
        >>> export('/data/flights/first', 'first.mcap').messages
        1200
        >>> export(Query(Path('/data/flights/first'), topics=('/imu/*',)), 'imu.mcap').topics
        2
        >>> export('/data/flights/first', 'tables', format='parquet').tables[0].file
        'imu.data.parquet'

    """
    query = flight if isinstance(flight, Query) else Query(Path(flight))
    out = Path(out)
    if format != MCAP_FORMAT:
        return _export_tables(query, out, format, compression or 'zstd', advance)
    compression = compression or 'none'
    with new_output(out) as built:
        is_file = out.suffix == FILE_SUFFIX
        if not is_file:
            built.mkdir(DIRECTORY_MODE)
        path = built if is_file else built / f'{out.name}_0{FILE_SUFFIX}'
        closed = _write(query, path, compression, bag_version, advance)
        if not is_file:
            if ros_distro is None:
                ros_distro = list_recording(query.flight).ros_distro
            directory = FlightDirectory(built, ros_distro, bag_version=bag_version)
            directory.add(closed)
            directory.commit(_about(query))
    return Exported(
        out,
        closed.bytes,
        closed.records,
        len({channel.topic for channel in closed.counts}),
        closed.first_log_time_ns,
        closed.last_log_time_ns,
        tuple(query.damage),
    )


def _export_tables(
    query: Query, out: Path, form: str, compression: str, advance: Advance
) -> Exported:
    from fdr_recorder.flights.export_tables import write_tables  # noqa: PLC0415 - takes its time

    with new_output(out) as built:
        written = write_tables(query, built, form, compression, advance)
    tables = tuple(table for table in written.tables if table.file)
    return Exported(
        out,
        sum(table.bytes for table in tables),
        sum(table.rows for table in tables),
        len({table.topic for table in tables}),
        written.first_ns,
        written.last_ns,
        written.damage,
        form,
        tables,
    )


def _write(
    query: Query, path: Path, compression: str, bag_version: int, advance: Advance
) -> ClosedSegment:
    """Write the file; raise `ExportError` if there is no message to write."""
    segment = ExportedFile.create(
        path,
        index=0,
        max_bytes=_UNLIMITED,
        chunk_size_bytes=FdrWriterConfig.chunk_size_bytes,
        compression=compression,
        metadata=_about(query),
        bag_version=bag_version,
    )
    assert isinstance(segment, ExportedFile)
    is_empty = True
    find_channel = _channel_finder()
    try:
        for batch in query.batches(advance):
            for described, messages in groupby(batch, attrgetter('channel')):
                channel = find_channel(described)
                records = [
                    (item.log_time_ns, item.publish_time_ns, item.sequence, item.data, 0)
                    for item in messages
                ]
                position = 0
                while position < len(records):
                    position = segment.append(channel, records, position)
                    if segment.is_chunk_full:
                        segment.flush()
            is_empty = False
        if is_empty:
            raise ExportError(query.flight, query.why_nothing())
        segment.copy_extras(query)
        segment.finish()
    finally:
        segment.close()
    return read_contents(path, 0).closed()


def _about(query: Query) -> dict[str, str]:
    """Return the metadata record: where the messages come from."""
    times = {'start': query.start_ns, 'end': query.end_ns}
    return {
        'exported_from_flight': query.flight.absolute().name,
        **{name: iso_time(time_ns) for name, time_ns in times.items() if time_ns is not None},
        **({'topics': ' '.join(query.topics)} if query.topics else {}),
        **({'types': ' '.join(query.types)} if query.types else {}),
        **({'log_times': 'utc'} if query.utc is not None else {}),
        'record_schema_version': RECORD_SCHEMA_VERSION,
        'software_version': __version__,
    }


def _channel_finder() -> Callable[[FileChannel], Channel]:
    """Return a function that finds a channel of the output: one for all that are alike."""
    known: dict[object, Channel] = {}

    @lru_cache(_KEPT_CHANNELS)  # a chunk's messages have the same few
    def find(described: FileChannel) -> Channel:
        topic, schema, encoding = described.topic, described.schema, described.message_encoding
        metadata = described.metadata
        channel = Channel(topic, schema, metadata=metadata, message_encoding=encoding)
        return known.setdefault((topic, schema, encoding, tuple(metadata.items())), channel)

    return find
