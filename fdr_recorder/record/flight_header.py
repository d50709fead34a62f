# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The header of a new flight: configuration, software and host."""

from __future__ import annotations

from contextlib import suppress
import hashlib
import os
from pathlib import Path
import sys

from fdr_recorder.clock import Reading
from fdr_recorder.config import FdrConfig, metadata_of
from fdr_recorder.errors import ConfigInvalidError
from fdr_recorder.record.kinds import FlightHeader, RequestedTopic
from fdr_recorder.units import iso_time
from fdr_recorder.version import __version__
import yaml

_HASH_BLOCK_BYTES = 1024 * 1024
_OLDEST_NS = 60_000_000_000


def new_flight_header(
    flight_id: str,
    config: FdrConfig,
    *,
    rmw_implementation: str = '',
    requested: tuple[RequestedTopic, ...] = (),
) -> FlightHeader:
    """
    Return the header of a flight that begins now on this host.

    Args:
        flight_id: Name of the flight.
        config: The effective configuration; stored in full, as YAML.
        rmw_implementation: The ROS middleware; empty without one.
        requested: What the configuration asks for by name, as the node resolves it.

    Raises:
        ConfigInvalidError: A file of `manifest_files` cannot be read.

    """
    now = Reading.now()
    return FlightHeader(
        flight_id=flight_id,
        flight_started_at_iso=iso_time(now.system_ns),
        flight_started_at_monotonic_ns=now.monotonic_ns,
        config_snapshot=yaml.safe_dump(config.to_options(), sort_keys=False),
        manifest_content_hashes=hash_manifest(config.manifest_files),
        flight_started_at_ns=now.system_ns,
        vehicle_id=config.vehicle_id,
        software_version=__version__,
        ros_distro=os.environ.get('ROS_DISTRO', ''),
        rmw_implementation=rmw_implementation,
        python_version='.'.join(map(str, sys.version_info[:3])),
        host_name=os.uname().nodename,
        host_platform=_platform(),
        process_id=os.getpid(),
        requested=requested,
        metadata=metadata_of(config),
    )


def beginning(header: FlightHeader, now: Reading) -> Reading:
    """Return the reading of the clocks that a header has, unless it is an old one, or has none."""
    then = Reading(header.flight_started_at_monotonic_ns, header.flight_started_at_ns)
    then = then._replace(suspended_ns=now.suspended_ns)
    age_ns = now.monotonic_ns - then.monotonic_ns
    return then if then.system_ns > 0 and 0 <= age_ns <= _OLDEST_NS else now


def began_ns(header: FlightHeader, written_ns: int, *, is_first: bool) -> int:
    """
    Return the log time at which a flight began.

    Args:
        header: Its header.
        written_ns: The log time of the header's record.
        is_first: Whether that is the first record of the flight. It is little younger, then.

    """
    ns = header.flight_started_at_monotonic_ns + header.log_time_offset_ns
    is_dated = header.flight_started_at_monotonic_ns > 0 and header.log_time_offset_ns
    age_ns = written_ns - ns
    is_sound = 0 <= age_ns <= _OLDEST_NS if is_first else age_ns >= 0
    return ns if is_dated and is_sound else written_ns


def hash_manifest(file_names: tuple[str, ...]) -> dict[str, str]:
    """
    Return the SHA-256 of each file in hexadecimal, by the given name.

    Raise one `ConfigInvalidError` for all files that cannot be read.
    """
    hashes: dict[str, str] = {}
    mistakes: list[str] = []
    for name in file_names:
        try:
            hashes[name] = _sha256(Path(name).expanduser())
        except OSError as error:
            mistakes.append(f'manifest_files: {name}: {error.strerror}')
    if mistakes:
        raise ConfigInvalidError(mistakes)
    return hashes


def _platform() -> str:
    """Return kernel, machine and C library; Python's `platform` would take 10 ms for it."""
    host = os.uname()
    parts = [host.sysname, host.release, host.machine]
    with suppress(AttributeError, OSError, ValueError):
        libc = (os.confstr('CS_GNU_LIBC_VERSION') or '').replace(' ', '')  # only of glibc
        parts += ['with', libc] if libc else []
    return '-'.join(parts)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
