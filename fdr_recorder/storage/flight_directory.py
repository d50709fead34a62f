# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The directory of a flight: its name, its closed segments, its `metadata.yaml`."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
import errno
import logging
import os
from pathlib import Path
from typing import Final, TypeAlias

from fdr_recorder.config import FLIGHT_ID_PATTERN
from fdr_recorder.errors import (
    FlightExistsError,
    FlightIdInvalidError,
    FlightStorageError,
    NothingToDropError,
)
from fdr_recorder.record.channel import Channel
from fdr_recorder.record.offered_qos import bag_version_for
from fdr_recorder.record.segment_names import segment_name
from fdr_recorder.seal.sidecars import (
    SEALS_NAME,
    sha256_of,
    sums_line,
    SUMS_NAME,
    SUMS_SIGNATURE_NAME,
)
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.access import Access
from fdr_recorder.storage.closed_segment import ClosedSegment
from fdr_recorder.storage.files import (
    append_durably,
    close_fd,
    DIRECTORY_MODE,
    replace_file,
    replace_in,
    replace_together,
    sync_directory,
)
from fdr_recorder.storage.locks import lock
from fdr_recorder.storage.pins import Pins, PINS_NAME
from fdr_recorder.storage.segment_list import SegmentList, TopicCounts

logger = logging.getLogger(__name__)

_Listed: TypeAlias = 'tuple[ClosedSegment, array[int]]'
ACCESS_OF_PROCESS: Final = Access()
_NOT_KEPT: Final[Mapping[Channel, int]] = {}


def new_flight_id() -> str:
    """Return `flight_<UTC yyyymmddThhmmssZ>_<4 hex>`."""
    now = datetime.now(timezone.utc)
    return f'flight_{now:%Y%m%dT%H%M%SZ}_{os.urandom(2).hex()}'


def check_flight_id(flight_id: str) -> None:
    """Raise `FlightIdInvalidError` unless the id is a valid name of a flight."""
    if not isinstance(flight_id, str) or not FLIGHT_ID_PATTERN.fullmatch(flight_id):
        raise FlightIdInvalidError(flight_id)


