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

The core (records, rings, writer, reading) works without ROS; only `fdr_recorder.node` needs it.

A public name is imported when it is first asked for: the command line uses few of them, and should
start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_HOMES = {
    'Alert': 'alerts',
    'AlertBoard': 'alerts',
    'AlertLevel': 'alerts',
    'FdrClient': 'capture.client',
    'FdrConfig': 'config',
    'FdrWriterConfig': 'config',
    'RingConfig': 'config',
    'Channel': 'record.channel',
    'new_flight_header': 'record.header',
    'KNOWN_PAYLOAD_KEYS': 'record.kinds',
    'RECORD_SCHEMA_VERSION': 'record.kinds',
    'FlightFooter': 'record.kinds',
    'FlightHeader': 'record.kinds',
    'Schema': 'mcap.schema',
    'CapacityCapPolicy': 'storage.cap',
    'new_flight_id': 'storage.flight_id',
    'FlightRoot': 'storage.flight_root',
    'FlightSummary': 'storage.recording',
    'FileFdrWriter': 'storage.writer',
    'WriterStatus': 'storage.writer',
    '__version__': 'version',
}
"""The module of each public name that is no error."""


def __getattr__(name: str) -> object:
    """Import a public name (PEP 562)."""
    if name not in __all__:
        msg = f'module {__name__!r} has no attribute {name!r}'
        raise AttributeError(msg)
    value = getattr(import_module(f'{__name__}.{_HOMES.get(name, "errors")}'), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what is there, or will be when it is asked for."""
    return sorted({*globals(), *__all__})
