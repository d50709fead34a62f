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
Every error that the recorder raises on purpose; the message says what to do.

Those of the fleet are in `fleet/errors.py`.

- FdrError
  - ConfigInvalidError
  - RosArgumentsError
  - FlightRootError
    - FlightRootMissingError
    - FlightRootNotADirectoryError
    - FlightRootReadOnlyError
    - FlightRootLockedError
  - FlightError
    - FlightIdInvalidError (also a ValueError)
    - FlightExistsError
    - FlightAlreadyOpenError
    - FlightNotOpenError
    - FlightIdMismatchError
    - FlightStorageError
    - DiskStalledError
    - NoFlightError
    - FlightInUseError
    - NothingToDropError
  - WriterStateError
    - WriterAlreadyStartedError
    - WriterNotStartedError
    - WriterFailedError
  - ClientError
  - RecordError
  - SegmentError
  - RecoveryStoppedError
  - ExportError
  - ExtraMissingError
  - SealError
  - ConditionError
  - HeldWhileArmedError
  - ServiceRefusedError
  - TypeUnknownError
  - SourceTypeMissingError
  - UsageError

Functions that read or write files also let `OSError` through, as the operating system raised it.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class FdrError(Exception):
    """
    Base of all errors of this package.

    Attributes:
        alert_code: The alert that the node raises when the error refuses a transition.

    """

    alert_code: str = 'transition_refused'


class ConfigInvalidError(FdrError):
    """
    Configuration values are wrong; the message names all of them.

    Attributes:
        mistakes: One sentence for each; it begins with the option's dotted name.

    """

    alert_code = 'config_invalid'

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        noun = 'mistake' if len(mistakes) == 1 else 'mistakes'
        super().__init__(f'{len(mistakes)} {noun} in the configuration: {"; ".join(mistakes)}')


class RosArgumentsError(FdrError):
    """ROS cannot use the arguments of the command line."""


# --- the flight root -------------------------------------------------------------------------


class FlightRootError(FdrError):
    """
    The flight root cannot be used.

    The reason is the rest of a sentence that begins with the path.

    Attributes:
        path: The flight root.

    """

    alert_code = 'flight_root_unusable'

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(f'{path} {reason}')


class FlightRootMissingError(FlightRootError):
    """The flight root does not exist. It is not created: it may be a disk not mounted yet."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            f'does not exist; mount it, create it (mkdir -p {path}), or choose another '
            'flight_root',
        )


class FlightRootNotADirectoryError(FlightRootError):
    """The flight root is not a directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, 'is not a directory; choose another flight_root')


class FlightRootReadOnlyError(FlightRootError):
    """Permissions or a read-only mount forbid writing to the flight root."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            path,
            f'cannot be written to ({reason}); remount it read-write, give this user the right '
            'to write there, or choose another flight_root',
        )


class FlightRootLockedError(FlightRootError):
    """
    Another writer owns the flight root.

    Attributes:
        holder: The other writer, for example `pid 812 (fdr_recorder on drone-7, since
            2026-05-04T09:14:02Z)`.

    """

    alert_code = 'flight_root_locked'

    def __init__(self, path: Path, holder: str) -> None:
        self.holder = holder
        super().__init__(path, f'is in use by {holder}; stop it or choose another flight_root')


# --- flights ---------------------------------------------------------------------------------


class FlightError(FdrError):
    """A flight cannot be opened, closed or found."""


class FlightIdInvalidError(FlightError, ValueError):
    """A flight id is empty, too long, or could name another path."""

    alert_code = 'config_invalid'

    def __init__(self, flight_id: object) -> None:
        shown = repr(flight_id)
        if len(shown) > 80:  # a hostile one must not fill a log
            shown = f'{shown[:76]}...{shown[-1]}'
        super().__init__(
            f'{shown} is no flight_id: use 1 to 64 of the characters A-Z a-z 0-9 . _ -, '
            'the first a letter or a digit'
        )


class FlightExistsError(FlightError):
    """The flight root already has a flight of that id. It is never written into."""

    alert_code = 'config_invalid'

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f'{path} already exists; choose another flight_id, or leave it empty for a new one '
            'with every flight'
        )


class FlightAlreadyOpenError(FlightError):
    """`open_flight` was called while a flight is open."""

    def __init__(self, flight_id: str) -> None:
        super().__init__(f'flight {flight_id} is still open; it must be closed first: deactivate')


class FlightNotOpenError(FlightError):
    """`close_flight`, `split` or `pin` was called while no flight is open."""

    def __init__(self, flight_id: str) -> None:
        super().__init__(f'cannot close flight {flight_id}: no flight is open')


class FlightIdMismatchError(FlightError):
    """`close_flight` was called with the id of another flight than the open one."""

    def __init__(self, asked: str, open_id: str) -> None:
        super().__init__(f'cannot close flight {asked}: the open flight is {open_id}')


class NothingToDropError(FlightError):
    """A segment is to be dropped, and there is none that is closed and not pinned."""

    def __init__(self, path: Path) -> None:
        super().__init__(f'{path}: no segment may be dropped: none is closed and not pinned')


class FlightInUseError(FlightError):
    """
    A flight is to be changed while another program writes or changes it, by whatever name.

    Attributes:
        path: What is in use: the flight's directory, or one of its segments.
        holder: The other program, for example `pid 812`.

    """

    def __init__(self, path: Path, holder: str) -> None:
        self.path = path
        self.holder = holder
        super().__init__(
            f'{path} is being written or changed by {holder}; it is left alone. Try again when '
            'that has ended'
        )


class FlightStorageError(FlightError):
    """
    The file system refused the files of a new flight (full, failing, gone).

    The path is that of the flight's directory.

    Attributes:
        errno: The operating system's error number.

    """

    def __init__(self, path: Path, error: OSError) -> None:
        self.errno = error.errno
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        self.alert_code = 'disk_full' if is_full else 'flight_root_unusable'
        advice = 'free some space' if is_full else 'check the disk and its mount'
        super().__init__(
            f'cannot begin a flight in {path.parent}: {error.strerror}; {advice}, or choose '
            'another flight_root'
        )


class DiskStalledError(FlightError):
    """
    The disk does not answer, so that a flight could not be opened or closed in time.

    The writer carries it out as soon as the disk answers; a flight that nobody waits for any more
    is then closed at once.
    """

    def __init__(self, path: Path | str, seconds: float, promise: str) -> None:
        super().__init__(
            f'the disk of {path} has not answered for {seconds:.0f} s; {promise} once it does. '
            'If it stays so, check the disk, its cable and its mount'
        )


class NoFlightError(FlightError):
    """There is no flight at a path, or it has none of the requested messages."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        super().__init__(f'{path}: {what}')


