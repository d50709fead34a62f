# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Receives flights: has them checked, writes receipts, and keeps the catalogue up to date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
import time
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.fleet.catalogue.compacting import compact
from fdr_recorder.fleet.catalogue.query import Catalogue
from fdr_recorder.fleet.catalogue.writing import BatchWriter
from fdr_recorder.fleet.errors import (
    NoCatalogueError,
    NotStoredError,
    RowsError,
    StoreError,
    StoreFullError,
    StoreUnreachableError,
    UnlistableError,
)
from fdr_recorder.fleet.jobs.processes import LocalWorkers
from fdr_recorder.fleet.jobs.task import Outcome, State, Task
from fdr_recorder.fleet.jobs.workers import run
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.manifest import manifest_hash
from fdr_recorder.fleet.receipt import read_receipt, Receipt, write_receipt
from fdr_recorder.fleet.receiving.planning import known_flights, plan, Waiting, Wish
from fdr_recorder.fleet.receiving.receive_job import (
    is_alarming,
    not_checked,
    RECEIPT,
    ReceiveJob,
)
from fdr_recorder.fleet.receiving.succession import cut_back
from fdr_recorder.fleet.store import Store
from fdr_recorder.fleet.stored_manifests import read_manifest

if TYPE_CHECKING:
    from fdr_recorder.seal.identity import Identity

_BATCH_FLIGHTS: Final = 500
_BATCH_S: Final = 60.0
_MOST_REFUSED: Final = 3
_ROUNDS: Final = 3
"""So often a flight is checked whose manifest is replaced meanwhile; then the next pass does."""

Told = Callable[[Receipt], None]


@dataclass(frozen=True)
class Options:
    """
    How flights are received.

    Attributes:
        url: The store, as the user named it.
        wish: Which flights.
        keys: A file of allowed signers: whose seals count; empty for none.
        temporary: Where flights lie while they are checked; empty for the usual place.
        workers: How many processes check flights.

    """

    url: str = field(repr=False)
    wish: Wish = field(default_factory=Wish)
    keys: str = ''
    temporary: str = ''
    workers: int = 1


@dataclass
class Pass:
    """
    What came of a look at the store.

    Attributes:
        received: Receipts that were written.
        catalogued: How many receipts were only missing in the catalogue.
        waiting: Flights that could not be checked now, and why.
        missing: Flights that are not in the store, as others of their vehicles tell: rows of
            `missing_flights`.

    """

    received: list[Receipt] = field(default_factory=list)
    catalogued: int = 0
    waiting: dict[FlightKey, str] = field(default_factory=dict)
    missing: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_alarming(self) -> bool:
        """Whether somebody must look at a flight, or it waits."""
        return bool(self.waiting) or any(map(is_alarming, self.received))


