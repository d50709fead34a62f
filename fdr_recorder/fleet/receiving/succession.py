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
Compares what the sealed flights of a vehicle say of each other, by their receipts.

Each names the sealed one before it, and the newest seal of that. A flight that does not have it
was cut back, or replaced: only the flight behind it tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from fdr_recorder.fleet.catalogue.query import Catalogue
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.receipt import Receipt
from fdr_recorder.flights.status import Authenticity, Verdict
from fdr_recorder.units import short

ReadReceipt = Callable[[FlightKey], 'Receipt | None']
_MOST_NEIGHBOURS: Final = 16
"""Flights of the same id, or behind the same flight; there is one of each."""


def cut_back(
    catalogue: Catalogue, received: Iterable[Receipt], read: ReadReceipt
) -> Iterator[Receipt]:
    """
    Yield the receipts, with what is wrong, of flights that do not end as another one says.

    Args:
        catalogue: It has the flights that are looked for.
        received: The receipts that are new.
        read: Returns the receipt of a flight.

    Raises:
        StoreError: The store refuses, or does not answer.

    """
    told: set[FlightKey] = set()
    for receipt in received:
        vehicle, link = receipt.key.vehicle, receipt.link
        pairs: list[tuple[Receipt, Receipt]] = []
        if link.previous_flight:
            before = _neighbours(catalogue, vehicle, 'flight_id', link.previous_flight, read)
            pairs += [(found, receipt) for found in before]
        if link.flight_id:
            behind = _neighbours(catalogue, vehicle, 'previous_flight', link.flight_id, read)
            pairs += [(receipt, found) for found in behind]
        for before_it, after_it in pairs:
            wrong = _compared(before_it, after_it)
            if wrong is not None and wrong.key not in told:
                told.add(wrong.key)
                yield wrong


def _neighbours(
    catalogue: Catalogue, vehicle: str, column: str, value: str, read: ReadReceipt
) -> list[Receipt]:
    question = f'SELECT flight FROM flights WHERE vehicle = ? AND {column} = ? LIMIT ?'
    rows = catalogue.ask(question, [vehicle, value, _MOST_NEIGHBOURS]).rows()
    found = (read(FlightKey(vehicle, flight)) for (flight,) in rows)
    return [receipt for receipt in found if receipt is not None]


def _compared(before: Receipt, after: Receipt) -> Receipt | None:
    """Return the receipt of a flight, with what is wrong, that lacks what the next one names."""
    link = after.link
    is_named = link.previous_seal and link.previous_flight == before.link.flight_id
    if not is_named or before.key == after.key or not before.arrived:
        return None
    if link.previous_seal in before.link.seals:
        return None
    verdict = Verdict.NOT_AUTHENTIC.name.lower()
    what = (
        f'it does not have the seal that the flight after it names ({short(after.key.flight)}): '
        'it was cut back, or replaced'
    )
    if what in before.faults:
        return None
    flights = {name: list(column) for name, column in before.rows['flights'].items()}
    flights.update(
        verdict=[verdict],
        authenticity=[Authenticity.NOT_AUTHENTIC.value],
        sentence=[f'Not authentic: {what}.'],
    )
    return replace(
        before,
        faults=(*before.faults, what),
        verdict=verdict,
        rows={**before.rows, 'flights': flights},
    )
