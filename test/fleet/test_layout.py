# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The keys of a store: any name becomes one part of a key, and comes back."""

from __future__ import annotations

from fdr_recorder.fleet.layout import (
    decoded,
    encoded,
    flight_of_manifest,
    flight_of_receipt,
    FlightKey,
)
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.one_of(st.text(max_size=20), st.sampled_from(['', '.', '..', '~', '~2E', 'a/b', '%41']))


@given(NAMES.filter(lambda name: not any('\ud800' <= char <= '\udfff' for char in name)))
def test_any_name_is_one_part_of_a_key_and_comes_back(name: str) -> None:
    part = encoded(name)
    assert decoded(part) == name
    assert part not in ('', '.', '..')
    assert all(char.isascii() and (char.isalnum() or char in '_-.~') for char in part)


def test_usual_names_stay_as_they_are() -> None:
    key = FlightKey('drone-7', '20260125T101500Z_1a2b')
    assert key.file('segment_000001.mcap') == (
        'vehicles/drone-7/flights/20260125T101500Z_1a2b/segment_000001.mcap'
    )


def test_the_flight_of_a_key_is_found_again() -> None:
    key = FlightKey('übung/1', 'f.1')
    assert flight_of_manifest(key.manifest) == key
    assert flight_of_receipt(key.receipt) == key
    for strange in ('', 'vehicles/a/manifests/.json', 'vehicles/a/flights/f.json', 'a/b/c/d.json',
                    'vehicles/a/manifests/f', 'vehicles/~zz/manifests/f.json'):
        assert flight_of_manifest(strange) is None
