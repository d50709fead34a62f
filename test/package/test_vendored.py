# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What others wrote and the package contains is exactly what they released."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import pytest

UPLOT_1_6_32 = {
    'uPlot.iife.min.js': '19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f',
    'uPlot.min.css': 'df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04',
    'LICENSE': '8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd',
}
"""Files of the npm package `uplot` at this version, and their SHA-256."""


@pytest.mark.parametrize('name', UPLOT_1_6_32)
def test_uplot_is_as_released(name: str) -> None:
    data = files('fdr_recorder.report').joinpath('vendor', name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == UPLOT_1_6_32[name]


def test_nothing_else_is_vendored() -> None:
    there = {item.name for item in files('fdr_recorder.report').joinpath('vendor').iterdir()}
    assert there == set(UPLOT_1_6_32)
