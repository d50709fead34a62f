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
Every error that the recorder raises on purpose: a type, and a message that says what to do.

All derive from `FdrError`. `alert_code` is the code (docs: alerts) under which the node reports a
transition that was refused because of the error.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class FdrError(Exception):
    """Base of all errors of this package."""

    alert_code: str = 'transition_refused'


class ConfigInvalidError(FdrError):
    """
    One or more configuration values are wrong; all of them are named.

    Attributes:
        mistakes: One sentence for each, beginning with the option's dotted name.

    """

    alert_code = 'config_invalid'

    def __init__(self, mistakes: Sequence[str]) -> None:
        """Take the sentences, in the order of the options."""
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        noun = 'mistake' if count == 1 else 'mistakes'
        super().__init__(f'{count} {noun} in the configuration: ' + '; '.join(self.mistakes))


# --- the flight root -------------------------------------------------------------------------


class FlightRootError(FdrError):
    """
    The flight root cannot be used.

    Attributes:
        path: The flight root.

    """

    alert_code = 'flight_root_unusable'

    def __init__(self, path: Path, reason: str) -> None:
        """Take the root and the rest of the sentence that starts with it."""
        self.path = path
        super().__init__(f'{path} {reason}')


class FlightRootMissingError(FlightRootError):
    """The flight root does not exist; it is not created, for it may be a disk not mounted yet."""

    def __init__(self, path: Path) -> None:
        """Name the missing root."""
        super().__init__(
            path,
            f'does not exist; mount it, create it (mkdir -p {path}), or choose another '
            'flight_root',
        )


class FlightRootNotADirectoryError(FlightRootError):
    """The flight root is a file or some other thing that holds no files."""

    def __init__(self, path: Path) -> None:
        """Name what stands where the root should be."""
        super().__init__(path, 'is not a directory; choose another flight_root')


class FlightRootReadOnlyError(FlightRootError):
    """The flight root cannot be written to, by permission or because of how it is mounted."""

    def __init__(self, path: Path, reason: str) -> None:
        """Name the root and what the operating system said."""
        super().__init__(
            path,
            f'cannot be written to ({reason}); remount it read-write, give this user the right '
            'to write there, or choose another flight_root',
        )


class FlightRootLockedError(FlightRootError):
    """
    Another writer owns the flight root.

    Attributes:
        holder: What the other writer says of itself, for example `pid 812 (fdr_recorder on
            drone-7, since 2026-05-04T09:14:02Z)`.

    """

    alert_code = 'flight_root_locked'

    def __init__(self, path: Path, holder: str) -> None:
        """Name the root and who holds it."""
        self.holder = holder
        super().__init__(path, f'is in use by {holder}; stop it or choose another flight_root')


class UsageError(FdrError):
    """What was asked for on a command line makes no sense."""


# --- flights ---------------------------------------------------------------------------------


class FlightError(FdrError):
    """A flight cannot be opened or closed as asked."""


class FlightIdInvalidError(FlightError, ValueError):
    """A flight id that is empty, too long, or could mean another path."""

    alert_code = 'config_invalid'

    def __init__(self, flight_id: object) -> None:
        """Name the id, shortened so that a hostile one cannot fill a log."""
        shown = repr(flight_id)
        if len(shown) > 80:
            shown = f'{shown[:76]}...{shown[-1]}'
        super().__init__(
            f'{shown} is no flight_id: use 1 to 64 of the characters A-Z a-z 0-9 . _ -, '
            'the first a letter or a digit'
        )


class FlightExistsError(FlightError):
    """A flight of that id is already in the root; it is never written into."""

    alert_code = 'config_invalid'

    def __init__(self, path: Path) -> None:
        """Name the existing directory."""
        self.path = path
        super().__init__(
            f'{path} already exists; choose another flight_id, or leave it empty for a new one '
            'with every flight'
        )


class FlightAlreadyOpenError(FlightError):
    """`open_flight` while a flight is open."""

    def __init__(self, flight_id: str) -> None:
        """Name the open flight."""
        super().__init__(f'flight {flight_id} is still open; close it first')


class FlightNotOpenError(FlightError):
    """`close_flight` while no flight is open."""

    def __init__(self, flight_id: str) -> None:
        """Name the flight that was to be closed."""
        super().__init__(f'cannot close flight {flight_id}: no flight is open')


class FlightIdMismatchError(FlightError):
    """`close_flight` with the id of another flight than the open one."""

    def __init__(self, asked: str, open_id: str) -> None:
        """Name both flights."""
        super().__init__(f'cannot close flight {asked}: the open flight is {open_id}')


class FlightStorageError(FlightError):
    """
    The file system refused the files of a new flight (full, failing, gone).

    Attributes:
        errno: The operating system's error number.

    """

    def __init__(self, path: Path, error: OSError) -> None:
        """Name the path and what the operating system said."""
        self.errno = error.errno
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        self.alert_code = 'disk_full' if is_full else 'flight_root_unusable'
        advice = 'free space there' if is_full else 'see to the disk and its mount'
        super().__init__(
            f'cannot begin a flight in {path}: {error.strerror}; {advice}, or choose another '
            'flight_root'
        )


class NoFlightError(FlightError):
    """There is no flight where one was looked for, or nothing of it that was asked for."""

    def __init__(self, path: Path, what: str) -> None:
        """Name the path, what is there instead, and what to do."""
        self.path = path
        super().__init__(f'{path}: {what}')


class ExportError(FdrError):
    """A flight, or a part of it, cannot be copied to where it was to go."""

    def __init__(self, path: Path, what: str) -> None:
        """Name the path, what is wrong there, and what to do."""
        self.path = path
        super().__init__(f'{path} {what}')


# --- the writer ------------------------------------------------------------------------------


class WriterStateError(FdrError):
    """A call that does not fit the state of the writer."""


class WriterAlreadyStartedError(WriterStateError):
    """`start` while the writer runs."""

    def __init__(self) -> None:
        """Need nothing: there is one writer."""
        super().__init__('the writer is already started; stop it first')


class WriterNotStartedError(WriterStateError):
    """A flight was to be opened while the writer does not run."""

    def __init__(self) -> None:
        """Need nothing: there is one writer."""
        super().__init__('the writer is not started; call start() first')


class WriterFailedError(WriterStateError):
    """The writer thread ended by an error of its own; the cause is chained."""

    alert_code = 'writer_failed'

    def __init__(self) -> None:
        """Need nothing: the cause says the rest."""
        super().__init__(
            'the writer thread has failed (see the cause); what was written stays readable'
        )


class ClientError(FdrError):
    """A client was registered twice, or retired without being registered."""


# --- records and files -----------------------------------------------------------------------


class RecordError(FdrError):
    """A record, or the definition of its type, cannot be encoded or decoded."""


class SegmentError(FdrError):
    """
    The bytes of a segment are not what the format says.

    Attributes:
        offset: Where in the file, in bytes from its start.

    """

    def __init__(self, path: Path, offset: int, what: str) -> None:
        """Name the file, the place, and what is wrong there."""
        self.path = path
        self.offset = offset
        super().__init__(f'{path}: at byte {offset}: {what}')
