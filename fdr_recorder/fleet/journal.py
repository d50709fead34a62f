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
What of the flights of a root has arrived in a store: a journal on the drone, to save work.

It lies in `.fdr.offload` of the root, a directory for each store and a file for each flight, to
which lines are appended. Nothing is believed that has no right checksum, and nothing is lost with
it: what it does not say is found out again from the store.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final
import zlib

from fdr_recorder.fleet.errors import OffloadRunsError
from fdr_recorder.fleet.local_file import FileState
from fdr_recorder.fleet.manifest import ManifestFile
from fdr_recorder.storage.files import (
    append_durably,
    close_fd,
    DIRECTORY_MODE,
    FILE_MODE,
    replace_file,
    sync_directory,
)
from fdr_recorder.storage.locks import lock

JOURNAL_NAME: Final = '.fdr.offload'
_LOCK_NAME: Final = '.lock'
_URL_NAME: Final = '.url'
_MOST_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class FlightFacts:
    """
    What a manifest says of a flight beside its files, as far as it is known.

    Attributes:
        vehicle: Its vehicle in the store.
        flight_id: By its header; empty if that could not be read.
        flight_number: Its number in the root; 0 if unknown.
        started_ns: When it began; 0 if unknown.

    """

    vehicle: str
    flight_id: str
    flight_number: int
    started_ns: int

    def is_other_than(self, flight_id: str, started_ns: int) -> bool:
        """Tell whether it is another flight than one of the same name."""
        is_known = bool(self.flight_id and flight_id)
        return is_known and (self.flight_id, self.started_ns) != (flight_id, started_ns)


NO_FACTS: Final = FlightFacts('', '', 0, 0)
"""Its header cannot be read, and no other flight says whose they are."""


@dataclass
class FlightJournal:
    """
    What is known of one flight in one store.

    Attributes:
        facts: Of the flight; None if nothing is known.
        files: What arrived, by name, with the state that the file had on the drone.
        manifest: The SHA-256 of its manifest in the store, when all had arrived; else empty.

    """

    facts: FlightFacts | None = None
    files: dict[str, tuple[FileState, ManifestFile]] = field(default_factory=dict)
    manifest: str = ''

    def has(self, name: str, state: FileState) -> bool:
        """Tell whether a file has arrived as it is."""
        return name in self.files and self.files[name][0] == state


