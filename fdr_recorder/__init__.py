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
- Read: `FlightReader` yields the messages of a flight, or tables of its topics (`frames`), `Query`
  the messages of some topics or times, `read_info` says what it contains, `flights_in` finds the
  flights of a flight root.
- Check and keep: `verify`, `recover`, `export`.
- Errors: all derive from `FdrError`; `fdr_recorder.errors` shows their tree.

None of this needs ROS: only `fdr_recorder.node` imports `rclpy`. What cannot be imported from here
is private: it may change with any version.

A public name is imported on first use: the command line needs few of them, and must start fast.
A new one has two lines here: for type checkers, and for the import.
"""

from __future__ import annotations

from importlib import import_module as _import_module

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than all of this
if TYPE_CHECKING:  # `as`: type checkers let scripts import it from here
    from fdr_recorder.alerts import Alert as Alert
    from fdr_recorder.alerts import AlertBoard as AlertBoard
    from fdr_recorder.alerts import AlertLevel as AlertLevel
    from fdr_recorder.capture.client import FdrClient as FdrClient
    from fdr_recorder.config import FdrConfig as FdrConfig
    from fdr_recorder.config import FdrWriterConfig as FdrWriterConfig
    from fdr_recorder.config import RingConfig as RingConfig
    from fdr_recorder.errors import *  # noqa: F403
    from fdr_recorder.flights.directory import flights_in as flights_in
    from fdr_recorder.flights.export import export as export
    from fdr_recorder.flights.export import Exported as Exported
    from fdr_recorder.flights.export_tables import ExportedTable as ExportedTable
    from fdr_recorder.flights.flight_reader import FlightReader as FlightReader
    from fdr_recorder.flights.info import Event as Event
    from fdr_recorder.flights.info import FlightInfo as FlightInfo
    from fdr_recorder.flights.info import read_info as read_info
    from fdr_recorder.flights.info import SegmentInfo as SegmentInfo
    from fdr_recorder.flights.listing import ListedFlight as ListedFlight
    from fdr_recorder.flights.proof import export_proof as export_proof
    from fdr_recorder.flights.proof import Proof as Proof
    from fdr_recorder.flights.query import Query as Query
    from fdr_recorder.flights.recovery.recover import recover as recover
    from fdr_recorder.flights.recovery.recover import RecoveredFlight as RecoveredFlight
    from fdr_recorder.flights.status import Authenticity as Authenticity
    from fdr_recorder.flights.status import Completeness as Completeness
    from fdr_recorder.flights.status import Ended as Ended
    from fdr_recorder.flights.status import FlightStatus as FlightStatus
    from fdr_recorder.flights.status import Integrity as Integrity
    from fdr_recorder.flights.status import Losses as Losses
    from fdr_recorder.flights.status import Verdict as Verdict
    from fdr_recorder.flights.topic_info import TopicInfo as TopicInfo
    from fdr_recorder.flights.verify import Loss as Loss
    from fdr_recorder.flights.verify import Verification as Verification
    from fdr_recorder.flights.verify import verify as verify
    from fdr_recorder.mcap.decode import FileChannel as FileChannel
    from fdr_recorder.mcap.decode import Message as Message
    from fdr_recorder.mcap.schema import Schema as Schema
    from fdr_recorder.record.channel import Channel as Channel
    from fdr_recorder.record.flight_header import new_flight_header as new_flight_header
    from fdr_recorder.record.kinds import FlightFooter as FlightFooter
    from fdr_recorder.record.kinds import FlightHeader as FlightHeader
    from fdr_recorder.record.kinds import KNOWN_PAYLOAD_KEYS as KNOWN_PAYLOAD_KEYS
    from fdr_recorder.record.kinds import RECORD_SCHEMA_VERSION as RECORD_SCHEMA_VERSION
    from fdr_recorder.storage.cap import CapacityCapPolicy as CapacityCapPolicy
    from fdr_recorder.storage.drain import WriterStatus as WriterStatus
    from fdr_recorder.storage.flight_directory import new_flight_id as new_flight_id
    from fdr_recorder.storage.flight_root import FlightRoot as FlightRoot
    from fdr_recorder.storage.footer import FlightSummary as FlightSummary
    from fdr_recorder.storage.record_flight import make_writer as make_writer
    from fdr_recorder.storage.record_flight import record_flight as record_flight
    from fdr_recorder.storage.record_flight import RecordedFlight as RecordedFlight
    from fdr_recorder.storage.writer import FileFdrWriter as FileFdrWriter
    from fdr_recorder.version import __version__ as __version__

_HOMES = {
    'alerts': 'Alert AlertBoard AlertLevel',
    'capture.client': 'FdrClient',
    'config': 'FdrConfig FdrWriterConfig RingConfig',
    'errors': (
        'ClientError ConditionError ConfigInvalidError DiskStalledError ExportError '
        'ExtraMissingError FdrError FlightAlreadyOpenError FlightError FlightExistsError '
        'FlightIdInvalidError FlightIdMismatchError FlightInUseError FlightNotOpenError '
        'FlightRootError FlightRootLockedError FlightRootMissingError '
        'FlightRootNotADirectoryError FlightRootReadOnlyError FlightStorageError '
        'HeldWhileArmedError NoFlightError NothingToDropError RecordError '
        'RecoveryStoppedError RosArgumentsError SealError SegmentError ServiceRefusedError '
        'SourceTypeMissingError TypeUnknownError UsageError WriterAlreadyStartedError '
        'WriterFailedError WriterNotStartedError WriterStateError'
    ),
    'flights.directory': 'flights_in',
    'flights.export': 'Exported export',
    'flights.export_tables': 'ExportedTable',
    'flights.flight_reader': 'FlightReader',
    'flights.info': 'Event FlightInfo SegmentInfo read_info',
    'flights.listing': 'ListedFlight',
    'flights.proof': 'Proof export_proof',
    'flights.query': 'Query',
    'flights.recovery.recover': 'RecoveredFlight recover',
    'flights.status': (
        'Authenticity Completeness Ended FlightStatus Integrity Losses Verdict'
    ),
    'flights.topic_info': 'TopicInfo',
    'flights.verify': 'Loss Verification verify',
    'mcap.decode': 'FileChannel Message',
    'mcap.schema': 'Schema',
    'record.channel': 'Channel',
    'record.flight_header': 'new_flight_header',
    'record.kinds': 'FlightFooter FlightHeader KNOWN_PAYLOAD_KEYS RECORD_SCHEMA_VERSION',
    'storage.cap': 'CapacityCapPolicy',
    'storage.drain': 'WriterStatus',
    'storage.flight_directory': 'new_flight_id',
    'storage.flight_root': 'FlightRoot',
    'storage.footer': 'FlightSummary',
    'storage.record_flight': 'RecordedFlight make_writer record_flight',
    'storage.writer': 'FileFdrWriter',
    'version': '__version__',
}
"""The public names of each module."""

_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}

if not TYPE_CHECKING:  # which has the imports above
    __all__ = list(_MODULES)

    def __getattr__(name: str) -> object:
        """Import a public name (PEP 562)."""
        if name not in _MODULES:
            raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
        value = getattr(_import_module(f'{__name__}.{_MODULES[name]}'), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """List the public names."""
        return __all__
