# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Finds which flights of a store have no receipt of exactly the manifest that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, NamedTuple

from fdr_recorder.fleet.catalogue.query import Catalogue
from fdr_recorder.fleet.catalogue.rows import microseconds
from fdr_recorder.fleet.errors import NoCatalogueError, NotStoredError, UnlistableError
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.manifest import manifest_hash
from fdr_recorder.fleet.receipt import is_signed, read_receipt, Receipt
from fdr_recorder.fleet.store import Store, StoredObject
from fdr_recorder.fleet.stored_manifests import read_manifest, stored_manifests
from fdr_recorder.units import encodable

_READERS: Final = 16
_AT_ONCE: Final = 256


class Known(NamedTuple):
    """What the catalogue has of a flight: of which manifest, and whether its receipt is signed."""

    stored_us: int | None
    etag: str
    signed: bool


@dataclass(frozen=True)
class Waiting:
    """
    A flight whose manifest the catalogue does not know.

    Attributes:
        key: The flight.
        manifest: Its manifest, as the store lists it.
        receipt: A receipt of this manifest, which is only not in the catalogue; else None.
        is_signed: Whether that is signed.

    """

    key: FlightKey
    manifest: StoredObject
    receipt: Receipt | None = None
    is_signed: bool = False


@dataclass(frozen=True)
class Wish:
    """
    Which flights are to be received.

    Attributes:
        vehicle: A pattern of vehicles, `*` and `?`; empty for all.
        signed: Whether a receipt counts only if it is signed.
        again: Whether flights that have a receipt are checked again.

    """

    vehicle: str = ''
    signed: bool = False
    again: bool = False


def known_flights(store: Store) -> dict[FlightKey, Known]:
    """
    Return what the catalogue knows.

    Raises:
        StoreError: The store refuses, or does not answer.
        CacheError: It cannot be kept on this machine.

    """
    try:
        with Catalogue.of(store) as catalogue:
            table = catalogue.every('flights')
    except NoCatalogueError:
        return {}
    columns = [
        table.column(name).cast('int64' if name == 'stored_at' else table.schema.field(name).type)
        for name in ('vehicle', 'flight', 'stored_at', 'etag', 'signed')
    ]
    return {
        FlightKey(vehicle, flight): Known(stored_us, etag or '', bool(signed))
        for vehicle, flight, stored_us, etag, signed in zip(
            *(column.to_pylist() for column in columns), strict=True
        )
    }


def plan(
    store: Store,
    known: Mapping[FlightKey, Known],
    wish: Wish,
    unlisted: Callable[[str, UnlistableError], None],
) -> Iterator[Waiting]:
    """
    Yield the flights whose manifest is not known, in the order of their vehicles' names.

    Args:
        store: The store.
        known: What the catalogue has.
        wish: Which flights.
        unlisted: Told the vehicles whose manifests cannot be listed, and why; others go on.

    Raises:
        StoreError: The store refuses, or does not answer.

    """
    candidates = (
        (key, item)
        for key, item in stored_manifests(store, wish.vehicle, unlisted)
        if wish.again or not _is_done(known.get(FlightKey(*map(encodable, key))), item, wish)
    )

    def look(pair: tuple[FlightKey, StoredObject]) -> Waiting | None:
        return _looked_at(store, *pair, wish)

    with ThreadPoolExecutor(_READERS) as pool:
        while some := list(islice(candidates, _AT_ONCE)):
            yield from filter(None, pool.map(look, some))


def _is_done(known: Known | None, item: StoredObject, wish: Wish) -> bool:
    if known is None or (wish.signed and not known.signed):
        return False
    return known[:2] == (microseconds(item.modified_ns), item.etag)


def _looked_at(store: Store, key: FlightKey, item: StoredObject, wish: Wish) -> Waiting | None:
    """Return a flight with the receipt that is there, if it is of this manifest; None if gone."""
    found = Waiting(key, item)
    if wish.again:
        return found
    receipt = read_receipt(store, key)
    if receipt is None:
        return found
    try:
        digest = manifest_hash(read_manifest(store, key))
    except NotStoredError:
        return None
    signed = is_signed(store, key)
    is_of_this = receipt.manifest == digest and (signed or not wish.signed)
    version = receipt.stored_ns // 1000, receipt.etag
    if not receipt.arrived and version != (item.modified_ns // 1000, item.etag):
        is_of_this = False  # the drone may have brought the files again, and so the same manifest
    if not is_of_this:
        return found
    receipt = replace(receipt, stored_ns=item.modified_ns, etag=item.etag)
    return replace(found, receipt=receipt, is_signed=signed)
