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
What the verbs read: a recording.

That is a flight, a bag of rosbag2, one MCAP or SQLite file alone, or a segment alone. All of them
are files with messages; each is opened as a `RecordingFile`, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, ExitStack, suppress
from dataclasses import dataclass, field, replace
from enum import Enum
import os
from pathlib import Path
import re
import shutil
import sqlite3
import stat
import tempfile
from typing import Final

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.bags.bag_metadata import BagMetadata, read_bag_metadata
from fdr_recorder.flights.bags.sqlite_file import MAGIC as SQLITE_MAGIC
from fdr_recorder.flights.bags.sqlite_file import SqliteFile
from fdr_recorder.flights.bags.standard_types import StandardTypes
from fdr_recorder.flights.bags.unpacked import unpacked_file, UnpackedMessages
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.open_segment import open_segment
from fdr_recorder.flights.recording_file import RecordingFile
from fdr_recorder.mcap import layout
from fdr_recorder.mcap.foreign import ForeignReader
from fdr_recorder.mcap.record_file import RecordFile
from fdr_recorder.record.kinds import METADATA_NAME
from fdr_recorder.storage.bag_metadata import FILE_NAME

_STORAGE: Final = re.compile(r'.\.(?:mcap|db3)(?:\.(?:zstd|zst|lz4))?$')
_SPLIT: Final = re.compile(r'(?:_\d+)?\.(?:mcap|db3)(?:\.\w+)?$')
"""What differs between the names of files that belong together."""
_COMPRESSIONS: Final = {b'\x28\xb5\x2f\xfd': 'zstd', b'\x04\x22\x4d\x18': 'lz4'}
_NUMBERS: Final = re.compile(r'(\d+)')
_LOGS: Final = ('-wal', '-journal')
"""Beside an SQLite file: what was written, and is not in it yet; what has to be undone."""
_MOST_NAMED: Final = 5


class Kind(Enum):
    """What a recording is."""

    FLIGHT = 'flight'
    SEGMENT = 'segment'
    """A segment alone, without its flight."""
    BAG = 'bag'
    """A directory that rosbag2 wrote, or another program like it; `fdr export` does, too."""
    FILE = 'file'
    """An MCAP file or an SQLite file alone."""


