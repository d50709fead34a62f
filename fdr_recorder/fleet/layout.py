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
Where things are in a store: the keys of objects, which contain no name as it came.

    vehicles/VEHICLE/flights/FLIGHT/FILE      what the drone has of a flight, file by file
    vehicles/VEHICLE/manifests/FLIGHT.json    what these files are; written last
    receipts/VEHICLE/FLIGHT.json              what the fleet's side found; FLIGHT.json.sig signs it
    catalogue/                                tables over all flights
    results/                                  what jobs have made, by job, vehicle and flight
    page/                                     the page over the catalogue

A drone writes below `vehicles/VEHICLE/` alone, and reads its own receipts. All else is written by
the fleet's side.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

VEHICLES: Final = 'vehicles/'
RECEIPTS: Final = 'receipts/'
CATALOGUE: Final = 'catalogue/'
RESULTS: Final = 'results/'
PAGE: Final = 'page/'

_PLAIN: Final = re.compile(rb'[A-Za-z0-9_-]|(?<!^)\.', re.ASCII)
_ESCAPED: Final = re.compile(r'~([0-9A-F]{2})')
_SUFFIX: Final = '.json'


class FlightKey(NamedTuple):
    """
    Which flight of the fleet.

    Attributes:
        vehicle: The vehicle's id as its recorder was told, any text; empty if it was told none.
        flight: The name of the flight's directory on the drone.

    """

    vehicle: str
    flight: str

    def __str__(self) -> str:
        """Say it as people do."""
        return f'{self.vehicle or "(no vehicle_id)"}/{self.flight}'

    @property
    def below(self) -> str:
        """Return `VEHICLE/FLIGHT`, as it stands in keys."""
        return f'{encoded(self.vehicle)}/{encoded(self.flight)}'

    @property
    def files(self) -> str:
        """Return the prefix of the flight's files."""
        return f'{vehicle_prefix(self.vehicle)}flights/{encoded(self.flight)}/'

    @property
    def manifest(self) -> str:
        """Return the key of its manifest."""
        return f'{manifests_prefix(self.vehicle)}{encoded(self.flight)}{_SUFFIX}'

    @property
    def receipt(self) -> str:
        """Return the key of its receipt."""
        return f'{RECEIPTS}{self.below}{_SUFFIX}'

    def file(self, name: str) -> str:
        """Return the key of one of its files."""
        return self.files + encoded(name)


def vehicle_prefix(vehicle: str) -> str:
    """Return the prefix below which a drone writes."""
    return f'{VEHICLES}{encoded(vehicle)}/'


def manifests_prefix(vehicle: str) -> str:
    """Return the prefix of a vehicle's manifests."""
    return f'{vehicle_prefix(vehicle)}manifests/'


def flight_of_manifest(key: str) -> FlightKey | None:
    """Return whose manifest an object is; None if it is none."""
    parts = key.split('/')
    if len(parts) != 4 or parts[0] != 'vehicles' or parts[2] != 'manifests':
        return None
    return _flight_key(parts[1], parts[3])


def flight_of_receipt(key: str) -> FlightKey | None:
    """Return whose receipt an object is; None if it is none."""
    parts = key.split('/')
    if len(parts) != 3 or f'{parts[0]}/' != RECEIPTS:
        return None
    return _flight_key(parts[1], parts[2])


def _flight_key(vehicle: str, file_name: str) -> FlightKey | None:
    flight = file_name.removesuffix(_SUFFIX)
    if flight == file_name or not flight:
        return None
    found = FlightKey(decoded(vehicle), decoded(flight))
    is_ours = encoded(found.vehicle) == vehicle and encoded(found.flight) == flight
    return found if is_ours else None


def encoded(name: str) -> str:
    """
    Return a name as one part of a key.

    Letters, digits, `_`, `-` and `.` stay; each other byte of its UTF-8 becomes `~` and two
    hexadecimal digits, and so does a leading `.`. An empty name is `~`. So no name can lead to
    another directory, and every store and web server takes it as it is.
    """
    data = name.encode('utf-8', 'surrogateescape')
    parts = [
        chr(byte) if _PLAIN.match(data, place, place + 1) else f'~{byte:02X}'
        for place, byte in enumerate(data)
    ]
    return ''.join(parts) or '~'


def decoded(part: str) -> str:
    """Return the name of which a part of a key is made; the inverse of `encoded`."""
    if part == '~':
        return ''
    data = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), part)
    return data.encode('latin-1', 'replace').decode('utf-8', 'surrogateescape')
