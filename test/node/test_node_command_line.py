# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""What the nodes answer on the command line: help, and all mistakes without a traceback."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest
from ros_domain import ros_environment

NODES = {
    'recorder': 'fdr_recorder.node',
    'flight_trigger': 'fdr_recorder.node.trigger',
    'gcs_bridge': 'fdr_recorder.node.gcs_bridge',
}


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a node that ends by itself."""
    return subprocess.run(
        [sys.executable, '-m', NODES[program], *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=ros_environment(0),
        check=False,
    )


@pytest.mark.parametrize(
    ('program', 'parameters'),
    [
        ('recorder', ['flight_root', 'writer.segment_size_bytes']),
        ('flight_trigger', ['source']),
        ('gcs_bridge', ['endpoint', 'commands']),
    ],
)
def test_help_has_the_parameters_and_examples(program: str, parameters: list[str]) -> None:
    done = run(program, '--help')
    assert (done.returncode, done.stderr) == (0, '')
    assert f'ros2 run fdr_recorder {program} ' in done.stdout
    for name in parameters:
        assert f'\n  {name}  (default: ' in done.stdout


@pytest.mark.parametrize('program', NODES)
def test_an_argument_that_is_not_for_ros_is_refused(program: str) -> None:
    done = run(program, '--params-file', 'recorder.yaml')
    assert done.returncode == 2
    said = 'unrecognized arguments: --params-file recorder.yaml; '
    said += 'arguments of ROS follow --ros-args'
    assert f'{program}: error: {said}' in done.stderr


MISTAKEN = """\
/**:
  ros__parameters:
    topics: [1, /a]
    flight_rot: /x
    writer:
      segment_size_bytes: 1
"""


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (None, ['file.yaml: No such file or directory']),
        ('/**: [', ['file.yaml is not YAML', 'line 1']),
        ('topics: [/a]\n', ['file.yaml has no ros__parameters']),
        (
            MISTAKEN,
            [
                "topics: must be a list of strings, not (1, '/a') (",
                'file.yaml, line 3)',
                "unknown parameter 'flight_rot'; did you mean 'flight_root'? (",
                'file.yaml, line 4)',
                'writer.segment_size_bytes: must be at least',
                'file.yaml, line 6)',
            ],
        ),
        ('/**:\n  ros__parameters: 7\n', ['file.yaml']),
    ],
    ids=['missing', 'not YAML', 'no section', 'values', 'no parameters'],
)
def test_a_file_that_ros_cannot_read(tmp_path: Path, text: str | None, said: list[str]) -> None:
    file = tmp_path / 'file.yaml'
    if text is not None:
        file.write_text(text)
    done = run('recorder', '--ros-args', '--params-file', str(file))
    assert done.returncode == 2
    for words in said:
        assert words in done.stderr
    assert 'Traceback' not in done.stderr


def test_ros_arguments_that_are_wrong() -> None:
    done = run('recorder', '--ros-args', '-p', 'nonsense')
    assert done.returncode == 2
    assert 'nonsense' in done.stderr
    assert 'Traceback' not in done.stderr
