# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Every error that the fleet raises on purpose; the message says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fdr_recorder.errors import FdrError

if TYPE_CHECKING:
    from pathlib import Path

    from fdr_recorder.fleet.layout import FlightKey


class StoreError(FdrError):
    """A store of objects refuses what is asked for; asking again does not help."""

    def __init__(self, url: str, what: str) -> None:
        self.url = url
        super().__init__(f'{url}: {what}')


class StoreUnreachableError(StoreError):
    """A store of objects does not answer, or not now: asking again later may help."""


class StoreFullError(StoreError):
    """A store of objects has no room, or no more than somebody was given."""


class NotStoredError(StoreError):
    """There is no such object in the store."""


class UnlistableError(StoreError):
    """What is below a prefix cannot be listed, as something there has an impossible name."""


class RowsError(FdrError):
    """Rows are none of the catalogue; the text says why."""


class BatchError(FdrError):
    """A file in the store is none of a catalogue; the text says why."""


class QueryError(FdrError):
    """A question cannot be answered; the text says why."""


class NoCatalogueError(FdrError):
    """The store has no catalogue."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f'{url} has no catalogue yet; `fdr fleet receive {url}` checks the flights that are '
            'there, and makes it'
        )


class CacheError(FdrError):
    """The catalogue cannot be fetched, as there is no place for it on this machine."""

    def __init__(self, cache: str, temporary: str) -> None:
        tried = f'{cache}; {temporary}' if cache else temporary
        super().__init__(
            f'the catalogue cannot be kept on this machine: {tried}. Set XDG_CACHE_HOME or TMPDIR '
            'to a directory that can be written and has room'
        )


class JobError(FdrError):
    """A job cannot be done: with this flight, by this worker, or at all."""


class OffloadRunsError(FdrError):
    """Another process offloads the same root to the same store."""

    def __init__(self, root: Path, url: str) -> None:
        super().__init__(
            f'{root} is being offloaded to {url} by another process; let it, or stop it first'
        )


class FileChangedError(FdrError):
    """A file has changed while it was read, or is gone."""

    def __init__(self, path: Path) -> None:
        super().__init__(f'{path} has changed while it was read')


class FileUnreadableError(FdrError):
    """A file of a flight cannot be read."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f'{path} cannot be read: {error.strerror or error}')


class ManifestError(FdrError):
    """A manifest is not one; the text says what is wrong with it."""


class OtherFlightError(FdrError):
    """Another flight of that name is in the store."""

    def __init__(self, flight: Path, key: FlightKey) -> None:
        super().__init__(
            f'{flight}: the store has another flight {key}; it is left there, and this one here. '
            'Rename this directory, or give the vehicle a name of its own (--vehicle)'
        )


class NoVehicleError(FdrError):
    """Nobody knows whose flight it is."""

    def __init__(self, flight: Path) -> None:
        super().__init__(
            f'{flight}: its header cannot be read, so nobody knows whose flight it is: say '
            '--vehicle NAME, or make it whole with `fdr recover`'
        )


class StrangeManifestError(FdrError):
    """Where the manifest of a flight belongs is something that cannot be read."""

    def __init__(self, flight: Path, key: FlightKey, error: ManifestError) -> None:
        super().__init__(
            f'{flight}: the store has a manifest of {key} that cannot be read: {error}. '
            f'Remove {key.manifest} there if it is worth nothing'
        )


class NotCompleteError(FdrError):
    """The store did not answer for so long that it is given up; what has arrived stays."""


class StoppedError(BaseException):
    """
    The work was told to end. Nothing is lost: it goes on where it was the next time.

    No `Exception`: libraries turn those into errors of the network.
    """


class TookTooLongError(BaseException):
    """
    The check of a flight takes more processor time than it may.

    No `Exception`: what reads flights would take that for damage.
    """


class StaysError(FdrError):
    """A flight must not be removed from the drone; the text says why."""


class ReceiptError(FdrError):
    """A receipt is not one; the text says what is wrong with it."""


class NotAsSaidError(JobError):
    """A file in the store is not what the manifest says."""
