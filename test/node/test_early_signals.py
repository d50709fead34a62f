# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A signal that comes while a node is being loaded: the process ends without a traceback."""

from __future__ import annotations

from pathlib import Path
import shutil
import signal
import sys

from early_signal import AT_START, signal_at_import
from fork_server import CHECKOUT
from ground import Ground
import pytest
from ros_domain import ros_environment

SCRIPT = CHECKOUT / 'scripts' / 'recorder'
MODULES = {
    'fdr_recorder.node': [
        'fdr_recorder.node.main',
        'fdr_recorder.node.recorder',
        'rclpy.lifecycle',
    ],
    'fdr_recorder.node.trigger': ['fdr_recorder.node.quick_start', 'rclpy.node'],
    'fdr_recorder.node.gcs_bridge': ['rclpy.node'],
}


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ('program', 'module'), [(name, module) for name, all_ in MODULES.items() for module in all_]
)
@pytest.mark.usefixtures('hangup_ends')
def test_while_it_imports(
    ground: Ground, tmp_path: Path, program: str, module: str, number: signal.Signals
) -> None:
    command = [sys.executable, '-m', program, '--ros-args', '-p', 'autostart:=true']
    environment = {**ros_environment(ground.domain_id), 'ROS_LOG_DIR': str(tmp_path)}
    assert signal_at_import(command, module, number, tmp_path, environment) == (0, '')


@pytest.mark.parametrize('name', ['recorder', 'flight_trigger'])
def test_while_python_starts(ground: Ground, tmp_path: Path, name: str) -> None:
    """The executable makes the signal wait; `python -m` itself cannot."""
    executable = tmp_path / 'lib' / 'fdr_recorder' / name
    python = tmp_path / 'bin' / 'python3'
    for path in (executable, python):
        path.parent.mkdir(parents=True)
    shutil.copy(SCRIPT, executable)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    environment = {**ros_environment(ground.domain_id), 'ROS_LOG_DIR': str(tmp_path)}
    done = signal_at_import([executable], AT_START, signal.SIGINT, tmp_path, environment)
    assert done == (0, '')
