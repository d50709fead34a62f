"""A flight data recorder for ROS 2 drones.

The core (records, rings, writer, reading) works without ROS; only `fdr_recorder.node` needs it.
"""

from __future__ import annotations

from fdr_recorder.alerts import Alert, AlertBoard, AlertLevel
from fdr_recorder.capture.client import FdrClient
from fdr_recorder.config import FdrConfig, FdrWriterConfig, RingConfig
from fdr_recorder.errors import (
    ClientError,
    ConfigInvalidError,
    FdrError,
    FlightAlreadyOpenError,
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
    RecordError,
    SegmentError,
    WriterAlreadyStartedError,
    WriterFailedError,
    WriterNotStartedError,
)
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.identity import new_flight_header
from fdr_recorder.record.kinds import (
    KNOWN_PAYLOAD_KEYS,
    RECORD_SCHEMA_VERSION,
    FlightFooter,
    FlightHeader,
)
from fdr_recorder.record.schema import Schema
from fdr_recorder.storage.cap_policy import CapacityCapPolicy
from fdr_recorder.storage.flight import new_flight_id
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.storage.recording import FlightSummary
from fdr_recorder.storage.writer import FileFdrWriter, WriterStatus
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
    'FdrClient',
    'FdrConfig',
    'FdrError',
    'FdrWriterConfig',
    'FileFdrWriter',
    'FlightAlreadyOpenError',
    'FlightExistsError',
    'FlightFooter',
    'FlightHeader',
    'FlightIdInvalidError',
    'FlightIdMismatchError',
    'FlightNotOpenError',
    'FlightRoot',
    'FlightRootError',
    'FlightRootLockedError',
    'FlightRootMissingError',
    'FlightRootNotADirectoryError',
    'FlightRootReadOnlyError',
    'FlightStorageError',
    'FlightSummary',
    'RecordError',
    'RingConfig',
    'Schema',
    'SegmentError',
    'WriterAlreadyStartedError',
    'WriterFailedError',
    'WriterNotStartedError',
    'WriterStatus',
    '__version__',
    'new_flight_header',
    'new_flight_id',
]
