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
Completes flights that were not closed: after a crash, a power cut or a full disk.

A flight that was not closed has no footer, or a segment without its summary, or a `metadata.yaml`
that does not name all segments. Recovery cuts each torn segment after its last whole record, keeps
what it cuts in a file beside the segment, appends the missing records, ends the flight with a
footer that says `clean_shutdown: false`, and renews `metadata.yaml`. Gaps stay where they are and
become a record that readers skip. In a sealed flight no byte up to a segment's last seal changes,
and the footer goes into a segment of its own, which whoever recovers can seal. Every step can be
interrupted: the next recovery continues. A closed flight is not touched, and none that somebody
writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
import errno
import logging
from pathlib import Path
import time
from typing import Any

from fdr_recorder.errors import FlightInUseError, RecoveryStoppedError, SealError
from fdr_recorder.flights.directory import flight_directories, segment_files
from fdr_recorder.flights.in_use import held_alone
from fdr_recorder.flights.metadata_reader import read_metadata
from fdr_recorder.flights.recovery.added_segment import Identify, identity_of, nobody
from fdr_recorder.flights.recovery.last_segment import (
    are_all_ended,
    are_left_sealed,
    read_last_segment,
)
from fdr_recorder.flights.recovery.lost_pins import restore_pins
from fdr_recorder.flights.recovery.work import Work
from fdr_recorder.record.kinds import FlightFooter
from fdr_recorder.storage.flight_root import FlightRoot

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecoveredFlight:
    """
    The result of a recovery.

    Attributes:
        path: Its directory.
        footer: Its footer.
        torn: Names of the segments that were torn.
        cut_bytes: Bytes that were cut from their ends.
        set_aside: Names of files that were no segments; `.damaged` follows their names now.
        seconds: How long it took.
        unreadable_bytes: Bytes in gaps; they stay in the segments.
        kept: Names of the files that have what was cut off the ends of segments.
        left: Names of torn segments of a sealed flight that are left as they are: sealed bytes in
            them cannot be read, and none of those is ever changed.
        added: Name of the segment with the footer, of a sealed flight; empty if there is none.
        signed_by: Fingerprint of the key that signed what was added; empty if nobody did.

    """

    path: Path
    footer: FlightFooter
    torn: tuple[str, ...]
    cut_bytes: int
    set_aside: tuple[str, ...]
    seconds: float
    unreadable_bytes: int = 0
    kept: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    added: str = ''
    signed_by: str = ''

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        values = asdict(self)
        return {**values, 'completed': values.pop('torn'), 'path': str(self.path)}


def needs_recovery(flight: Path) -> bool:
    """
    Tell whether a flight needs to be recovered; reads little of it.

    False for a directory without a segment, which is no flight.
    """
    segments = segment_files(flight)
    if not segments:
        return False
    try:
        metadata = read_metadata(flight)
        are_ended = are_all_ended(segments, metadata)
        if not are_ended and not metadata.says_recovered:
            return True
        last = read_last_segment(segments[-1])
    except OSError:
        return True
    if last is None or not last.ends(metadata):
        return True
    return not are_ended and not are_left_sealed(segments, metadata, last)


Failure = OSError | FlightInUseError | SealError


def _log_failure(flight: Path, error: Failure) -> None:
    logger.error('%s: not recovered: %s', flight, error)


def recover_root(
    root: FlightRoot,
    *,
    flights: Iterable[Path] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_failure: Callable[[Path, Failure], None] = _log_failure,
    identify: Identify = nobody,
) -> Iterator[RecoveredFlight]:
    """
    Recover the flights of a root that were not closed, one after the other.

    A flight that cannot be recovered is skipped.

    Args:
        root: The owned root: no other writer is at work below it.
        flights: Which flights to look at; all that are there, if not given.
        should_stop: Asked between segments; True ends the recovery where it is.
        on_failure: Told which flight cannot be recovered, and why; logs it, if not given.
        identify: Loads the key of whoever recovers, for flights that are sealed.

    """
    for flight in flight_directories(root.path) if flights is None else flights:
        try:
            recovered = recover_flight(
                flight, should_stop=should_stop, root=root, identify=identify
            )
        except RecoveryStoppedError:
            return
        except (OSError, FlightInUseError, SealError) as error:
            on_failure(flight, error)
            continue
        if recovered is not None:
            yield recovered


