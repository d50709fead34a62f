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
A flight data recorder for ROS 2 drones.

- Record: `record_flight` opens a flight, keeps the cap and closes the flight, with `Channel`,
  `Schema` and `FdrConfig`. `FileFdrWriter`, `FdrClient`, `CapacityCapPolicy` and `AlertBoard` are
  its parts, for programs that compose them in another way.
- Read: `FlightReader` yields the messages of a flight, `Query` those of some topics or times,
  `read_info` says what it contains, `flights_in` finds the flights of a flight root.
- Check and keep: `verify`, `recover`, `export`.
- Errors: all derive from `FdrError`; `fdr_recorder.errors` shows their tree.

None of this needs ROS: only `fdr_recorder.node` imports `rclpy`. What cannot be imported from here
is private: it may change with any version.

A public name is imported on first use: the command line needs few of them, and must start fast.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fdr_recorder.alerts import Alert, AlertBoard, AlertLevel
    from fdr_recorder.capture.client import FdrClient
    from fdr_recorder.config import FdrConfig, FdrWriterConfig, RingConfig
    from fdr_recorder.errors import (
        ClientError,
        ConfigInvalidError,
        ExportError,
        FdrError,
        FlightAlreadyOpenError,
        FlightError,
        FlightExistsError,
        FlightIdInvalidError,
        FlightIdMismatchError,
        FlightNotOpenError,
        FlightRootError,
        FlightRootLockedError,
        FlightRootMissingError,
        FlightRootNotADirectoryError,
        FlightRootReadOnlyError,
        FlightStorageError,
        NoFlightError,
        RecordError,
        RecoveryStoppedError,
        SegmentError,
        SourceTypeMissingError,
        TypeUnknownError,
        UsageError,
        WriterAlreadyStartedError,
        WriterFailedError,
        WriterNotStartedError,
        WriterStateError,
    )
    from fdr_recorder.flights.directory import flights_in
    from fdr_recorder.flights.export import export, Exported
    from fdr_recorder.flights.info import Event, FlightInfo, read_info, SegmentInfo, TopicInfo
    from fdr_recorder.flights.listing import FlightState, ListedFlight, Losses
    from fdr_recorder.flights.query import Query
    from fdr_recorder.flights.reader import FlightReader
    from fdr_recorder.flights.recovery.recover import recover, RecoveredFlight
    from fdr_recorder.flights.verify import Loss, Verdict, Verification, verify
    from fdr_recorder.mcap.decode import FileChannel, Message
    from fdr_recorder.mcap.schema import Schema
    from fdr_recorder.record.channel import Channel
    from fdr_recorder.record.header import new_flight_header
    from fdr_recorder.record.kinds import (
        FlightFooter,
        FlightHeader,
        KNOWN_PAYLOAD_KEYS,
        RECORD_SCHEMA_VERSION,
    )
    from fdr_recorder.storage.cap import CapacityCapPolicy
    from fdr_recorder.storage.flight_id import new_flight_id
    from fdr_recorder.storage.flight_root import FlightRoot
    from fdr_recorder.storage.footer import FlightSummary
    from fdr_recorder.storage.record_flight import make_writer, record_flight, RecordedFlight
    from fdr_recorder.storage.writer import FileFdrWriter
    from fdr_recorder.storage.writer_status import WriterStatus
    from fdr_recorder.version import __version__

