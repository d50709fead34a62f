# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The directory of a flight: its closed segments and its `metadata.yaml`."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from fdr_recorder.errors import FlightExistsError, FlightStorageError
from fdr_recorder.record.channel import Channel
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.bag_metadata import SegmentList, TopicCounts
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.files import DIRECTORY_MODE, replace_file, sync_directory
from fdr_recorder.storage.flight_id import check_flight_id

_NOT_KEPT: Final[Mapping[Channel, int]] = {}


def segment_name(index: int) -> str:
    """Return the file name of a segment."""
    return f'segment_{index:06d}.mcap'


class FlightDirectory:
    """
    A flight's directory. Used by the writer's thread alone.

    It knows the closed segments that are there. `metadata.yaml` never names a file that is not
    there: it is to be renewed after a segment was closed, and before a dropped one is unlinked.
    """

    def __init__(self, path: Path, ros_distro: str = '') -> None:
        """Take a directory that exists; `create` makes that of a new flight."""
        self.path = path
        self._ros_distro = ros_distro
        self._segments = SegmentList()
        self._doomed: deque[ClosedSegment] = deque()
        self._topic_counts = TopicCounts()
        self._bytes = 0

    @classmethod
    def create(cls, root: Path, flight_id: str, *, ros_distro: str = '') -> FlightDirectory:
        """
        Create the directory of a new flight.

        Raises:
            FlightIdInvalidError: The id cannot be a name.
            FlightExistsError: There is something of that name.
            FlightStorageError: The file system refuses.

        """
        check_flight_id(flight_id)
        path = root / flight_id
        try:
            path.mkdir(DIRECTORY_MODE)
        except FileExistsError:
            raise FlightExistsError(path) from None
        except OSError as error:
            raise FlightStorageError(path, error) from error
        try:
            sync_directory(root)
        except OSError as error:
            path.rmdir()
            raise FlightStorageError(path, error) from error
        return cls(path, ros_distro)

    def remove_if_empty(self) -> None:
        """Undo `create` for a flight that could not begin."""
        with suppress(OSError):
            (self.path / bag_metadata.FILE_NAME).unlink(missing_ok=True)
            self.path.rmdir()

    @property
    def closed_segments(self) -> int:
        """How many closed segments are there."""
        return len(self._segments)

    @property
    def closed_bytes(self) -> int:
        """Size of all closed segments that are there."""
        return self._bytes

    @property
    def dropped_bytes(self) -> int:
        """Size of the files of dropped segments that are there still."""
        return sum(segment.bytes for segment in self._doomed)

    @property
    def dropped_names(self) -> tuple[str, ...]:
        """Return the files of dropped segments that are to be removed, in this order."""
        return tuple(segment.file_name for segment in self._doomed)

    def note(self, segment: ClosedSegment) -> None:
        """Take in a segment that is on the disk, or will be before `metadata.yaml` is renewed."""
        self._segments.append(replace(segment, counts=_NOT_KEPT))
        self._bytes += segment.bytes
        self._topic_counts.append(segment.counts)

    def forget_dropped(self, number: int) -> None:
        """Note that so many files of dropped segments were removed."""
        for _ in range(number):
            self._doomed.popleft()

    def drop_oldest(self) -> ClosedSegment:
        """
        Take the oldest closed segment out; its file is among the `dropped_names` then.

        Returns:
            What is known of it, but for its counts.

        """
        segment = self._segments.popleft()
        self._bytes -= segment.bytes
        self._topic_counts.popleft()
        self._doomed.append(segment)
        return segment

    def render(self, custom_data: Mapping[str, str]) -> list[bytes]:
        """Return the `metadata.yaml` of what is there, in pieces."""
        return bag_metadata.render(
            self._segments, self._topic_counts.totals(), custom_data, self._ros_distro
        )

    def commit(self, custom_data: Mapping[str, str]) -> None:
        """
        Renew `metadata.yaml`.

        Raises:
            OSError: The file system refuses; the former `metadata.yaml` is still there then.

        """
        replace_file(self.path / bag_metadata.FILE_NAME, self.render(custom_data))
