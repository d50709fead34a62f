# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Joins batches of the catalogue, so that there are few of them however often flights come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
import time
from typing import Final

from fdr_recorder.fleet.catalogue.batches import delete_batches, delete_torn, write_batch
from fdr_recorder.fleet.catalogue.cache import fetch_catalogue, Snapshot
from fdr_recorder.fleet.catalogue.columns import TABLES
from fdr_recorder.fleet.catalogue.query import Catalogue
from fdr_recorder.fleet.catalogue.writing import MOST_FLIGHTS
from fdr_recorder.fleet.store import Store

FEW: Final = 8
"""So many batches of about the same size are joined. So a row is written again a few times only:
once for each power of this."""


@dataclass
class Compacted:
    """
    What came of it.

    Attributes:
        joined: How many batches were joined into others.
        batches: How many there are now.
        removed: How many were removed that somebody who was killed had left.

    """

    joined: int = 0
    batches: int = 0
    removed: int = 0


def compact(
    store: Store,
    *,
    everything: bool = False,
    now_ns: Callable[[], int] = time.time_ns,
) -> Compacted:
    """
    Join batches where there are many, and remove what nobody needs any more.

    May be done by several processes at once, and killed at any moment.

    Args:
        store: The store.
        everything: Join as many as fit into one, whatever their sizes.
        now_ns: The time of the store, roughly.

    Raises:
        StoreError: The store refuses, or does not answer.
        CacheError: It cannot be kept on this machine.

    """
    snapshot = fetch_catalogue(store, ())
    result = Compacted(batches=len(snapshot.notes))
    left = _replaced(snapshot, snapshot.notes)
    delete_batches(store, left)
    result.removed = len(left) + delete_torn(store, snapshot.listing, now_ns())
    groups = list(_all_groups(snapshot) if everything else _groups(snapshot))
    if not groups:
        return result
    whole = fetch_catalogue(store)
    for group in groups:
        if not whole.notes.keys() >= {*group}:  # somebody else has joined them
            continue
        replaces = [*group, *_replaced(whole, group)]
        with Catalogue(_part(whole, group)) as part:
            tables = {name: part.every(name) for name in TABLES}
        write_batch(store, tables, replaces)
        delete_batches(store, replaces)
        result.joined += len(group)
        result.batches -= len(group) - 1
    return result


def _groups(snapshot: Snapshot) -> Iterator[list[str]]:
    """Yield batches of about the same size, where there are many."""
    classes: dict[int, list[str]] = {}
    for name, note in snapshot.notes.items():
        if note.flights < MOST_FLIGHTS:
            size = 0
            while FEW ** (size + 1) <= note.flights:
                size += 1
            classes.setdefault(size, []).append(name)
    for names in classes.values():
        if len(names) >= FEW:
            yield from _fitting(snapshot, names)


def _all_groups(snapshot: Snapshot) -> Iterator[list[str]]:
    yield from _fitting(snapshot, list(snapshot.notes))


def _fitting(snapshot: Snapshot, names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the batches in groups that fit into one, oldest first."""
    group: list[str] = []
    flights = 0
    for name in sorted(names):
        more = snapshot.notes[name].flights
        if group and flights + more > MOST_FLIGHTS:
            if len(group) > 1:
                yield group
            group, flights = [], 0
        group.append(name)
        flights += more
    if len(group) > 1:
        yield group


def _replaced(snapshot: Snapshot, by: Iterable[str]) -> list[str]:
    """Return the batches that are still in the store, and replaced by others."""
    there = {*snapshot.listing.batches}
    names = {name for batch in by for name in snapshot.notes[batch].replaces}
    return sorted(names & there)


def _part(snapshot: Snapshot, names: Sequence[str]) -> Snapshot:
    """Return a part of the catalogue."""
    wanted = {*names}
    return Snapshot(
        {name: note for name, note in snapshot.notes.items() if name in wanted},
        {
            table: {name: path for name, path in files.items() if name in wanted}
            for table, files in snapshot.files.items()
        },
        snapshot.listing,
    )
