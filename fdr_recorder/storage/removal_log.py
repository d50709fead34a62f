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

from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.storage.files import append_durably, close_fd, FILE_MODE, sync_directory
from fdr_recorder.units import iso_time

if TYPE_CHECKING:  # it needs a library that not everybody has
    from fdr_recorder.seal.identity import Identity

LOG_NAME: Final = '.fdr.pruned'
NAMESPACE: Final = 'fdr-prune'
"""Namespace of the signatures."""
DOOMED_PREFIX: Final = f'{LOG_NAME}.'
"""Of the name that a flight has while it is deleted."""
FIRST_LINE: Final = 'fdr-prune-v1'
ENTRY_ENDS: Final = b'\n\n'


@dataclass(frozen=True)
class Removal:
    """
    What the log says of a flight.

    Attributes:
        flight_id: Its id, by its header.
        number: Its number in the root.
        bytes: Its size.
        cause: Why it is removed.
        seal_hash: SHA-256 of its newest seal; empty if it has none.

    """

    flight_id: str
    number: int
    bytes: int
    cause: str
    seal_hash: str = ''


def note_removal(root: Path, removal: Removal, identity: Identity | None = None) -> None:
    """
    Append the entry of a flight that is about to be removed, and force it to the disk.

    Args:
        root: The flight root.
        removal: What to say; the flight is still there.
        identity: Signs the entry.

    Raises:
        SealError: The key cannot sign; there is no entry.
        OSError: The log cannot be written.

    """
    try:
        with _locked(root) as (dir_fd, before):
            torn = b'' if not before or before.endswith(ENTRY_ENDS) else ENTRY_ENDS
            text = _text(removal, _hash_of_last(before + torn)).encode()
            entry = (torn, text, _signature(text, identity), b'\n')
            append_durably(dir_fd, LOG_NAME, b''.join(entry))
    except OSError as error:
        reason = f'{error.strerror}; so {removal.flight_id} is not removed'
        raise OSError(error.errno, reason, str(root / LOG_NAME)) from error


def put_away(flight: Path) -> Path:
    """Rename a flight, which is atomic, to a name that is no flight's; return its new path."""
    doomed = flight.with_name(f'{DOOMED_PREFIX}{flight.name}')
    flight.rename(doomed)
    sync_directory(flight.parent)
    return doomed


def delete(doomed: Path) -> None:
    """Delete a flight that was put away."""
    from shutil import rmtree  # noqa: PLC0415 - slow to import, for what few flights need

    rmtree(doomed)


def delete_remains(root: Path) -> None:
    """Delete flights that were put away, and not deleted then."""
    for path in root.glob(f'{DOOMED_PREFIX}*'):
        delete(path)


def _text(removal: Removal, previous: str) -> str:
    lines = {
        'flight': removal.flight_id,
        'number': removal.number,
        'seal': removal.seal_hash,
        'bytes': removal.bytes,
        'cause': removal.cause,
        'utc': iso_time(time.time_ns()),
        'previous': previous,
    }
    values = ((name, ' '.join(str(value).split())) for name, value in lines.items())
    return ''.join((f'{FIRST_LINE}\n', *(f'{name}: {value}\n' for name, value in values)))


def _hash_of_last(entries: bytes) -> str:
    """Return the SHA-256 of the last entry, its empty line included; empty if there is none."""
    if not entries:
        return ''
    start = entries.rfind(ENTRY_ENDS, 0, -len(ENTRY_ENDS))
    last = entries[start + len(ENTRY_ENDS) if start >= 0 else 0:]
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