# --- the writer ------------------------------------------------------------------------------


class WriterStateError(FdrError):
    """A call does not fit the state of the writer."""


class WriterAlreadyStartedError(WriterStateError):
    """`start` was called while the writer runs."""

    def __init__(self) -> None:
        super().__init__('recording is already started; stop it first')


class WriterNotStartedError(WriterStateError):
    """`open_flight` was called before `start`."""

    def __init__(self) -> None:
        super().__init__('the recorder has stopped its writer; activate it again to start one')


class WriterFailedError(WriterStateError):
    """The writer thread has failed; the error that ended it is chained."""

    alert_code = 'writer_failed'

    def __init__(self, cause: BaseException | None = None) -> None:
        why = f' ({cause!r})' if cause is not None else ''
        super().__init__(
            f'recording has failed{why}; what was written stays readable. Deactivate, and '
            'activate again for a new flight'
        )


class ClientError(FdrError):
    """A client was registered twice, or retired without having been registered."""


# --- records and files -----------------------------------------------------------------------


class RecordError(FdrError):
    """A record, or the definition of its type, cannot be encoded or decoded."""


class SegmentError(FdrError):
    """
    The bytes of a segment do not follow the format.

    Attributes:
        path: The file.
        offset: The place, in bytes from the start of the file.

    """

    def __init__(self, path: Path, offset: int, what: str) -> None:
        self.path = path
        self.offset = offset
        super().__init__(f'{path}: at byte {offset}: {what}')


# --- after the flight ------------------------------------------------------------------------


class RecoveryStoppedError(FdrError):
    """`should_stop` ended a recovery. Nothing is lost: the next recovery continues it."""


class ExportError(FdrError):
    """Messages or a report cannot be written to a path."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        super().__init__(f'{path} {what}')


class ExtraMissingError(FdrError):
    """A library is needed that only an extra of this package installs."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            f"this needs {library}, which is not installed: pip install 'fdr_recorder[{extra}]', "
            f"in a checkout pip install '.[{extra}]'"
        )


class SealError(FdrError):
    """A key, a signature or a seal is not as it should be, or cannot be made."""


# --- the node and the command line -----------------------------------------------------------


class ConditionError(FdrError):
    """A condition on a topic cannot be read, or its messages cannot be compared so."""

    alert_code = 'condition_unusable'

    def __init__(self, condition: str, what: str) -> None:
        super().__init__(f'{condition!r}: {what}')


class HeldWhileArmedError(FdrError):
    """The recording would be ended while the vehicle is armed, and `hold_while_armed` is on."""

    alert_code = 'held_while_armed'

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f'{name} refused: {why}; disarm first, or set hold_while_armed to false'
        )


class ServiceRefusedError(FdrError):
    """A service of the recorder cannot do what is asked for; the answer says why."""


class TypeUnknownError(FdrError):
    """The message type of a topic is not installed on this machine."""

    alert_code = 'type_unknown'

    def __init__(self, topic: str, type_name: str, reason: RecordError) -> None:
        super().__init__(f'{topic} cannot be recorded: its type {type_name} is unknown: {reason}')


class SourceTypeMissingError(FdrError):
    """The message type of the armed source of `flight_trigger` is not installed."""

    def __init__(self, source: str, type_name: str) -> None:
        package = type_name.partition('/')[0]
        super().__init__(
            f'source {source} needs {type_name}, which is not installed here: install {package} '
            f'(apt install ros-$ROS_DISTRO-{package.replace("_", "-")}, or build it from source) '
            'and source its workspace, or choose another source'
        )


class UsageError(FdrError):
    """Arguments of a command contradict each other."""