def lock_flight(path: Path) -> int:
    """
    Lock a flight's directory for its writer; return the descriptor that holds the lock.

    The lock is shared: who changes a flight that was written needs it alone. Where the file system
    has no locks, those of the open segments are missing, too, and nobody may change the flight.

    Raises:
        OSError: The directory cannot be opened, or another program changes it.

    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock(fd, shared=True)
    except OSError:
        close_fd(fd)
        raise
    return fd


def _is_at(path: Path, here: os.stat_result, *, if_unknown: bool) -> bool:
    """Tell whether a path leads to the directory that is described."""
    try:
        there = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return if_unknown
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


class FlightDirectory:
    """
    The directory of one flight, with its closed segments. Used by the writer's thread alone.

    `metadata.yaml` must never name a missing file: renew it after a segment was closed, and before
    a dropped one is unlinked.

    Attributes:
        path: Where it is; another place after it was renamed.
        fd: Its descriptor, by which it is used until `close` whatever its name is; it holds the
            lock. -1 for a directory that is used by its name.
        bag_version: Version of the bag metadata that it writes.
        closed_bytes: Size of the closed segments that were not dropped.
        dropped: The dropped segments whose files must be unlinked, in this order.
        dropped_until_ns: Latest log time of all segments that were dropped; 0 if none was.
        pins: What of it is never dropped.
        unbegun: Files of segments that could not begin, and not be removed then.
        sign_sums: Signs SHA256SUMS; None unless the flight is sealed.

    """

    def __init__(
        self,
        path: Path,
        ros_distro: str = '',
        *,
        bag_version: int = 0,
        lock_fd: int = -1,
        access: Access = ACCESS_OF_PROCESS,
    ) -> None:
        """
        Use a directory that exists; `create` makes one for a new flight.

        The bag version 0 means that of the distribution.
        """
        self.path = path
        self.fd = lock_fd
        self._access = access
        self.closed_bytes = 0
        self._ros_distro = ros_distro
        self.bag_version = bag_version or bag_version_for(ros_distro)
        self._segments = SegmentList()
        self.dropped: deque[ClosedSegment] = deque()
        self.dropped_until_ns = 0
        self.pins = Pins()
        self.unbegun: list[str] = []
        self.sign_sums: Callable[[bytes], str | None] | None = None
        self._unrenamed: list[str] = []
        """Files beside the segments whose temporaries wait for their names."""
        self._topic_counts = TopicCounts()
        self._newest_listed = -1

    @classmethod
    def create(
        cls,
        root: Path,
        flight_id: str,
        *,
        ros_distro: str = '',
        bag_version: int = 0,
        access: Access = ACCESS_OF_PROCESS,
    ) -> FlightDirectory:
        """
        Create the directory of a new flight; it stays locked until `close`.

        Raises:
            FlightIdInvalidError: The id is not a valid name.
            FlightExistsError: Something of that name exists.
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
        lock_fd = -1
        try:
            lock_fd = lock_flight(path)
            access.grant(path, lock_fd)
            sync_directory(root)
        except OSError as error:
            close_fd(lock_fd)
            with suppress(OSError):
                path.rmdir()
            raise FlightStorageError(path, error) from error
        return cls(
            path, ros_distro, bag_version=bag_version, lock_fd=lock_fd, access=access
        )

    def close(self) -> None:
        """Unlock the directory. Idempotent."""
        fd, self.fd = self.fd, -1
        close_fd(fd)

    def remove_if_empty(self) -> None:
        """Undo `create` for a flight that could not begin."""
        with suppress(OSError):
            for name in (bag_metadata.FILE_NAME, SUMS_NAME, SUMS_SIGNATURE_NAME):
                (self.path / name).unlink(missing_ok=True)
            self.path.rmdir()

    # --- by descriptor, any thread ---------------------------------------------------------

    def _stat(self) -> os.stat_result:
        """Return the state of the directory; what is stale stays so, and is asked once more."""
        try:
            return os.fstat(self.fd)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
        return os.fstat(self.fd)

    def where(self) -> Path | None:
        """
        Return where the directory is now; None if it is gone: nobody can get at it by a name.

        It is gone when it was deleted, when another file system is mounted above it, or when the
        server of a network mount has dropped it.
        """
        try:
            here = self._stat()
        except OSError as error:
            if error.errno == errno.ESTALE:
                return None
            raise
        if _is_at(self.path, here, if_unknown=True):
            return self.path
        if not here.st_nlink:
            return None
        try:
            path = Path(os.readlink(f'/proc/self/fd/{self.fd}'))
        except OSError:  # no /proc: it has some name
            return self.path
        return path if _is_at(path, here, if_unknown=False) else None

    def has(self, name: str) -> bool:
        """Tell whether there is something of that name."""
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def next_number(self, newest: int) -> int:
        """Return the number of the next segment; one that another program uses is skipped."""
        index = newest + 1
        while self.has(segment_name(index)):
            path = self.path / segment_name(index)
            logger.error('%s: exists already; its number is skipped', path)
            index += 1
        return index

    def remove_unbegun(self) -> None:
        """Remove the files of segments that could not begin, as far as that is possible now."""
        with suppress(OSError):
            while self.unbegun:
                self.unlink(self.unbegun[-1])
                self.unbegun.pop()

    def names(self) -> frozenset[str]:
        """Return all names in it."""
        return frozenset(os.listdir(self.fd))

    def sync(self) -> None:
        """Make the names in it durable."""
        os.fsync(self.fd)

    def replace_metadata(self, text: Sequence[bytes], sums: Sequence[bytes] = ()) -> None:
        """
        Renew `metadata.yaml`; if that raises `OSError`, the former one remains.

        In a sealed flight SHA256SUMS is renewed with it, of which `sums` are the other lines.
        """
        files: dict[str, Sequence[bytes]] = {bag_metadata.FILE_NAME: text}
        if self.sign_sums is not None:
            listed = b''.join((*sums, sums_line(sha256_of(text), bag_metadata.FILE_NAME)))
            signature = self.sign_sums(listed)
            if signature is not None:
                files |= {SUMS_NAME: [listed], SUMS_SIGNATURE_NAME: [signature.encode()]}
        replace_together(self.fd, files, is_of_flight=True, waiting=self._unrenamed)

    def replace_pins(self, text: bytes) -> None:
        """Renew PINS; if that raises `OSError`, the former one remains."""
        replace_in(self.fd, PINS_NAME, [text], is_of_flight=True)

    def keep_seals(self, entries: Iterable[bytes]) -> None:
        """Append seals to SEALS, durably."""
        append_durably(self.fd, SEALS_NAME, b''.join(entries))

    def unlink(self, name: str) -> None:
        """Remove a file, if it is there, durably."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)
        self.sync()

    # --- when it is gone -------------------------------------------------------------------

    def make_anew(self) -> None:
        """
        Make it again under its name, without segments; it is locked like the one before.

        Raises:
            OSError: The file system refuses, or the flight root is gone, too.

        """
        with suppress(FileExistsError):
            self.path.mkdir(DIRECTORY_MODE)
        fd = lock_flight(self.path)
        self._access.grant(self.path, fd)
        try:
            sync_directory(self.path.parent)
        except OSError:
            close_fd(fd)
            raise
        self.close()
        self.fd = fd
        self.dropped.clear()
        self._unrenamed.clear()

    # --- segments --------------------------------------------------------------------------

    @property
    def closed_segments(self) -> int:
        """Count the closed segments that were not dropped."""
        return len(self._segments)

    @property
    def droppable_segments(self) -> int:
        """Count the closed segments behind those at the beginning that are pinned."""
        segments = self._segments
        while segments.queued and self.pins and self._is_pinned(segments.oldest):
            segments.set_aside()  # each once: pins are never taken back while it is recorded
            self._topic_counts.set_aside()
        return segments.queued

    def _is_pinned(self, segment: ClosedSegment) -> bool:
        times = segment.first_log_time_ns, segment.last_log_time_ns
        return bool(self.pins.why(segment.index, *times))

    def add(self, segment: ClosedSegment) -> None:
        """Add a segment that is on the disk, or will be before `metadata.yaml` is renewed."""
        newer = self._take_newer(segment.index)
        self._segments.append(replace(segment, counts=_NOT_KEPT))
        self._newest_listed = max(segment.index, self._newest_listed)
        self.closed_bytes += segment.bytes
        self._topic_counts.append(segment.counts)
        self._put_back(newer)

    def relist(self, segments: Sequence[ClosedSegment]) -> None:
        """Describe segments anew; those that were dropped stay so."""
        listed = {segment.index for segment in self._segments}
        for segment in segments:
            if segment.index in listed:
                self.remove(segment.index)
                self.add(segment)

    def _take_newer(self, index: int) -> list[_Listed]:
        """Take the segments behind this number out of the list; return them, newest first."""
        newer: list[_Listed] = []
        while self._segments and self._segments.newest.index > index:
            segment = self._segments.pop()
            self.closed_bytes -= segment.bytes
            newer.append((segment, self._topic_counts.pop()))
        return newer

    def _put_back(self, newer: Sequence[_Listed]) -> None:
        for segment, topics in reversed(newer):
            self._segments.append(segment)
            self.closed_bytes += segment.bytes
            self._topic_counts.put_back(topics)

    @property
    def newest_listed(self) -> int:
        """Return the number of the newest listed segment; -1 if there is none."""
        return self._newest_listed

    def missing(self, names: Collection[str], newest: int) -> list[int]:
        """List the segments up to the newest that are not among the names in the directory."""
        return [
            segment.index
            for segment in self._segments
            if segment.index <= newest and segment.file_name not in names
        ]

    def remove(self, index: int) -> ClosedSegment:
        """Take a segment out of the list whose file is gone; return it, without its counts."""
        newer = self._take_newer(index)
        segment = self._segments.pop()
        self.closed_bytes -= segment.bytes
        self._topic_counts.pop()
        self._put_back(newer)
        return segment

    def drop_oldest(self, *, is_gone: bool = False) -> ClosedSegment:
        """
        Drop the oldest closed segment that is not pinned; return it, without its counts.

        Those that are gone are dropped in any case.

        Raises:
            NothingToDropError: There is none.

        """
        if is_gone:
            self._segments.queue_all()
            self._topic_counts.queue_all()
        elif not self.droppable_segments:
            raise NothingToDropError(self.path)
        segment = self._segments.popleft()
        self.dropped_until_ns = max(self.dropped_until_ns, segment.last_log_time_ns)
        self.closed_bytes -= segment.bytes
        self._topic_counts.popleft()
        self.dropped.append(segment)
        return segment

    def render(self, custom_data: Mapping[str, str]) -> list[bytes]:
        """Return the text of a new `metadata.yaml`, in pieces."""
        segments = self._segments
        return bag_metadata.render(
            segments.path_lines(),
            segments.file_lines(),
            segments.time_range(),
            self._topic_counts.totals(),
            custom_data,
            self._ros_distro,
            self.bag_version,
        )

    def sums(self) -> list[bytes]:
        """Return the lines of its segments in SHA256SUMS, in pieces; none unless it is sealed."""
        return self._segments.sums_lines() if self.sign_sums is not None else []

    def commit(self, custom_data: Mapping[str, str]) -> None:
        """Renew `metadata.yaml`; if that raises `OSError`, the former one remains."""
        text = self.render(custom_data)
        replace_file(self.path / bag_metadata.FILE_NAME, text, is_of_flight=True)
