# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Checks one flight that a drone has brought into the store; makes its receipt."""

from __future__ import annotations

from dataclasses import dataclass, replace
import errno
from pathlib import Path
import time
from typing import Any, Final

from fdr_recorder.errors import ExtraMissingError, NoFlightError, SealError
from fdr_recorder.fleet.catalogue.rows import BAD_UPLOAD, rows_of, rows_of_bad_upload
from fdr_recorder.fleet.errors import (
    ManifestError,
    NotAsSaidError,
    NotStoredError,
    TookTooLongError,
)
from fdr_recorder.fleet.jobs.fetching import fetch
from fdr_recorder.fleet.jobs.task import Outcome, State, Work
from fdr_recorder.fleet.jobs.work import without
from fdr_recorder.fleet.manifest import Manifest, manifest_hash
from fdr_recorder.fleet.receipt import Link, Receipt
from fdr_recorder.fleet.receiving.time_limit import processor_time
from fdr_recorder.fleet.stored_manifests import read_manifest
from fdr_recorder.flights.listing import list_flight
from fdr_recorder.flights.status import Authenticity, Verdict
from fdr_recorder.flights.verify import Verification, verify
from fdr_recorder.units import format_duration, short

RECEIPT: Final = 'receipt'
"""Where the receipt is in what the job has found, as it is written."""
NOT_CHECKED: Final = 'not_checked'
"""The verdict of a flight that has arrived, and that nobody could check."""

_LEAST_S: Final = 600.0
_SLOWEST_BYTES_PER_S: Final = 100_000
"""A flight may take this much processor time; usual ones take a hundredth of it."""
_MOST_TOLD: Final = 200
_LONGEST: Final = 2000
_MOST_SEALS: Final = 512
_SEAL_DIGITS: Final = 24
"""Of a seal's hash: what also the ground station is told."""
_NAMED_WRONGLY: Final = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EEXIST)
_PROVED: Final = (Authenticity.AUTHENTIC, Authenticity.AUTHENTIC_UP_TO)


@dataclass(frozen=True)
class ReceiveJob:
    """
    Checks a flight, and makes its receipt.

    Attributes:
        stored_ns: When its manifest was written, by the store's clock.
        etag: What the store knew that by.
        keys: A file of allowed signers: whose seals count; empty for none.

    """

    stored_ns: int
    etag: str
    keys: str = ''

    @property
    def name(self) -> str:
        """Return what it is called."""
        return 'receive'

    def do(self, work: Work) -> Outcome:
        """
        Check the flight; `found` has its receipt.

        Raises:
            StoreError: The store does not give it now.
            OSError: It does not fit onto the disk.

        """
        key = work.task.key
        data = read_manifest(work.store, key)
        begun = Receipt(
            key, manifest_hash(data), self.stored_ns, self.etag, time.time_ns(), arrived=False
        )
        manifest = None
        try:
            manifest = Manifest.parse(data, key)
            flight = _fetched(work, manifest)
        except ManifestError as error:
            receipt = bad_upload(begun, manifest, f'the manifest: {error}')
        except (NotAsSaidError, UnicodeError) as error:
            receipt = bad_upload(begun, manifest, str(error))
        else:
            receipt = self._checked(replace(begun, arrived=True), manifest, flight)
            receipt = _without(work.scratch(), receipt)
        return Outcome(key, State.MADE, {RECEIPT: receipt.to_bytes()})

    def _checked(self, begun: Receipt, manifest: Manifest, flight: Path) -> Receipt:
        most_s = _LEAST_S + manifest.size / _SLOWEST_BYTES_PER_S
        try:
            with processor_time(most_s):
                return self._looked_into(begun, manifest, flight)
        except TookTooLongError:
            why = f'it takes more than {format_duration(most_s)} of a processor'
            return not_checked(begun, manifest, why)

    def _looked_into(self, begun: Receipt, manifest: Manifest, flight: Path) -> Receipt:
        try:
            result = verify(flight, keys=self.keys or None)
            faults = _doubts(manifest, flight)
            try:
                rows = rows_of(flight, result, manifest)
            except NoFlightError:
                rows = rows_of_bad_upload(manifest, '')
                rows['flights']['verdict'] = [result.verdict.name.lower()]
            rows['flights']['upload'] = ['; '.join(faults)]
        except (OSError, MemoryError, SealError, ExtraMissingError):  # of this machine
            raise
        except Exception as error:  # whatever a flight of a stolen drone may cause
            return not_checked(begun, manifest, f'{type(error).__name__}: {error}')
        return replace(
            begun,
            faults=faults,
            verdict=result.verdict.name.lower(),
            verification=_in_short(result),
            link=_link(result, manifest),
            rows=rows,
        )


