# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the launch files declare; without ROS."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

DIRECTORY = Path(__file__).resolve().parents[2] / 'launch'
ARGUMENTS = {
    'recorder': (
        'params_file',
        'flight_root',
        'namespace',
        'autostart',
        'metadata',
        'respawn',
        'respawn_delay',
        'log_level',
        'gcs_endpoint',
        'gcs_params_file',
    ),
    'drone_example': ('namespace', 'params_file', 'flight_root', 'source'),
}


def test_there_is_no_other() -> None:
    there = {path.name for path in DIRECTORY.glob('*.py')}
    assert there == {f'{name}.launch.py' for name in ARGUMENTS}


@pytest.mark.parametrize('name', ARGUMENTS)
def test_it_declares_its_arguments_and_describes_each(name: str) -> None:
    path = DIRECTORY / f'{name}.launch.py'
    tree = ast.parse(path.read_text(encoding='utf-8'), path)
    compile(tree, path, 'exec')
    declared = {}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == 'DeclareLaunchArgument':
            keywords = {word.arg: word.value for word in call.keywords}
            declared[ast.literal_eval(call.args[0])] = keywords
    assert tuple(declared) == ARGUMENTS[name]
    for argument, keywords in declared.items():
        assert ast.literal_eval(keywords['description']), argument
        assert 'default_value' in keywords, argument
