# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Which flights of a store a job is about."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from fdr_recorder.fleet.errors import JobError, ManifestError, StoreError
from fdr_recorder.fleet.layout import CATALOGUE, FlightKey
from fdr_recorder.fleet.manifest import Manifest
from fdr_recorder.fleet.store import Store
from fdr_recorder.fleet.stored_manifests import read_manifest, stored_manifests

_READERS: Final = 16


@dataclass(frozen=True)
class Selection:
    """
    Which flights: of those that the catalogue has, or of all in a store without a catalogue.

    Attributes:
        vehicle: A pattern of vehicles, `*` and `?`; empty for all.
        since_ns: Those that began then or later, by the drone; None for all.
        where: A condition of SQL on the view `flights` of the catalogue; empty for all.

    """

    vehicle: str = ''
    since_ns: int | None = None
    where: str = ''

    def flights(self, store: Store) -> list[FlightKey]:
        """
        Return them in the order of their names.

        Raises:
            JobError: They cannot be found so.
            StoreError: The store refuses, or does not answer.

        """
        if next(store.objects(CATALOGUE), None) is not None:
            return self._catalogued(store)
        if self.where:
            raise JobError(
                f'{store.url} has no catalogue, which --where asks; `fdr fleet receive` makes it'
            )
        found = stored_manifests(store, self.vehicle, lambda _name, why: store.tell(str(why)))
        keys = [key for key, _ in found]
        if self.since_ns is not None:
            with ThreadPoolExecutor(_READERS) as pool:
                began = pool.map(lambda key: _began_ns(store, key), keys)
                keys = [
                    key for key, ns in zip(keys, began, strict=True) if ns >= self.since_ns
                ]
        return sorted(keys)

    def _catalogued(self, store: Store) -> list[FlightKey]:
        from fdr_recorder.fleet.catalogue.query import (  # noqa: PLC0415 - loads DuckDB
            Catalogue,
            tables_text,
        )
        from fdr_recorder.fleet.errors import QueryError  # noqa: PLC0415 - loads DuckDB

        conditions, values = ['true'], list[object]()
        if self.vehicle:
            conditions.append('vehicle GLOB ?')
            values.append(self.vehicle)
        if self.since_ns is not None:
            conditions.append('started >= make_timestamp(?)')
            values.append(self.since_ns // 1000)
        if self.where:
            conditions.append(f'({self.where}\n)')
        question = f'SELECT vehicle, flight FROM flights WHERE {" AND ".join(conditions)}'
        with Catalogue.of(store, self.where) as catalogue:
            try:
                rows = catalogue.ask(question, values).rows()
            except QueryError as error:
                raise JobError(f'--where: {error}\n\n{tables_text()}') from None
        return sorted(FlightKey(vehicle, flight) for vehicle, flight in rows)


def _began_ns(store: Store, key: FlightKey) -> int:
    """Return when a flight began; for a manifest that cannot be read a time after all others."""
    try:
        return Manifest.parse(read_manifest(store, key), key).started_ns
    except (StoreError, ManifestError):
        return 1 << 63  # the job tells what is wrong with it