def recover(
    path: Path | str, *, key_file: Path | str = '', passphrase_file: Path | str = ''
) -> list[RecoveredFlight]:
    """
    Recover a flight, or every flight of a flight root that was not closed; own the root meanwhile.

    Args:
        path: A flight's directory or a flight root.
        key_file: Key of whoever recovers, as `seal.key_file`; it signs what is added to flights
            that are sealed. Without one nothing is signed.
        passphrase_file: Its passphrase, as `seal.passphrase_file`.

    Raises:
        SealError: The key cannot be used; nothing is recovered.
        ExtraMissingError: A library that the key needs is not installed.
        FlightRootError: The root is missing, read-only, or in use by a writer.
        FlightInUseError: A flight, or one of its segments, is being written; it is left alone. All
            other flights have been recovered.
        OSError: A file cannot be read or written. All other flights have been recovered.

    """
    identify = identity_of(key_file, passphrase_file)
    path = Path(path).expanduser().resolve()  # the root in which it really is
    is_flight = bool(path.is_dir() and segment_files(path))
    failures: dict[Path, Failure] = {}
    with FlightRoot.acquire(path.parent if is_flight else path, owner='fdr recover') as root:
        flights = [path] if is_flight else None
        recovered = list(
            recover_root(
                root, flights=flights, on_failure=failures.__setitem__, identify=identify
            )
        )
    if failures:
        raise next(iter(failures.values()))
    return recovered


def recover_flight(
    flight: Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    root: FlightRoot | None = None,
    identify: Identify = nobody,
) -> RecoveredFlight | None:
    """
    Recover one flight, whose root must be owned by the caller; hold it alone meanwhile.

    On a full disk it gives up the reserve that a former recorder has left in `root`, if that is
    given; not that of a flight which is being recorded.

    Args:
        flight: Its directory.
        should_stop: Asked between segments; True ends the recovery where it is.
        root: Its root.
        identify: Loads the key of whoever recovers, if the flight is sealed.

    Returns:
        The result; None if the flight is closed, or nothing in it can be read as a segment.

    Raises:
        FlightInUseError: The flight, or one of its segments, is being written; it is left alone.
        OSError: A file cannot be read or written, or the file system has no locks.
        RecoveryStoppedError: `should_stop` said so.
        SealError: The key cannot be used.

    """
    try:
        return _recover_flight(flight, should_stop, identify)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if not is_full or root is None or root.has_reserve or not root.give_up_reserve():
            raise
    return _recover_flight(flight, should_stop, identify)


def _recover_flight(
    flight: Path, should_stop: Callable[[], bool], identify: Identify
) -> RecoveredFlight | None:
    if should_stop():
        raise RecoveryStoppedError
    if not needs_recovery(flight):
        return None
    with held_alone(flight):
        return _change_flight(flight, should_stop, identify)


def _change_flight(
    flight: Path, should_stop: Callable[[], bool], identify: Identify
) -> RecoveredFlight | None:
    if not needs_recovery(flight):  # closed or recovered before it could be held
        return None
    started_at = time.monotonic()
    work = Work(flight, read_metadata(flight), identify)
    for segment in segment_files(flight):
        if should_stop():
            raise RecoveryStoppedError
        work.take(segment)
    if not work.segments:
        return None
    restore_pins(flight, work.segments)
    return RecoveredFlight(
        flight,
        work.finish(),
        tuple(work.torn),
        work.cut_bytes,
        tuple(work.set_aside),
        time.monotonic() - started_at,
        work.unreadable_bytes,
        tuple(work.kept),
        tuple(work.left),
        work.added,
        work.signed_by,
    )
