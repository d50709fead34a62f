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
The configuration of the recorder: every option, its default, meaning and range, in one place.

An option's dotted name (`writer.segment_size_bytes`) is also the name of the ROS parameter.
"""

from __future__ import annotations

from dataclasses import field
import re
from typing import ClassVar, Final

from fdr_recorder.alerts import ALERT_LEVELS
from fdr_recorder.config_base import Configuration, option
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.topics.armed import ArmedConfig
from fdr_recorder.topics.condition import wrong_conditions
from fdr_recorder.topics.config import TopicConfig
from fdr_recorder.topics.names import wrong_name
from fdr_recorder.version import BAG_VERSION, OLDEST_BAG_VERSION

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

FLIGHT_ID_PATTERN = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,63}')
"""Valid flight ids; match with `fullmatch`, because `$` would accept a trailing newline."""

CLOCK_STEP_S = 0.1

_MODE_PATTERN = '0?[0-7]{3}'
_NO_GROUP = r'[\s:,/\0]|^-'

_METADATA_KEY = r'[A-Za-z][A-Za-z0-9_.-]{0,63}'

MIN_SEGMENT_SIZE_BYTES = 16 * KIB
"""A smaller segment would be mostly header, schemas and summary."""


def _check_bag_version(version: int) -> str:
    if version and version < OLDEST_BAG_VERSION:
        return f'must be 0, or {OLDEST_BAG_VERSION} to {BAG_VERSION}, not {version}'
    return ''


def _wrong_mode(text: str) -> str:
    """Return what is wrong with the mode of files, which is in octal digits."""
    if not text:
        return ''
    if not re.fullmatch(_MODE_PATTERN, text):
        return f'must be octal digits such as 0640, not {text!r}'
    mode = int(text, 8)
    if mode & 0o600 != 0o600:
        return f'must let the owner read and write (06..), not {text!r}'
    if mode & 0o113:
        return f'must not let anybody execute files, or others write them, not {text!r}'
    return ''


def _wrong_group(name: str) -> str:
    is_wrong = re.search(_NO_GROUP, name) is not None
    return f'must be the name or number of a group, not {name!r}' if is_wrong else ''


@dataclass(frozen=True)
class SealConfig(Configuration):
    """
    With which key flights are sealed, so that nobody can change them unseen.

    Raises:
        ConfigInvalidError: A value has the wrong type.

    """

    PREFIX: ClassVar[str] = 'seal.'

    key_file: str = option(
        '',
        'OpenSSH private key of the vehicle, with which flights are sealed; or its public key '
        '(.pub), if ssh-agent has the private one. Empty: flights are not sealed.',
    )
    passphrase_file: str = option(
        '', 'File with the passphrase of seal.key_file; empty if that is not encrypted.'
    )


@dataclass(frozen=True)
class FdrWriterConfig(Configuration):
    """
    Options of the writer thread and of the files that it writes.

    Raises:
        ConfigInvalidError: A value has the wrong type or lies outside its range.

    """

    PREFIX: ClassVar[str] = 'writer.'

    segment_size_bytes: int = option(
        64 * MIB,
        'A segment is closed, and the next one begun, before it would grow beyond this size; '
        'only a single record larger than this makes a larger segment. Bytes.',
        MIN_SEGMENT_SIZE_BYTES,
        1024 * GIB,
    )
    segment_duration_s: float = option(
        0.0,
        'A segment is also closed when it has been open for this long; 0 to close by size only. '
        'Seconds.',
        0.0,
        86_400.0,
    )
    flight_cap_bytes: int = option(
        64 * GIB,
        'When the segments of the flight together exceed this size, the oldest closed ones are '
        'dropped; a record says what each of them held. Bytes.',
        1,
        2**63 - 1,
        changeable='always',
    )
    root_cap_bytes: int = option(
        0,
        'When all flights of the root together exceed this size, the oldest that are closed and '
        'not pinned are removed, then the oldest segments of the open flight; each leaves a '
        'record. So does min_free_bytes with drop_oldest then. 0 for no limit. Bytes.',
        0,
        2**63 - 1,
        changeable='always',
    )
    batch_size: int = option(
        512,
        'Maximum number of records taken from a ring before the next ring has its turn.',
        1,
        1_000_000,
    )
    chunk_size_bytes: int = option(
        MIB,
        'A chunk (the unit of writing, of the CRC and of compression) is written when it holds '
        'this much. Bytes.',
        KIB,
        GIB,
    )
    flush_interval_s: float = option(
        0.25,
        'A chunk is written at the latest when its oldest record is this old: the most that a '
        'crash of the process can cost. Seconds.',
        0.01,
        60.0,
    )
    sync_interval_s: float = option(
        1.0,
        'Written data are forced to the disk this often: the most that a power cut can cost. '
        'Seconds.',
        0.01,
        3600.0,
    )
    compression: str = option(
        'none', 'Compression of chunks.', choices=('none', 'lz4', 'zstd')
    )
    bag_version: int = option(
        0,
        'Version of the bag metadata, for the rosbag2 that is to read the flight: 5 for Humble, 7 '
        'for Iron, 9 for Jazzy and later; 0 for the ROS 2 distribution that the recorder runs on.',
        0,
        BAG_VERSION,
        check=_check_bag_version,
    )
    min_free_bytes: int = option(
        512 * MIB,
        'Below this much free space the disk counts as full, so that the rest of the vehicle '
        'keeps its logs; 0 to use it to the last byte. Bytes.',
        0,
        2**63 - 1,
        changeable='always',
    )
    on_low_space: str = option(
        'degrade',
        'What to do below min_free_bytes: degrade (stop writing until there is space again) or '
        'drop_oldest (drop the oldest closed segments of this flight, as the cap does).',
        choices=('degrade', 'drop_oldest'),
        changeable='always',
    )
    reserve_bytes: int = option(
        4 * MIB,
        'Emergency space kept allocated in the flight root and given up when the disk is full, '
        'so that the open segment can still be finished; 0 for none. Bytes.',
        0,
        GIB,
    )
    file_mode: str = option(
        '',
        'Mode of the files of a flight, in octal digits and quotes, for example "0644" to let all '
        'users read them; its directory may be entered by who may read. Empty for 0640 less the '
        'umask.',
        check=_wrong_mode,
    )
    file_group: str = option(
        '',
        'Group of the files of a flight, by name or number, so that its members can read what a '
        'service records; empty for that of the process.',
        check=_wrong_group,
    )
    debug_log_per_record: bool = option(
        False,
        'Log every record at DEBUG level. Costs nothing when off, and much when on.',
        changeable='always',
    )
    seal: SealConfig = field(default_factory=SealConfig)


@dataclass(frozen=True)
class RingConfig(Configuration):
    """
    Limits of the rings between producers and the writer.

    Raises:
        ConfigInvalidError: A value has the wrong type or lies outside its range.

    """

    PREFIX: ClassVar[str] = 'ring.'

    max_records: int = option(
        65_536, 'Maximum number of records in a ring.', 1, 16_777_216
    )
    max_bytes: int = option(
        64 * MIB,
        'Maximum memory for the records of a ring, bookkeeping included. Bytes.',
        KIB,
        64 * GIB,
    )
    total_bytes: int = option(
        256 * MIB,
        'Maximum memory for the records of all rings together. Bytes.',
        KIB,
        256 * GIB,
    )


@dataclass(frozen=True)
class HoldConfig(ArmedConfig):
    """
    What says that the vehicle is armed, for `hold_while_armed`: as for the flight trigger.

    Raises:
        ConfigInvalidError: A value has the wrong type or lies outside its range.

    """

    PREFIX: ClassVar[str] = 'armed.'


def _wrong_flight_id(flight_id: str) -> str:
    if not flight_id or FLIGHT_ID_PATTERN.fullmatch(flight_id):
        return ''
    return (
        f'{flight_id[:80]!r}: use 1 to 64 of the characters A-Z a-z 0-9 . _ -, the first a letter '
        'or a digit'
    )


def _wrong_directory(path: str) -> str:
    return '' if path and '\0' not in path else 'must name a directory'


MAX_METADATA: Final = 65_536
"""Characters of all metadata of a flight, which each segment begins with."""


def wrong_metadata(entries: tuple[str, ...]) -> str:
    """Return what is wrong with `key=value` texts; empty if they are valid."""
    keys = set()
    for entry in entries:
        key, equals, value = entry.partition('=')
        if not equals or not re.fullmatch(_METADATA_KEY, key):
            return (
                f'{entry[:80]!r}: must be key=value, the key of 1 to 64 of the characters A-Z a-z '
                '0-9 _ . -, the first a letter'
            )
        if not value.isprintable():
            return f'{key}: the value must be one line of text'
        if key in keys:
            return f'{key}: is given twice'
        keys.add(key)
    if sum(map(len, entries)) > MAX_METADATA:
        return f'at most {MAX_METADATA:,} characters in all'
    return ''


def metadata_of(config: FdrConfig) -> dict[str, str]:
    """Return the metadata of a flight by key."""
    parts = (entry.partition('=') for entry in config.metadata)
    return {key: value for key, _, value in parts}


def _wrong_pin(triggers: tuple[str, ...]) -> str:
    other = [text for text in triggers if text not in ALERT_LEVELS]
    if unknown := ', '.join(repr(text) for text in other if text.isidentifier()):
        return f'must be codes of alerts, or conditions on topics, not {unknown}'
    return wrong_conditions(other)


@dataclass(frozen=True)
class FdrConfig(TopicConfig):
    """
    The whole configuration of a recorder.

    Raises:
        ConfigInvalidError: A value has the wrong type or lies outside its range.

    """

    flight_root: str = option(
        '~/fdr_flights',
        'Directory that holds all flights of this vehicle. It must exist. `~` is the home '
        'directory.',
        check=_wrong_directory,
    )
    flight_id: str = option(
        '',
        'Name of the flight, and of its directory below the flight root; empty for a new one '
        'with every flight (flight_<UTC time>_<4 hex>).',
        check=_wrong_flight_id,
    )
    vehicle_id: str = option('', 'Which vehicle this is; stored in the header of every flight.')
    autostart: bool = option(
        False,
        'Configure and activate, that is, record, as soon as the process starts; retried every '
        'two seconds until it succeeds or another lifecycle transition is requested.',
        changeable='never',
    )
    recover_on_configure: bool = option(
        True,
        'At configure, complete the flights of the flight root that were never closed; if false, '
        'they stay as they are, an alert names them, and `fdr recover` completes them.',
    )
    preroll_s: float = option(
        0.0,
        'While inactive, keep the messages of this many seconds, as far as the rings have room, '
        'and begin the next flight with them; 0 for none. Latched topics do not need it. '
        'Seconds.',
        0.0,
        600.0,
    )
    pin_on: tuple[str, ...] = option(
        (),
        'What pins the time around it in flight, so that no cap drops the segments that overlap '
        'it: alerts that are raised, by their codes, such as disk_low; conditions on topics that '
        "begin to hold, each in quotes: '/battery_state: voltage < 14.2'. ~/pin pins in any case.",
        check=_wrong_pin,
    )
    pin_before_s: float = option(
        30.0, 'A pin protects the segments from so long before it... Seconds.', 0.0, 86_400.0
    )
    pin_after_s: float = option(
        30.0, '...until so long after it. Seconds.', 0.0, 86_400.0
    )
    metadata: tuple[str, ...] = option(
        (),
        'What is to be known of the flight, as key=value: pilot=Ann, site=North field. It is '
        'stored in the header and in metadata.yaml; a change counts from the next flight on. On '
        'the command line: --metadata pilot=Ann.',
        changeable='always',
        check=wrong_metadata,
    )
    hold_while_armed: bool = option(
        False,
        'While the vehicle is armed, which the options `armed.*` find out as the flight trigger '
        'does, refuse to deactivate, to clean up, to shut down, to stop and to pause. Signals end '
        'the recorder in any case.',
        changeable='always',
    )
    clock_step_s: float = option(
        CLOCK_STEP_S,
        'When the system clock is set by more than this, a record and an alert say so; records '
        'are dated by a clock that does not jump. Seconds.',
        0.001,
        3600.0,
    )
    diagnostics_topic: str = option(
        '/diagnostics',
        'Topic for alerts and the summary (diagnostic_msgs/DiagnosticArray).',
        check=wrong_name,
    )
    manifest_files: tuple[str, ...] = option(
        (),
        'Files whose SHA-256 is stored in the header of every flight: parameters, firmware, '
        'calibration.',
    )
    writer: FdrWriterConfig = field(default_factory=FdrWriterConfig)
    ring: RingConfig = field(default_factory=RingConfig)
    armed: HoldConfig = field(default_factory=HoldConfig)


OPTIONS = FdrConfig.options()
"""Every option by dotted name: default and description."""