class Receiver:
    """
    Receives flights. Several may work on a store at once; one thread uses each.

    Without an identity, receipts are not signed.
    """

    def __init__(self, store: Store, options: Options, identity: Identity | None = None) -> None:
        self._store = store
        self._options = options
        self._identity = identity
        self._writer = BatchWriter(store)
        self._refused = 0
        self._written_s = time.monotonic()

    def receive(
        self,
        begins: Callable[[int], None] = lambda _flights: None,
        told: Told = lambda _receipt: None,
    ) -> Pass:
        """
        Look at the store once, and receive what is new.

        Args:
            begins: Told how many flights are to be checked.
            told: Told each receipt that was written.

        Raises:
            StoreError: The store refuses, or does not answer; what was done is done.
            SealError: The key cannot sign.
            JobError: The processes cannot work.
            CacheError: It cannot be kept on this machine.

        """
        result = Pass()
        known = known_flights(self._store)
        todo = []

        def unlisted(vehicle: str, why: UnlistableError) -> None:
            result.waiting[FlightKey(vehicle, '')] = str(why)

        for item in plan(self._store, known, self._options.wish, unlisted):
            if item.receipt is None:
                todo.append(item)
            elif self._catalogue(item.receipt, is_signed=item.is_signed):
                result.catalogued += 1
        del known
        todo = _in_turn(todo)
        begins(len(todo))
        for _ in range(_ROUNDS):
            todo = list(self._received(todo, result, told))
            if not todo:
                break
        for item in todo:
            result.waiting[item.key] = 'its manifest is replaced all the time'
        has_new = bool(self._writer) or bool(result.received)
        self._write()
        if has_new:
            self._compare(result, told)
            self._write()
            compact(self._store)
        return result

    def _received(
        self, todo: Sequence[Waiting], result: Pass, told: Told
    ) -> Iterator[Waiting]:
        """Have flights checked; yield those whose manifest was replaced meanwhile."""
        options = self._options
        items = {item.key: item for item in todo}
        tasks = (
            Task(
                options.url,
                item.key,
                ReceiveJob(item.manifest.modified_ns, item.manifest.etag, options.keys),
                temporary=options.temporary,
            )
            for item in todo
        )
        if not todo:
            return
        with LocalWorkers(min(options.workers, len(todo))) as workers:
            for outcome in run(workers, tasks):
                receipt = self._receipt_of(outcome, items[outcome.key])
                if receipt is None:
                    result.waiting[outcome.key] = outcome.why
                elif not self._is_current(receipt):
                    yield items[outcome.key]
                else:
                    self._keep(receipt, result, told)

    def _keep(self, receipt: Receipt, result: Pass, told: Told) -> None:
        """Write a receipt, and have it catalogued; a flight whose receipt is refused waits."""
        try:
            receipt = write_receipt(self._store, receipt, self._identity)
        except (StoreUnreachableError, StoreFullError):
            raise
        except StoreError as error:
            self._refused += 1
            if self._refused == _MOST_REFUSED:  # it is not for this flight's name
                raise
            result.waiting[receipt.key] = str(error)
            return
        self._refused = 0
        self._catalogue(receipt, is_signed=self._identity is not None)
        result.received.append(receipt)
        told(receipt)

    def _receipt_of(self, outcome: Outcome, item: Waiting) -> Receipt | None:
        """Return the receipt that was made; None if the flight is to be tried again."""
        if outcome.state is State.MADE:
            return Receipt.parse(outcome.found[RECEIPT], outcome.key)
        if not outcome.has_died:
            return None
        try:
            data = read_manifest(self._store, outcome.key)
        except NotStoredError:
            return None
        begun = Receipt(
            outcome.key,
            manifest_hash(data),
            item.manifest.modified_ns,
            item.manifest.etag,
            time.time_ns(),
            arrived=False,
        )
        return not_checked(begun, None, outcome.why)

    def _is_current(self, receipt: Receipt) -> bool:
        """Tell whether a manifest is still the one that was checked."""
        try:
            data = read_manifest(self._store, receipt.key)
        except NotStoredError:
            return False
        return manifest_hash(data) == receipt.manifest

    # --- the catalogue -------------------------------------------------------------------

    def _catalogue(self, receipt: Receipt, *, is_signed: bool) -> bool:
        """Have a receipt written into the catalogue; return whether that is possible."""
        try:
            self._writer.add(receipt, is_signed=is_signed)
        except RowsError:  # somebody else's; `fdr fleet catalogue --rebuild` tells
            return False
        is_due = time.monotonic() - self._written_s > _BATCH_S
        if len(self._writer) >= _BATCH_FLIGHTS or is_due:
            self._write()
        return True

    def _write(self) -> None:
        self._writer.write()
        self._written_s = time.monotonic()

    def _compare(self, result: Pass, told: Told) -> None:
        """Compare new flights with others of their vehicles."""
        new = {receipt.key: receipt for receipt in result.received}

        def read(key: FlightKey) -> Receipt | None:
            return new.get(key) or read_receipt(self._store, key)

        try:
            with Catalogue.of(self._store) as catalogue:
                wrong = list(cut_back(catalogue, result.received, read))
                vehicles = sorted({key.vehicle for key in new})
                question = (
                    'SELECT * FROM missing_flights WHERE removed < count '
                    'AND vehicle IN (SELECT unnest(?)) ORDER BY ALL'
                )
                missing = catalogue.ask(question, [vehicles]) if vehicles else None
        except NoCatalogueError:  # somebody has deleted it this moment
            return
        result.missing = missing.table.to_pylist() if missing is not None else []
        for receipt in wrong:
            receipt = replace(receipt, received_ns=time.time_ns())
            result.received = [item for item in result.received if item.key != receipt.key]
            self._keep(receipt, result, told)


def _in_turn(todo: Iterable[Waiting]) -> list[Waiting]:
    """Let each vehicle have one flight checked before any has its second: some bring thousands."""
    turns = Counter[str]()
    taken = []
    for item in todo:
        turns[item.key.vehicle] += 1
        taken.append((turns[item.key.vehicle], item))
    return [item for _, item in sorted(taken, key=lambda pair: pair[0])]