def _fetched(work: Work, manifest: Manifest) -> Path:
    key = manifest.key
    try:
        return fetch(work.store, key, manifest.files, work.scratch())
    except NotStoredError as error:
        raise NotAsSaidError(f'a file is not in the store: {error}') from None
    except OSError as error:
        if error.errno in _NAMED_WRONGLY:
            raise NotAsSaidError(f'a file has an impossible name: {error.strerror}') from None
        raise


def bad_upload(begun: Receipt, manifest: Manifest | None, why: str) -> Receipt:
    """Return the receipt of a flight that is not in the store as its manifest says."""
    return replace(
        begun,
        arrived=False,
        faults=(short(why, _LONGEST),),
        verdict=BAD_UPLOAD,
        rows=rows_of_bad_upload(manifest, why),
    )


def not_checked(begun: Receipt, manifest: Manifest | None, why: str) -> Receipt:
    """Return the receipt of a flight whose check fails."""
    why = f'it could not be checked: {why}'
    rows = rows_of_bad_upload(manifest, why)
    rows['flights']['verdict'] = [NOT_CHECKED]
    return replace(begun, faults=(short(why, _LONGEST),), verdict=NOT_CHECKED, rows=rows)


def _doubts(manifest: Manifest, flight: Path) -> tuple[str, ...]:
    """Return how the flight is another one than the store says."""
    said = []
    try:
        listed = list_flight(flight)
    except NoFlightError:
        return ()
    if listed.vehicle_id and listed.vehicle_id != manifest.key.vehicle:
        said.append(f'its header says it is of vehicle {listed.vehicle_id!r}')
    if manifest.flight_id and listed.flight_id != manifest.flight_id:
        said.append(f'its header says it is flight {listed.flight_id!r}')
    return tuple(short(text, _LONGEST) for text in said)


def _link(result: Verification, manifest: Manifest) -> Link:
    seals = result.authentication
    is_proved = seals.state in _PROVED
    return Link(
        flight_id=result.flight_id,
        flight_number=manifest.flight_number,
        previous_flight=seals.previous_flight if is_proved else '',
        previous_seal=seals.previous_seal[:_SEAL_DIGITS] if is_proved else '',
        seals=tuple(text[:_SEAL_DIGITS] for text in seals.hashes[-_MOST_SEALS:]),
    )


def _in_short(result: Verification) -> dict[str, Any]:
    """Return what is found, bounded: a hostile flight has millions of faults."""
    said = result.to_dict()
    del said['path'], said['losses']  # these are among the rows
    return {name: _bounded(value) for name, value in said.items()}


def _bounded(value: Any) -> Any:  # noqa: ANN401 - what JSON holds
    if isinstance(value, str):
        return short(value, _LONGEST)
    if isinstance(value, dict):
        return {short(key): _bounded(item) for key, item in list(value.items())[:_MOST_TOLD]}
    if isinstance(value, (list, tuple)):
        return [_bounded(item) for item in value[:_MOST_TOLD]]
    return value


def _without(directory: Path, receipt: Receipt) -> Receipt:
    """Return a receipt without the name of the directory in which the flight was checked."""
    return replace(
        receipt,
        faults=without(directory, receipt.faults),
        verification=without(directory, receipt.verification),
        rows=without(directory, receipt.rows),
    )


WORST: Final = frozenset(
    {
        BAD_UPLOAD,
        NOT_CHECKED,
        *(
            verdict.name.lower()
            for verdict in (Verdict.DAMAGED, Verdict.NOT_AUTHENTIC, Verdict.UNPROVED)
        ),
    }
)
"""Verdicts that somebody must look at."""


def is_alarming(receipt: Receipt) -> bool:
    """Tell whether somebody must look at a flight."""
    return bool(receipt.faults) or not receipt.arrived or receipt.verdict in WORST
