# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Runs the tests in `launch_tests/` as `launch_test` does, each in a ROS domain of its own."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess
import sys
import xml.etree.ElementTree as ET

from launch_process import launch_directory, launch_environment
import pytest
from ros_domain import own_domain

FILES = sorted(Path(__file__).with_name('launch_tests').glob('*.test.py'))


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.name.partition('.')[0])
def test_launch_test(file: Path, tmp_path: Path) -> None:
    launch_directory('launch_testing')
    report = tmp_path / 'report.xml'
    command = [sys.executable, '-m', 'launch_testing.launch_test', '--junit-xml', str(report)]
    with own_domain() as domain_id:
        environment = launch_environment(domain_id, tmp_path)
        python_path = [str(Path(__file__).parents[1] / 'support'), environment.get('PYTHONPATH')]
        environment['PYTHONPATH'] = os.pathsep.join(filter(None, python_path))
        environment['TMPDIR'] = str(tmp_path)
        done = subprocess.run(
            [*command, str(file)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    cases = ET.parse(report).getroot().iter('testcase')
    assert len(list(cases)) == 3
