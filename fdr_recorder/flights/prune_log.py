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
The log of removed flights, `.fdr.pruned` in the flight root: an entry for each, before it goes.

With a key the entries are signed. Each names the one before, so that none can be taken out unseen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
import fcntl
import hashlib
import os
from pathlib import Path
import time
from typing import Final, TYPE_CHECKING

from fdr_recorder.errors import SegmentError
from fdr_recorder.flights.directory import segment_files
from fdr_recorder.flights.listing import ListedFlight
from fdr_recorder.flights.recovery.last_segment import read_last_segment
from fdr_recorder.flights.sealed import has_sidecars, is_opening
from fdr_recorder.mcap.record_file import RecordFile
from fdr_recorder.seal.openssh import ARMOR_BEGINS
from fdr_recorder.seal.sidecars import newest_seal
from fdr_recorder.storage.files import append_durably, close_fd, FILE_MODE
from fdr_recorder.units import iso_time

if TYPE_CHECKING:  # it needs a library that not everybody has
    from fdr_recorder.seal.identity import Identity

LOG_NAME: Final = '.fdr.pruned'
NAMESPACE: Final = 'fdr-prune'
"""Namespace of the signatures."""
_FIRST_LINE: Final = 'fdr-prune-v1'
_ENTRY_ENDS: Final = b'\n\n'
_MOST_BYTES: Final = 64 << 20
"""More of a log is not read."""


def note_removal(
    root: Path, flight: ListedFlight, cause: str, identity: Identity | None = None
) -> None:
    """
    Append the entry of a flight that is about to be removed, and force it to the disk.

    Without a key there is one only if the flight is sealed, and it is not signed.

    Args:
        root: The flight root.
        flight: The flight; it is still there.
        cause: Why it is removed.
        identity: Signs the entry.

    Raises:
        SealError: The key cannot sign; there is no entry.
        OSError: The flight cannot be read, or the log not be written.

    """
    seal_hash = _newest_seal(flight.path)
    if identity is None and seal_hash is None:
        return
    try:
        with _locked(root) as (dir_fd, before):
            torn = b'' if not before or before.endswith(_ENTRY_ENDS) else _ENTRY_ENDS
            text = _text(flight, cause, seal_hash or '', _hash_of_last(before + torn)).encode()
            entry = (torn, text, _signature(text, identity), b'\n')
            append_durably(dir_fd, LOG_NAME, b''.join(entry))
    except OSError as error:
        reason = f'{error.strerror}; so {flight.name} is not removed'
        raise OSError(error.errno, reason, str(root / LOG_NAME)) from error


def removed_flights(root: Path) -> dict[str, tuple[str, str]]:
    """
    Return the flights that a root's log says were removed: by id, entry and signature.

    The signature may be empty; nothing is checked. What is no entry is passed over.

    Raises:
        OSError: The log is there and cannot be read.

    """
    try:
        file = RecordFile(root / LOG_NAME)
    except FileNotFoundError:
        return {}
    except SegmentError:
        return {}
    try:
        entries = file.read(0, min(file.size, _MOST_BYTES))
    finally:
        file.close()
    found = {}
    for entry in entries.decode('ascii', 'replace').split(_ENTRY_ENDS.decode()):
        text, begin, armor = entry.partition(ARMOR_BEGINS)
        first, *lines = text.split('\n')
        name, _, flight = lines[0].partition(': ') if lines else ('', '', '')
        if first == _FIRST_LINE and name == 'flight':
            found[flight] = (text, f'{begin}{armor}\n' if begin else '')
    return found


def _newest_seal(flight: Path) -> str | None:
    """Return the hash of the newest seal of a flight, maybe empty; None if it is not sealed."""
    if not has_sidecars(flight):
        segments = segment_files(flight)
        last = read_last_segment(segments[-1]) if segments else None
        if last is None or not is_opening(last.header):
            return None
    seal = newest_seal(flight)
    return seal.text_hash if seal is not None else ''


def _text(flight: ListedFlight, cause: str, seal_hash: str, previous: str) -> str:
    lines = {
        'flight': flight.flight_id,
        'number': flight.flight_number,
        'seal': seal_hash,
        'bytes': flight.bytes,
        'cause': cause,
        'utc': iso_time(time.time_ns()),
        'previous': previous,
    }
    values = ((name, ' '.join(str(value).split())) for name, value in lines.items())
    return ''.join((f'{_FIRST_LINE}\n', *(f'{name}: {value}\n' for name, value in values)))


def _hash_of_last(entries: bytes) -> str:
    """Return the SHA-256 of the last entry, its empty line included; empty if there is none."""
    if not entries:
        return ''
    start = entries.rfind(_ENTRY_ENDS, 0, -len(_ENTRY_ENDS))
    last = entries[start + len(_ENTRY_ENDS) if start >= 0 else 0:]
    return hashlib.sha256(last).hexdigest()


def _signature(text: bytes, identity: Identity | None) -> bytes:
    if identity is None:
        return b''
    from fdr_recorder.seal import sshsig  # noqa: PLC0415 - needs an extra

    return sshsig.sign(identity, NAMESPACE, text).encode()


@contextmanager
def _locked(root: Path) -> Iterator[tuple[int, bytes]]:
    """Yield a descriptor of the root, and its log, to which nobody else appends meanwhile."""
    dir_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(LOG_NAME, flags, FILE_MODE, dir_fd=dir_fd)
        try:
            with suppress(OSError):  # there are no locks on some file systems
                fcntl.flock(fd, fcntl.LOCK_EX)
            with open(fd, 'rb', closefd=False) as file:
                entries = file.read()
            yield dir_fd, entries
        finally:
            close_fd(fd)
    finally:
        close_fd(dir_fd)