@dataclass(frozen=True)
class Recording:
    """
    A recording, as it lies on the disk.

    Attributes:
        path: Its directory, or the file.
        kind: What it is.
        files: Its files, oldest first; of a bag those that it names and that are there, or all
            that are there if it names none of them.
        bag: What a bag says of itself; None if it has no `metadata.yaml`.
        missing: Names of files that it names, and that are not there.
        unnamed: Names of files that are there, and that it does not name.
        types: Where definitions come from that the files do not have.

    """

    path: Path
    kind: Kind
    files: tuple[Path, ...] = ()
    bag: BagMetadata | None = None
    missing: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    types: StandardTypes = field(default_factory=StandardTypes)

    @property
    def bytes(self) -> int:
        """Return the size of its files."""
        size = 0
        for path in self.files:
            with suppress(FileNotFoundError):  # dropped just now
                size += path.stat().st_size
        return size

    @property
    def notes(self) -> list[str]:
        """Say what is unusual, a sentence each; of definitions, once they have been asked for."""
        if self.kind is Kind.FLIGHT:
            return []
        notes = [self.types.note] if self.types.note else []
        if self.kind is Kind.BAG and self.bag is None:
            notes.append(f'there is no {FILE_NAME}, so files may be missing at the end')
        if self.unnamed:
            notes.append(f'{FILE_NAME} does not name {_named(self.unnamed)}: left out')
        notes += [
            f'{path.name} has a log beside it, which is read with it: the program that wrote it '
            'was ended'
            for path in self.files
            if has_log(path)
        ]
        return notes

    @property
    def untold(self) -> str:
        """Say why nobody knows what is missing; empty for a flight."""
        if self.kind is Kind.FLIGHT:
            return ''
        return 'it is one segment alone' if self.kind is Kind.SEGMENT else 'it is no flight'

    @property
    def faults(self) -> list[str]:
        """Say how the files of a bag differ from what it names."""
        faults = []
        if self.bag is not None and self.bag.fault:
            faults.append(f'{self.path / FILE_NAME} {self.bag.fault}')
        if self.missing:
            faults.append(f'{FILE_NAME} names {_named(self.missing)}: not there')
        return faults

    @contextmanager
    def open(self, path: Path, *, started_ns: int = 0) -> Iterator[RecordingFile]:
        """
        Open one of its files; `started_ns` is when the flight began, if that is known.

        Raises:
            OSError: It cannot be read.
            SegmentError: It is no file of a recording.

        """
        if self.kind in (Kind.FLIGHT, Kind.SEGMENT):
            named = path if self.kind is Kind.FLIGHT else path.resolve()  # in a flight no links
            with open_segment(named, started_ns=started_ns) as segment:
                yield segment
            return
        with ExitStack() as stack:
            source = path.resolve()
            head = _head(source)
            if compression := _COMPRESSIONS.get(head[:4]):
                source = stack.enter_context(unpacked_file(source, compression))
                head = _head(source)
            file: RecordingFile
            if head == SQLITE_MAGIC:
                source = stack.enter_context(_with_its_log(source))
                file = stack.enter_context(closing(SqliteFile(source, path, self.types.find)))
            elif head.startswith(layout.MAGIC) or '.mcap' in path.suffixes:
                file = stack.enter_context(ForeignReader(source, path, self.types.find))
            else:
                raise SegmentError(path, 0, 'this is neither an MCAP nor an SQLite file')
            if packing := self._packing(file):
                file = UnpackedMessages(file, packing)
            yield file

    def _packing(self, file: RecordingFile) -> str:
        """Return how rosbag2 has compressed each message; empty if it has not."""
        if self.bag is not None and not self.bag.fault:
            is_packed = self.bag.compression_mode == 'message'
            return self.bag.compression_format if is_packed else ''
        first = next(file.messages(), None)  # no CDR begins like that
        is_cdr = first is not None and first.channel.message_encoding == layout.CDR
        return _COMPRESSIONS.get(first.data[:4], '') if first is not None and is_cdr else ''


def recording_at(path: Path | str) -> Recording:
    """
    Return the recording at a path; of an empty directory, a bag without files.

    Raises:
        OSError: There is nothing, or it cannot be read.

    """
    path = Path(path)
    if stat.S_ISDIR(path.stat().st_mode):
        segments = segment_files(path)
        if segments:
            return Recording(path, Kind.FLIGHT, tuple(segment.path for segment in segments))
        return _bag_at(path)
    kind = Kind.SEGMENT if _is_segment(path.resolve()) else Kind.FILE
    return Recording(path, kind, (path,))


def is_recording(path: Path) -> bool:
    """
    Tell whether there may be a recording at a path; raise `OSError` if it is unreadable.

    A directory without `metadata.yaml` is one if its files belong together: `x_0.db3`, `x_1.db3`,
    and there are no others in directories below it.
    """
    if not stat.S_ISDIR(path.stat().st_mode):
        return bool(_STORAGE.search(path.name)) or _is_storage(path)
    if _is_flight_or_bag(path):
        return True
    is_one = len({_SPLIT.sub('', name) for name in _storage(path)}) == 1
    return is_one and not _has_recordings_below(path)


def _has_recordings_below(path: Path) -> bool:
    with os.scandir(path) as entries:
        directories = [path / item.name for item in entries if item.is_dir(follow_symlinks=False)]
    for directory in directories:
        with suppress(OSError):
            if _is_flight_or_bag(directory) or _storage(directory):
                return True
    return False


def _is_flight_or_bag(directory: Path) -> bool:
    return bool(segment_files(directory)) or (directory / FILE_NAME).is_file()


