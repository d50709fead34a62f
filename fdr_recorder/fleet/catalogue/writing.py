# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Writes receipts into the catalogue, those that have just come or all that there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from fdr_recorder.errors import ExtraMissingError
from fdr_recorder.fleet.catalogue.arrow_rows import checked_rows, TableBuilder
from fdr_recorder.fleet.catalogue.batches import list_batches, write_batch
from fdr_recorder.fleet.catalogue.columns import ETAG, TABLES
from fdr_recorder.fleet.catalogue.rows import microseconds
from fdr_recorder.fleet.errors import NotStoredError, ReceiptError, RowsError
from fdr_recorder.fleet.layout import flight_of_receipt, FlightKey, RECEIPTS
from fdr_recorder.fleet.receipt import MOST_RECEIPT_BYTES, Receipt
from fdr_recorder.fleet.store import Store

try:
    import pyarrow as pa
except ImportError as error:
    raise ExtraMissingError(error.name or 'pyarrow', 'fleet') from None

MOST_FLIGHTS: Final = 50_000
"""In one batch."""
_PER_CHUNK: Final = 256
"""Flights whose rows are objects of Python at a time; as tables they are much smaller."""
_READERS: Final = 32
_READ_AHEAD: Final = 512
SIGNATURE_SUFFIX: Final = '.sig'


class BatchWriter:
    """Collects receipts, and writes them into the store as batches. One thread uses it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._begin()

    def _begin(self) -> None:
        self._flights = 0
        self._chunks: dict[str, list[pa.Table]] = {name: [] for name in TABLES}
        self._builders = self._new_builders()

    def _new_builders(self) -> dict[str, TableBuilder]:
        return {name: TableBuilder(table) for name, table in TABLES.items()}

    def __len__(self) -> int:
        """Return how many flights wait."""
        return self._flights

    def add(self, receipt: Receipt, *, is_signed: bool) -> None:
        """
        Take in a receipt.

        Raises:
            RowsError: Its rows are none of the catalogue; nothing was taken in.

        """
        rows = checked_rows(receipt.rows)
        rows['flights'].update(
            manifest=[receipt.manifest],
            stored_at=[microseconds(receipt.stored_ns)],
            received_at=[microseconds(receipt.received_ns)],
            signed=[is_signed],
        )
        for builder in self._builders.values():
            builder.add(*receipt.key, rows, **{ETAG: receipt.etag})
        self._flights += 1
        if self._flights % _PER_CHUNK == 0:
            self._pack()

    def _pack(self) -> None:
        for name, builder in self._builders.items():
            self._chunks[name].append(builder.table())
        self._builders = self._new_builders()

    def write(self, replaces: Sequence[str] = ()) -> str:
        """
        Write what waits as a batch, if there is anything; return its name, or nothing.

        Raises:
            StoreError: The store refuses, or does not answer; then everything still waits.

        """
        if not self._flights and not replaces:
            return ''
        self._pack()
        tables = {name: pa.concat_tables(chunks) for name, chunks in self._chunks.items()}
        batch = write_batch(self._store, tables, replaces)
        self._begin()
        return batch


@dataclass
class Rebuilt:
    """
    What came of building the catalogue again.

    Attributes:
        flights: How many are in it.
        batches: How many batches it has.
        faults: Receipts that are none, in words, by key.

    """

    flights: int = 0
    batches: int = 0
    faults: dict[str, str] = field(default_factory=dict)


def rebuild(
    store: Store,
    begins: Callable[[int], None] = lambda _receipts: None,
    advance: Callable[[int], None] = lambda _receipts: None,
) -> Rebuilt:
    """
    Build the catalogue from receipts alone; it takes the place of the one that was there.

    What others add meanwhile stays.

    Args:
        store: The store.
        begins: Told how many receipts there are.
        advance: Told how many are done since the last call.

    Raises:
        StoreError: The store refuses, or does not answer; then the old catalogue is still there.

    """
    before = list_batches(store).batches
    keys, signed = [], set()
    for item in store.objects(RECEIPTS):
        key = flight_of_receipt(item.key.removesuffix(SIGNATURE_SUFFIX))
        if key is not None and item.key.endswith(SIGNATURE_SUFFIX):
            signed.add(key)
        elif key is not None:
            keys.append(key)
    begins(len(keys))
    result, writer = Rebuilt(), BatchWriter(store)
    for key, receipt in _read(store, keys):
        advance(1)
        try:
            if isinstance(receipt, ReceiptError):
                raise receipt
            if receipt is not None:
                writer.add(receipt, is_signed=key in signed)
                result.flights += 1
        except (ReceiptError, RowsError) as error:
            result.faults[key.receipt] = str(error)
        if len(writer) >= MOST_FLIGHTS:
            result.batches += bool(writer.write())
    result.batches += bool(writer.write(before))
    return result


def _read(
    store: Store, keys: Sequence[FlightKey]
) -> Iterator[tuple[FlightKey, Receipt | ReceiptError | None]]:
    """Yield receipts; None for those that are gone meanwhile."""

    def read(key: FlightKey) -> Receipt | ReceiptError | None:
        try:
            return Receipt.parse(store.get(key.receipt, MOST_RECEIPT_BYTES), key)
        except NotStoredError:
            return None
        except ReceiptError as error:
            return error

    rest = iter(keys)
    with ThreadPoolExecutor(_READERS) as pool:
        while some := list(islice(rest, _READ_AHEAD)):
            yield from zip(some, pool.map(read, some), strict=True)
