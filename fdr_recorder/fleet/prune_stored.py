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
Removes flights from the drone that are in the store: read back and hashed, or by a signed receipt.

Nothing is believed that was only sent. What differs in the store is sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
import time

from fdr_recorder.errors import FdrError
from fdr_recorder.fleet.errors import (
    FileChangedError,
    ManifestError,
    NotStoredError,
    ReceiptError,
    StaysError,
)
from fdr_recorder.fleet.local_file import FileState, read_content
from fdr_recorder.fleet.local_flight import files_of, is_in_use, left_out_of
from fdr_recorder.fleet.manifest import Manifest, manifest_hash
from fdr_recorder.fleet.offload_flight import Arrival, FlightOffload, Outcome
from fdr_recorder.fleet.receipt import NAMESPACE, Receipt, signer_of, stored_receipt
from fdr_recorder.fleet.stored_manifests import read_manifest
from fdr_recorder.flights.listing import list_flight, ListedFlight
from fdr_recorder.flights.prune import prune, Pruning
from fdr_recorder.flights.status import Ended
from fdr_recorder.seal.allowed_signers import AllowedSigner, trusted_keys
from fdr_recorder.seal.openssh import fingerprint
from fdr_recorder.storage.pins import read_pins


class StoredPruner:
    """
    Removes what has arrived. Used by the thread of the `FlightOffload`.

    With `signers` only a receipt counts that one of them has signed; without, what is in the store
    is read back.
    """

    def __init__(
        self, root: Path, offload: FlightOffload, signers: tuple[AllowedSigner, ...] | None = None
    ) -> None:
        self._root = root
        self._offload = offload
        self._signers = signers

    def prune(self, outcome: Outcome) -> Outcome:
        """
        Remove a flight that has arrived, if it is certain that it has.

        Raises:
            StoreError: The store refuses, or does not answer.
            StoppedError: The work was told to end.

        """
        try:
            self._prune(outcome)
        except (StaysError, FileChangedError) as error:
            arrival = outcome.arrival
            if not self._offload.journal.of(outcome.path.name).manifest:
                arrival = Arrival.PENDING
            return replace(outcome, stays=str(error), arrival=arrival)
        except OSError as error:
            return replace(outcome, stays=f'it cannot be removed: {error.strerror or error}')
        return replace(outcome, is_pruned=True)

    def _prune(self, outcome: Outcome) -> None:
        flight = outcome.path
        if is_in_use(flight):
            raise StaysError('it is being recorded or changed')
        listed = list_flight(flight, None)
        if listed.status.ended not in (Ended.CLOSED, Ended.RECOVERED):
            raise StaysError('it was never closed; `fdr recover` makes it whole')
        if read_pins(flight):
            raise StaysError('it has pins')
        if outcome.left_out:
            raise StaysError('it has what is not in the store; remove that, or put it elsewhere')
        manifest, digest = self._manifest(outcome)
        how = 'read back'
        if self._signers is not None:
            how = f'receipt signed by {self._check_receipt(outcome, digest, self._signers)}'
        states = self._check_local(flight, manifest)
        self._check_objects(outcome, manifest)
        cause = f'in the store {self._offload.store.url}, {how}; manifest {digest}'
        pruning = Pruning((listed,), (), 0, is_enough=True, causes=(cause,))

        def may_go(item: ListedFlight) -> bool:
            is_same = files_of(item.path) == states and not left_out_of(item.path)
            return is_same and not read_pins(item.path)

        try:
            gone = list(prune(self._root, pruning, may_go=may_go))
        except OSError:
            raise
        except FdrError as error:
            raise StaysError(str(error)) from None
        if not gone:
            raise StaysError('it was changed or pinned at this moment')
        self._offload.journal.remove(flight.name)

    def _manifest(self, outcome: Outcome) -> tuple[Manifest, str]:
        """Return the manifest that is in the store, if it is the one that was written."""
        key = outcome.key
        try:
            data = read_manifest(self._offload.store, key)
            digest = manifest_hash(data)
            if digest != outcome.manifest:
                raise ManifestError('it is another one')
            return Manifest.parse(data, key), digest
        except (NotStoredError, ManifestError):
            self._offload.journal.unfinish(outcome.path.name)
            text = 'its manifest is not in the store as it was written; it is written again'
            raise StaysError(text) from None

    def _check_local(self, flight: Path, manifest: Manifest) -> dict[str, FileState]:
        """Return the states of the files, if these are what the manifest says."""
        named = {file.name: file for file in manifest.files}
        states = files_of(flight)
        for name in states:
            state, content = read_content(flight / name, self._offload.pace)
            file = named.get(name)
            if file is None or (file.size, file.sha256) != (content.size, content.sha256):
                self._offload.journal.drop(flight.name, name)
                raise StaysError(f'{name} is not what the manifest says; it is sent again')
            states[name] = state
        return states

    def _check_objects(self, outcome: Outcome, manifest: Manifest) -> None:
        """Check every object, and read it back without a receipt; those that differ go again."""
        links, wrong = [], []
        for file in manifest.files:
            key = outcome.key.file(file.name)
            if self._offload.store.is_link(key, outcome.path / file.name):
                links.append(file.name)
            elif self._signers is None and self._offload.hash_of_object(key) != file.sha256:
                wrong.append(file.name)
        for name in (*links, *wrong):
            self._offload.journal.drop(outcome.path.name, name)
        if links:
            what = f'{_some(links)} in the store is a link and no copy'
            raise StaysError(f'{what}; it is sent again')
        if wrong:
            raise StaysError(f'{_some(wrong)} in the store is not what was sent; it is sent again')

    def _check_receipt(
        self, outcome: Outcome, digest: str, signers: tuple[AllowedSigner, ...]
    ) -> str:
        """Return the fingerprint of the key that signed a receipt of this manifest."""
        try:
            data, armored = stored_receipt(self._offload.store, outcome.key)
        except NotStoredError:
            raise StaysError('there is no signed receipt of it yet') from None
        public = signer_of(data, armored)
        if public is None:
            raise StaysError('the signature of its receipt is wrong')
        lines = [line for line in signers if line.key == public]
        trusted = trusted_keys(lines, namespace=NAMESPACE, utc_s=time.time())
        if all(line.is_authority for line in trusted):
            why = 'may not sign receipts now, by its line' if lines else 'is not trusted'
            raise StaysError(f'its receipt is signed by {fingerprint(public)}, which {why}')
        try:
            receipt = Receipt.parse(data, outcome.key)
        except ReceiptError as error:
            raise StaysError(f'its receipt cannot be read: {error}') from None
        if receipt.manifest != digest:
            raise StaysError('its receipt is of another manifest: of what was there before')
        if not receipt.arrived:
            raise StaysError('its receipt says that not all of it has arrived as it was sent')
        return fingerprint(public)


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:3]) + (' ...' if len(names) > 3 else '')
