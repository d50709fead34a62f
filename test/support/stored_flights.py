# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Flights in a store, as a drone puts them there."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.manifest import Manifest, ManifestFile
from fdr_recorder.fleet.store import Store
from fdr_recorder.flights.listing import list_flight


def manifest_of(directory: Path, key: FlightKey) -> Manifest:
    """Return the manifest of a flight's files."""
    files = []
    for path in directory.iterdir():
        data = path.read_bytes()
        files.append(ManifestFile(path.name, len(data), hashlib.sha256(data).hexdigest()))
    listed = list_flight(directory)
    return Manifest(
        key=key,
        flight_id=listed.flight_id,
        flight_number=listed.flight_number,
        started_ns=listed.utc_started_ns,
        ended='closed',
        recorder='0.2.0',
        files=tuple(sorted(files)),
    )


def store_flight(
    store: Store, directory: Path, vehicle: str = 'drone-7', name: str = ''
) -> FlightKey:
    """Put the files of a flight and their manifest into a store."""
    key = FlightKey(vehicle, name or directory.name)
    for path in directory.iterdir():
        store.put(key.file(path.name), path.read_bytes())
    store.put(key.manifest, manifest_of(directory, key).to_bytes())
    return key
