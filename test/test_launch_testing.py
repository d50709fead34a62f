"""Runs the tests in `launch_tests/` as `launch_test` does, each in a ROS domain of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from launch_helpers import launch_directory, launch_environment
from node_helpers import own_domain

FILES = sorted(Path(__file__).with_name('launch_tests').glob('*.test.py'))


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.name.partition('.')[0])
def test_launch_test(file: Path, tmp_path: Path) -> None:
    launch_directory('launch_testing')
    report = tmp_path / 'report.xml'
    command = [sys.executable, '-m', 'launch_testing.launch_test', '--junit-xml', str(report)]
    with own_domain() as domain_id:
        environment = launch_environment(domain_id, tmp_path)
        python_path = [str(Path(__file__).parent), environment.get('PYTHONPATH')]
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
