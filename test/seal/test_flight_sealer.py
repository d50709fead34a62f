# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the seals of a flight say of seals that were lost."""

from __future__ import annotations

from pathlib import Path

from fdr_recorder.seal.flight_sealer import FlightSealer
from fdr_recorder.seal.identity import load_identity
from fdr_recorder.seal.seal import Seal, SYNC
from sealed_ground import make_key


def test_of_lost_seals_is_told_until_that_is_on_the_disk(tmp_path: Path) -> None:
    with load_identity(make_key(tmp_path / 'key')) as identity:
        sealer = FlightSealer(identity, flight='x', vehicle='', principal='drone-7', number=1)
    segment = sealer.for_segment(0)

    def void_in_next() -> tuple[int, int]:
        made = segment.seal(SYNC, 0, '0' * 64)
        assert made is not None
        segment.add(made)
        text = made.entry.decode().partition('-----BEGIN')[0]
        seal = Seal.parse(text)
        return seal.void_from, seal.void_to

    assert void_in_next() == (-1, -1)  # seal 0
    segment.void([0])
    assert void_in_next() == (0, 0)  # seal 1
    segment.void([1])  # with what it told
    assert void_in_next() == (0, 1)  # seal 2
    assert void_in_next() == (0, 1)  # seal 3: seal 2 may not be on the disk
    segment.confirm([2])
    assert void_in_next() == (-1, -1)
