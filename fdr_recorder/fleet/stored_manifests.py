# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Finds and reads the manifests of a store. Drones have written them, and their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from fdr_recorder.fleet.errors import UnlistableError
from fdr_recorder.fleet.layout import (
    decoded,
    flight_of_manifest,
    FlightKey,
    manifests_prefix,
    VEHICLES,
)
from fdr_recorder.fleet.manifest import MOST_MANIFEST_BYTES
from fdr_recorder.fleet.store import Store, StoredObject


def stored_manifests(
    store: Store, vehicles: str, unlisted: Callable[[str, UnlistableError], None]
) -> Iterator[tuple[FlightKey, StoredObject]]:
    """
    Yield flights and their manifests, as the store lists these.

    Args:
        store: The store.
        vehicles: A pattern of vehicles, `*` and `?`; empty for all.
        unlisted: Told the vehicles whose manifests cannot be listed, and why; others go on.

    Raises:
        StoreError: The store refuses, or does not answer.

    """
    for name in store.directories(VEHICLES):
        vehicle = decoded(name)
        if vehicles and not fnmatchcase(vehicle, vehicles):
            continue
        try:
            for item in store.objects(manifests_prefix(vehicle)):
                key = flight_of_manifest(item.key)
                if key is not None and key.vehicle == vehicle:
                    yield key, item
        except UnlistableError as error:
            unlisted(vehicle, error)


def read_manifest(store: Store, key: FlightKey) -> bytes:
    """
    Return a manifest as it is stored; of what is too large to be one, only the beginning.

    Raises:
        NotStoredError: It is not there.
        StoreError: The store refuses, or does not answer.

    """
    data = bytearray()
    for piece in store.stream(key.manifest):
        data += piece
        if len(data) > MOST_MANIFEST_BYTES:
            break
    return bytes(data[: MOST_MANIFEST_BYTES + 1])
