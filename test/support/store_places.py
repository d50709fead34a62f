# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Stores that the tests of the fleet share, as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from offloading import DirectoryStore
import pytest
from store_servers import StoreServer

Place = StoreServer | DirectoryStore


@pytest.fixture(scope='session')
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    with StoreServer('weed', tmp_path_factory.mktemp('weed')) as server:
        yield server


@pytest.fixture(scope='session')
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    with StoreServer('moto', tmp_path_factory.mktemp('moto')) as server:
        yield server


@pytest.fixture(params=['directory', 'moto', 'weed'])
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    weed: StoreServer,
    moto: StoreServer,
) -> Place:
    """Return a store of each kind, empty; the environment leads there."""
    if request.param == 'directory':
        return DirectoryStore(tmp_path / 'store')
    server = {'weed': weed, 'moto': moto}[request.param]
    server.empty()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return server
