# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What follows the data of a segment is derived from the data alone, to the byte."""

from __future__ import annotations

from pathlib import Path

from conftest import Record
from fdr_recorder.flights.directory import segment_files, SegmentFile
from fdr_recorder.flights.open_segment import open_segment
from fdr_recorder.flights.recovery.recover import recover
from fdr_recorder.flights.recovery.scan_torn_segment import Scanner
import pytest

OF_0_1_0 = Path(__file__).resolve().parents[1] / 'compatibility' / 'flights_0_1_0'


def assert_is_derived(segment: SegmentFile) -> None:
    """Assert that the file ends with what the recorder would write again behind the same data."""
    with open_segment(segment.path) as reader:
        contents = Scanner(reader, segment.index).scan()
        assert reader.is_closed
        there = reader.read(contents.data_end, reader.size - contents.data_end)
    assert b''.join(contents.found.ending(contents.data_end)) == there


@pytest.mark.parametrize(
    'options', [{}, {'compression': 'lz4'}, {'compression': 'zstd'}, {'bag_version': 5}], ids=str
)
def test_of_a_closed_flight(record_flight: Record, options: dict[str, object]) -> None:
    segments = segment_files(record_flight(close=True, **options))
    assert len(segments) > 2
    for segment in segments:
        assert_is_derived(segment)


def test_of_a_recovered_flight(record_flight: Record, root: Path) -> None:
    flight = record_flight(close=False)
    assert recover(root)
    for segment in segment_files(flight):
        assert_is_derived(segment)


def test_of_release_0_1_0() -> None:
    segments = [item for name in ('closed', 'capped') for item in segment_files(OF_0_1_0 / name)]
    assert len(segments) == 6
    for segment in segments:
        assert_is_derived(segment)