class Journal:
    """
    The journal of a root for one store. Used by one thread.

    Where it cannot be written, it is kept in memory.

    Attributes:
        trouble: Why it cannot be written; empty if it can.

    """

    def __init__(self, root: Path, url: str, *, is_dry: bool = False) -> None:
        """
        Take the journal, so that no other process offloads the root to this store.

        Args:
            root: The flight root.
            url: What tells the store from every other.
            is_dry: Only read it.

        Raises:
            OffloadRunsError: Another does.

        """
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        self._path = root / JOURNAL_NAME / name
        self._known: dict[str, FlightJournal] = {}
        self._fd = -1
        self.trouble = ''
        if is_dry:
            self.trouble = 'it is only read'
            return
        try:
            self._path.parent.mkdir(DIRECTORY_MODE, exist_ok=True)
            if not self._path.is_dir():
                self._path.mkdir(DIRECTORY_MODE)
                replace_file(self._path / _URL_NAME, [f'{url}\n'.encode()])
                sync_directory(self._path.parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._path / _LOCK_NAME, flags, FILE_MODE)
            lock(self._fd)
        except BlockingIOError:
            close_fd(self._fd)
            raise OffloadRunsError(root, url) from None
        except OSError as error:
            self._failed(error)

    def __enter__(self) -> Journal:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let others take it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            close_fd(fd)

    @property
    def is_there(self) -> bool:
        """Whether its directory is where it was; if it could be written at all."""
        return bool(self.trouble) or self._path.is_dir()

    def flights(self) -> list[str]:
        """Return the names of the flights of which something is known."""
        names = set(self._known)
        with suppress(OSError):
            names |= {path.name for path in self._path.iterdir() if path.name[0] != '.'}
        return sorted(names)

    def of(self, flight: str) -> FlightJournal:
        """Return what is known of a flight."""
        if flight not in self._known:
            self._known[flight] = self._read(flight)
        return self._known[flight]

    def forget_in_memory(self, flight: str) -> None:
        """Read a flight's file again when it is needed: thousands need not stay in memory."""
        if not self.trouble:
            self._known.pop(flight, None)

    def begin(self, flight: str, facts: FlightFacts) -> None:
        """Note what a flight is."""
        known = self.of(flight)
        if known.facts != facts:
            known.facts = facts
            self._append(flight, {'facts': asdict(facts)})

    def add(self, flight: str, state: FileState, file: ManifestFile) -> None:
        """Note that a file has arrived."""
        known = self.of(flight)
        known.files[file.name] = (state, file)
        known.manifest = ''
        self._append(flight, {'file': [*asdict(file).values()], 'state': [*state]})

    def drop(self, flight: str, name: str) -> None:
        """Note that a file has not arrived as it is."""
        known = self.of(flight)
        known.manifest = ''
        if known.files.pop(name, None) is not None:
            self._append(flight, {'gone': name})

    def finish(self, flight: str, manifest: str) -> None:
        """Note that the manifest has arrived, and write the file anew, short."""
        known = self.of(flight)
        known.manifest = manifest
        entries: list[dict[str, Any]] = []
        if known.facts is not None:
            entries.append({'facts': asdict(known.facts)})
        entries += [
            {'file': [*asdict(file).values()], 'state': [*state]}
            for state, file in known.files.values()
        ]
        entries.append({'manifest': manifest})
        try:
            if not self.trouble:
                replace_file(self._path / flight, [_line(entry) for entry in entries])
        except OSError as error:
            self._failed(error)

    def unfinish(self, flight: str) -> None:
        """Note that the manifest has not arrived."""
        self.of(flight).manifest = ''
        self._append(flight, {'manifest': ''})

    def remove(self, flight: str) -> None:
        """Forget a flight that is no longer on the drone."""
        self._known.pop(flight, None)
        with suppress(OSError):
            (self._path / flight).unlink(missing_ok=True)

    def _append(self, flight: str, entry: dict[str, Any]) -> None:
        if self.trouble:
            return
        try:
            dir_fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                append_durably(dir_fd, flight, b'\n' + _line(entry))
            finally:
                close_fd(dir_fd)
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        self.trouble = error.strerror or str(error)

    def _read(self, flight: str) -> FlightJournal:
        known = FlightJournal()
        try:
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            fd = os.open(self._path / flight, flags)
            with open(fd, 'rb') as file:  # noqa: PTH123
                data = file.read(_MOST_BYTES)
        except OSError:
            return known
        for line in data.split(b'\n'):
            checksum, _, text = line.partition(b' ')
            if checksum == _checksum(text):
                with suppress(ValueError, KeyError, TypeError):
                    _apply(known, json.loads(text))
        return known


def _apply(known: FlightJournal, entry: dict[str, Any]) -> None:
    if 'facts' in entry:
        known.facts = FlightFacts(**entry['facts'])
    if 'file' in entry:
        file = ManifestFile(*entry['file'])
        known.files[file.name] = (FileState(*entry['state']), file)
        known.manifest = ''
    if 'gone' in entry:
        known.files.pop(entry['gone'], None)
        known.manifest = ''
    if 'manifest' in entry:
        known.manifest = entry['manifest']


def _line(entry: dict[str, Any]) -> bytes:
    text = json.dumps(entry, separators=(',', ':')).encode()
    return _checksum(text) + b' ' + text + b'\n'


def _checksum(text: bytes) -> bytes:
    return b'%08x' % zlib.crc32(text)