def recordings_in(root: Path, flights: Collection[Path]) -> list[Path]:
    """
    List by name the recordings below a directory, besides its flights; links are left out.

    Raises:
        OSError: The directory cannot be read.

    """
    known = {path.name for path in flights}
    with os.scandir(root) as entries:
        others = [
            root / entry.name
            for entry in entries
            if entry.name not in known and not entry.name.startswith('.')
            and (
                entry.is_dir(follow_symlinks=False)
                or (entry.is_file(follow_symlinks=False) and _STORAGE.search(entry.name))
            )
        ]
    return [path for path in sorted(others) if _may_be_recording(path)]


def _may_be_recording(path: Path) -> bool:
    with suppress(OSError):
        return is_recording(path)
    return False


def _bag_at(path: Path) -> Recording:
    bag = read_bag_metadata(path)
    there = _storage(path)
    if bag is None or not bag.files:
        files, missing, unnamed = there, [], []
    else:
        files = [name for name in bag.files if (path / name).exists()]
        missing = [name for name in bag.files if name not in files]
        unnamed = [name for name in there if name not in files]
        if there and not files:
            fault = f'belongs to another bag: it names {_named(missing)}, and nothing of that is '
            fault += f'there; read instead: {_named(there)}'
            bag, files, missing, unnamed = replace(bag, fault=fault), there, [], []
    types = StandardTypes(bag.ros_distro, bag.version) if bag is not None else StandardTypes()
    return Recording(
        path,
        Kind.BAG,
        tuple(path / name for name in files),
        bag,
        tuple(missing),
        tuple(unnamed),
        types,
    )


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ', '.join(names[:_MOST_NAMED]) + (f' and {more:,} more' if more > 0 else '')


def _storage(directory: Path) -> list[str]:
    """List the files that may have messages, `bag_2.db3` before `bag_10.db3`."""
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries if _leads_to_file(entry)]
    return sorted(filter(_STORAGE.search, names), key=_natural)


def _leads_to_file(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):  # links in a circle, or to where one may not look
        return entry.is_file()
    return False


def _natural(name: str) -> list[tuple[int, str]]:
    parts = _NUMBERS.split(name)
    return [(int(part), '') if place % 2 else (0, part) for place, part in enumerate(parts)]


def _head(path: Path) -> bytes:
    """Return what a regular file begins with."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise SegmentError(path, 0, 'not a regular file')
        return os.pread(fd, len(SQLITE_MAGIC), 0)
    finally:
        os.close(fd)


def _is_storage(path: Path) -> bool:
    with suppress(SegmentError):
        head = _head(path)
        return head.startswith(layout.MAGIC) or head == SQLITE_MAGIC
    return False


def _is_segment(path: Path) -> bool:
    """Tell whether a file is a segment: its metadata record names a flight."""
    with suppress(SegmentError, OSError), closing(RecordFile(path)) as file:
        file.check_magic()
        with ForeignReader(path) as reader:
            header = reader.record_at(len(layout.MAGIC))
            record = reader.record_at(header.end)
            if record.opcode == layout.METADATA:
                reader.decoder.describe(record)
            return 'flight_id' in reader.metadata.get(METADATA_NAME, {})
    return False


@contextmanager
def _with_its_log(path: Path) -> Iterator[Path]:
    """Yield the path of an SQLite file, or of a copy into which its log has been worked."""
    logs = [log for suffix in _LOGS if _size(log := path.with_name(path.name + suffix))]
    if not logs:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix='fdr_') as directory:
        copy = Path(directory, 'copy.db3')
        shutil.copyfile(path, copy)
        for log in logs:
            shutil.copyfile(log, copy.with_name(copy.name + log.name.removeprefix(path.name)))
        with suppress(sqlite3.Error), closing(sqlite3.connect(copy)) as database:
            database.execute('PRAGMA journal_mode = DELETE').fetchall()
        yield copy


def has_log(path: Path) -> bool:
    """Tell whether an SQLite file has a log beside it: the program that wrote it was ended."""
    return any(_size(path.with_name(path.name + suffix)) for suffix in _LOGS)


def is_packed(path: Path) -> bool:
    """Tell whether a file is compressed as a whole."""
    with suppress(SegmentError):
        return _head(path)[:4] in _COMPRESSIONS
    return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0