__all__ = [
    'KNOWN_PAYLOAD_KEYS',
    'RECORD_SCHEMA_VERSION',
    'Alert',
    'AlertBoard',
    'AlertLevel',
    'CapacityCapPolicy',
    'Channel',
    'ClientError',
    'ConfigInvalidError',
    'Event',
    'ExportError',
    'Exported',
    'FdrClient',
    'FdrConfig',
    'FdrError',
    'FdrWriterConfig',
    'FileChannel',
    'FileFdrWriter',
    'FlightAlreadyOpenError',
    'FlightError',
    'FlightExistsError',
    'FlightFooter',
    'FlightHeader',
    'FlightIdInvalidError',
    'FlightIdMismatchError',
    'FlightInfo',
    'FlightNotOpenError',
    'FlightReader',
    'FlightRoot',
    'FlightRootError',
    'FlightRootLockedError',
    'FlightRootMissingError',
    'FlightRootNotADirectoryError',
    'FlightRootReadOnlyError',
    'FlightState',
    'FlightStorageError',
    'FlightSummary',
    'ListedFlight',
    'Loss',
    'Losses',
    'Message',
    'NoFlightError',
    'Query',
    'RecordError',
    'RecordedFlight',
    'RecoveredFlight',
    'RecoveryStoppedError',
    'RingConfig',
    'Schema',
    'SegmentError',
    'SegmentInfo',
    'SourceTypeMissingError',
    'TopicInfo',
    'TypeUnknownError',
    'UsageError',
    'Verdict',
    'Verification',
    'WriterAlreadyStartedError',
    'WriterFailedError',
    'WriterNotStartedError',
    'WriterStateError',
    'WriterStatus',
    '__version__',
    'export',
    'flights_in',
    'make_writer',
    'new_flight_header',
    'new_flight_id',
    'read_info',
    'record_flight',
    'recover',
    'verify',
]

_HOMES = {
    'Alert': 'fdr_recorder.alerts',
    'AlertBoard': 'fdr_recorder.alerts',
    'AlertLevel': 'fdr_recorder.alerts',
    'FdrClient': 'fdr_recorder.capture.client',
    'FdrConfig': 'fdr_recorder.config',
    'FdrWriterConfig': 'fdr_recorder.config',
    'RingConfig': 'fdr_recorder.config',
    'flights_in': 'fdr_recorder.flights.directory',
    'Exported': 'fdr_recorder.flights.export',
    'export': 'fdr_recorder.flights.export',
    'Event': 'fdr_recorder.flights.info',
    'FlightInfo': 'fdr_recorder.flights.info',
    'SegmentInfo': 'fdr_recorder.flights.info',
    'TopicInfo': 'fdr_recorder.flights.info',
    'read_info': 'fdr_recorder.flights.info',
    'FlightState': 'fdr_recorder.flights.listing',
    'ListedFlight': 'fdr_recorder.flights.listing',
    'Losses': 'fdr_recorder.flights.listing',
    'Query': 'fdr_recorder.flights.query',
    'FlightReader': 'fdr_recorder.flights.reader',
    'RecoveredFlight': 'fdr_recorder.flights.recovery.recover',
    'recover': 'fdr_recorder.flights.recovery.recover',
    'Loss': 'fdr_recorder.flights.verify',
    'Verdict': 'fdr_recorder.flights.verify',
    'Verification': 'fdr_recorder.flights.verify',
    'verify': 'fdr_recorder.flights.verify',
    'FileChannel': 'fdr_recorder.mcap.decode',
    'Message': 'fdr_recorder.mcap.decode',
    'Schema': 'fdr_recorder.mcap.schema',
    'Channel': 'fdr_recorder.record.channel',
    'new_flight_header': 'fdr_recorder.record.header',
    'KNOWN_PAYLOAD_KEYS': 'fdr_recorder.record.kinds',
    'RECORD_SCHEMA_VERSION': 'fdr_recorder.record.kinds',
    'FlightFooter': 'fdr_recorder.record.kinds',
    'FlightHeader': 'fdr_recorder.record.kinds',
    'CapacityCapPolicy': 'fdr_recorder.storage.cap',
    'new_flight_id': 'fdr_recorder.storage.flight_id',
    'FlightRoot': 'fdr_recorder.storage.flight_root',
    'RecordedFlight': 'fdr_recorder.storage.record_flight',
    'make_writer': 'fdr_recorder.storage.record_flight',
    'record_flight': 'fdr_recorder.storage.record_flight',
    'FlightSummary': 'fdr_recorder.storage.footer',
    'FileFdrWriter': 'fdr_recorder.storage.writer',
    'WriterStatus': 'fdr_recorder.storage.writer_status',
    '__version__': 'fdr_recorder.version',
}
"""The module of each public name that is not an error."""


def __getattr__(name: str) -> object:
    """Import a public name (PEP 562)."""
    if name not in __all__:
        msg = f'module {__name__!r} has no attribute {name!r}'
        raise AttributeError(msg)
    value = getattr(_import_module(_HOMES.get(name, f'{__name__}.errors')), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return list(__all__)
