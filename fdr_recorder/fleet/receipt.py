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
What the fleet's side found of a flight in the store, of exactly one manifest.

It lies at `receipts/VEHICLE/FLIGHT.json`. With a key of the fleet, `FLIGHT.json.sig` beside it is
its signature, as `ssh-keygen -Y verify -n fdr-receipt` checks it; then the drone may delete what
the receipt says has arrived. Receipts have all that the catalogue needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
import json
import random
import time
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.errors import SealError
from fdr_recorder.fleet.errors import NotStoredError, ReceiptError, StoreError
from fdr_recorder.fleet.json_values import count, text
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.store import Store
from fdr_recorder.units import short

if TYPE_CHECKING:
    from fdr_recorder.seal.identity import Identity

RECEIPT_SCHEMA: Final = '1.0'
NAMESPACE: Final = 'fdr-receipt'
"""Of the signatures."""
MOST_RECEIPT_BYTES: Final = 64 << 20
_MOST_SIGNATURE_BYTES: Final = 1 << 16
_TRIES: Final = 8
_MOST_WAIT_S: Final = 0.5


@dataclass(frozen=True)
class Link:
    """
    What a flight says of others, by its seals and its number.

    Attributes:
        flight_id: Its id.
        flight_number: Its number on the drone; 0 if unknown.
        previous_flight: The sealed flight before it, if its seals hold; else empty.
        previous_seal: The newest seal of that flight, as this one names it.
        seals: Its own newest seals, of which the next flight names one; the newest is last.

    """

    flight_id: str = ''
    flight_number: int = 0
    previous_flight: str = ''
    previous_seal: str = ''
    seals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Receipt:
    """
    What was found of a manifest, and the flight that it names.

    Attributes:
        key: The flight.
        manifest: The manifest's SHA-256, hexadecimal.
        stored_ns: When the manifest was written, by the store's clock.
        etag: What the store knew it by.
        received_ns: When the receipt was made.
        arrived: Whether all files are in the store, as the manifest says.
        faults: What is wrong, in words: of the upload, and between flights.
        verdict: The worst that is to be said of the flight, as `fdr verify` says it; `bad_upload`
            if it has not arrived.
        verification: What `fdr verify --json` says, without where it was checked.
        link: How it is chained to other flights.
        rows: What the catalogue has of it: see `catalogue/columns.py`.

    """

    key: FlightKey
    manifest: str
    stored_ns: int
    etag: str
    received_ns: int
    arrived: bool
    faults: tuple[str, ...] = ()
    verdict: str = ''
    verification: Mapping[str, Any] = field(default_factory=dict)
    link: Link = field(default_factory=Link)
    rows: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return it as it is written; the same receipt gives the same bytes."""
        said = {
            'schema': {'name': 'fdr_recorder/receipt', 'version': RECEIPT_SCHEMA},
            'vehicle': self.key.vehicle,
            'flight': self.key.flight,
            'manifest_sha256': self.manifest,
            'manifest_stored_ns': self.stored_ns,
            'manifest_etag': self.etag,
            'received_ns': self.received_ns,
            'arrived': self.arrived,
            'faults': self.faults,
            'verdict': self.verdict,
            'verification': self.verification,
            'link': asdict(self.link),
            'rows': self.rows,
        }
        return f'{json.dumps(said, separators=(",", ":"))}\n'.encode('ascii')

    @classmethod
    def parse(cls, data: bytes, key: FlightKey) -> Receipt:
        """
        Read one that lies at the key of a flight; `rows` are as they stand there, whatever it is.

        Raises:
            ReceiptError: It is none, or that of another flight.

        """
        try:
            said = json.loads(data)
            if said['schema']['name'] != 'fdr_recorder/receipt':
                raise ValueError('it has another schema')
            version = str(said['schema']['version'])
            if version.partition('.')[0] != RECEIPT_SCHEMA.partition('.')[0]:
                raise ValueError(f'version {short(version)}: a newer fdr is needed')
            link = dict(said['link'])
            found = cls(
                key=FlightKey(text(said['vehicle']), text(said['flight'])),
                manifest=text(said['manifest_sha256']),
                stored_ns=count(said['manifest_stored_ns']),
                etag=text(said['manifest_etag']),
                received_ns=count(said['received_ns']),
                arrived=said['arrived'] is True,
                faults=tuple(map(text, said['faults'])),
                verdict=text(said['verdict']),
                verification=dict(said['verification']),
                link=Link(
                    flight_id=text(link['flight_id']),
                    flight_number=count(link['flight_number']),
                    previous_flight=text(link['previous_flight']),
                    previous_seal=text(link['previous_seal']),
                    seals=tuple(map(text, link['seals'])),
                ),
                rows=dict(said['rows']),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ReceiptError(f'it is no receipt: {short(str(error))}') from None
        if found.key != key:
            raise ReceiptError(f'it is that of {short(str(found.key))}')
        return found


def read_receipt(store: Store, key: FlightKey) -> Receipt | None:
    """
    Return the receipt of a flight; None if there is none that can be read.

    Raises:
        StoreError: The store refuses, or does not answer.

    """
    try:
        return Receipt.parse(store.get(key.receipt, MOST_RECEIPT_BYTES), key)
    except (NotStoredError, ReceiptError):
        return None


def is_signed(store: Store, key: FlightKey) -> bool:
    """Tell whether the receipt of a flight has a valid signature, by whatever key."""
    try:
        return signer_of(*stored_receipt(store, key)) is not None
    except NotStoredError:
        return False


def write_receipt(store: Store, receipt: Receipt, identity: Identity | None) -> Receipt:
    """
    Write a receipt, and its signature; return the one that is there then.

    Two that write at once end with one of both, and the signature that belongs to it.

    Raises:
        StoreError: The store refuses, or does not answer.
        SealError: The key cannot sign.

    """
    data, key = receipt.to_bytes(), receipt.key
    if identity is None:
        store.put(key.receipt, data)
        store.delete([f'{key.receipt}.sig'])
        return receipt
    from fdr_recorder.seal import sshsig  # noqa: PLC0415 - needs an extra

    armored = sshsig.sign(identity, NAMESPACE, data).encode('ascii')
    for _ in range(_TRIES):
        store.put(f'{key.receipt}.sig', armored)
        store.put(key.receipt, data)
        found, signature = stored_receipt(store, key)
        if (found, signature) == (data, armored):
            return receipt
        if signer_of(found, signature) is not None:
            return Receipt.parse(found, key)
        time.sleep(random.uniform(0, _MOST_WAIT_S))
    raise StoreError(store.url, f'{key.receipt} is written by others all the time; try again')


def stored_receipt(store: Store, key: FlightKey) -> tuple[bytes, bytes]:
    """
    Return the receipt of a flight and its signature, as they are in the store.

    Raises:
        NotStoredError: One of both is not there.
        StoreError: The store refuses, or does not answer.

    """
    data = store.get(key.receipt, MOST_RECEIPT_BYTES)
    return data, store.get(f'{key.receipt}.sig', _MOST_SIGNATURE_BYTES)


def signer_of(data: bytes, armored: bytes) -> bytes | None:
    """Return the public key that has signed a receipt; None if the signature is wrong."""
    from fdr_recorder.seal import sshsig  # noqa: PLC0415 - needs an extra

    try:
        return sshsig.verify(armored.decode('ascii'), NAMESPACE, data)
    except (SealError, UnicodeDecodeError):
        return None
