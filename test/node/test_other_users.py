# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A process of another user, whose topics are found and whose messages do not arrive, is told."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from fdr_recorder.node.other_users import SHARED_MEMORY, unheard_users
from ground import Ground
import pytest
from recorder_process import RecorderProcess
from std_msgs.msg import String

DOMAIN = 7
PORT = 7400 + 250 * DOMAIN + 11


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that this is another user's process than that which made the files."""
    monkeypatch.setattr('os.geteuid', lambda: os.getuid() + 12345)
    return tmp_path / f'fastdds_port{PORT}_el'


@pytest.mark.parametrize('name', ['fastdds', 'fastrtps'])
def test_a_living_process_of_another_user_is_found(port: Path, name: str) -> None:
    other = port.with_name(f'{name}_port{PORT}_el')
    with other.open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert unheard_users(DOMAIN, port.parent) == [other.owner()]
        assert unheard_users(DOMAIN + 1, port.parent) == []


def test_files_of_killed_processes_and_other_files_are_none(port: Path) -> None:
    port.touch()
    strange = port.with_name('fastdds_00ff_el')
    with strange.open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert unheard_users(DOMAIN, port.parent) == []
    assert unheard_users(DOMAIN, port.parent / 'none') == []


def test_own_processes_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('os.geteuid', os.getuid)
    with (tmp_path / f'fastdds_port{PORT}_el').open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert unheard_users(DOMAIN, tmp_path) == []


@pytest.mark.skipif(os.getuid() != 0, reason='only the superuser can be another user, too')
def test_fast_dds_leaves_what_tells(ground: Ground, tmp_path: Path, root: Path) -> None:
    with RecorderProcess(ground, tmp_path, root, topics=['/chatter']) as recorder:
        ground.publisher(String, '/chatter', recorders=0)
        recorder.make('configure')
        child = os.fork()
        if not child:
            os.seteuid(65534)
            os._exit(not unheard_users(ground.domain_id, SHARED_MEMORY))
        assert os.waitpid(child, 0)[1] == 0, 'it finds the recorder of the superuser'
