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
Reads the `metadata.yaml` of a bag that any version of rosbag2 wrote, or another program.

Nothing in it is needed to read the files: it may be missing, or say anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
import os
from pathlib import Path, PurePosixPath
import stat
from typing import Any, Final

from fdr_recorder.flights.untrusted_yaml import load_yaml
from fdr_recorder.storage.bag_metadata import FILE_NAME
from fdr_recorder.topics.names import TopicType

_MAX_BYTES: Final = 32 << 20
_TOP: Final = 'rosbag2_bagfile_information'
_MAX_COUNT: Final = (1 << 63) - 1


@dataclass(frozen=True)
class BagMetadata:
    """
    What a bag says of itself, as far as it makes sense.

    Attributes:
        fault: Why it cannot be used, as the rest of a sentence; empty if it can.
        version: Of the format; 0 if unknown.
        files: Names of its files, in order.
        compression_format: For example `zstd`; empty if rosbag2 has not compressed.
        compression_mode: `file` or `message`; empty likewise. Chunks of MCAP are another matter.
        records: Messages in all files; None if it does not tell.
        counts: Messages by topic and type.
        file_counts: Messages by file.
        start_ns: Time of the first message; 0 if unknown.
        duration_ns: From there to the last one.
        ros_distro: Which distribution recorded it; empty if unknown.

    """

    fault: str = ''
    version: int = 0
    files: tuple[str, ...] = ()
    compression_format: str = ''
    compression_mode: str = ''
    records: int | None = None
    counts: Mapping[TopicType, int] = field(default_factory=dict)
    file_counts: Mapping[str, int] = field(default_factory=dict)
    start_ns: int = 0
    duration_ns: int = 0
    ros_distro: str = ''


def read_bag_metadata(bag: Path) -> BagMetadata | None:
    """
    Read what a bag says of itself; None if it has no `metadata.yaml`.

    Raises:
        OSError: It is there, and cannot be read.

    """
    try:
        fd = os.open(bag / FILE_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(fd, 'rb') as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return BagMetadata(fault='is no regular file')
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        return BagMetadata(fault='is too large to be believed')
    said = load_yaml(text.decode(errors='replace'), _MAX_BYTES)
    top = said.get(_TOP) if isinstance(said, dict) else None
    if not isinstance(top, dict):
        return BagMetadata(fault=f'is no YAML with {_TOP}')
    return _taken(top)


def _taken(top: dict[str, Any]) -> BagMetadata:
    counts: Counter[TopicType] = Counter()
    for item in _list(top, 'topics_with_message_count'):
        topic = _map(item, 'topic_metadata')
        counts[TopicType(_text(topic, 'name'), _text(topic, 'type'))] += _count(
            item, 'message_count'
        )
    files = {_name(_text(item, 'path')): _count(item, 'message_count') for item in _maps(top)}
    paths = (_name(path) for path in _list(top, 'relative_file_paths') if isinstance(path, str))
    mode = _text(top, 'compression_mode').lower()
    is_compressed = mode in ('file', 'message')
    return BagMetadata(
        version=_count(top, 'version'),
        files=tuple(dict.fromkeys(filter(None, paths))),
        compression_format=_text(top, 'compression_format') if is_compressed else '',
        compression_mode=mode if is_compressed else '',
        records=_count(top, 'message_count') if 'message_count' in top else None,
        counts=counts,
        file_counts=files,
        start_ns=_count(_map(top, 'starting_time'), 'nanoseconds_since_epoch'),
        duration_ns=_count(_map(top, 'duration'), 'nanoseconds'),
        ros_distro=_text(top, 'ros_distro'),
    )


def _maps(top: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in _list(top, 'files') if isinstance(item, dict)]


def _name(path: str) -> str:
    """Return the name of a file: versions before 4 put that of the bag in front."""
    name = PurePosixPath(path).name
    return '' if name in ('', '.', '..') or '\0' in name else name


def _map(said: object, key: str) -> dict[str, Any]:
    value = said.get(key) if isinstance(said, dict) else None
    return value if isinstance(value, dict) else {}


def _list(said: dict[str, Any], key: str) -> list[Any]:
    value = said.get(key)
    return value if isinstance(value, list) else []


def _text(said: dict[str, Any], key: str) -> str:
    value = said.get(key)
    return value if isinstance(value, str) else ''


def _count(said: object, key: str) -> int:
    value = said.get(key) if isinstance(said, dict) else None
    return value if isinstance(value, int) and 0 <= value <= _MAX_COUNT else 0
