# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The files in config/: every option, with its default and what is said about it."""

from __future__ import annotations

from pathlib import Path
import re
from typing import Any

from fdr_recorder import FdrConfig
from fdr_recorder.config import OPTIONS
from fdr_recorder.config_base import Options
from fdr_recorder.node.trigger.config import TriggerConfig
import pytest
import yaml

DIRECTORY = Path(__file__).resolve().parents[1] / 'config'
FILES: dict[str, tuple[Options, type[FdrConfig | TriggerConfig]]] = {
    'recorder': (OPTIONS, FdrConfig),
    'flight_trigger': (TriggerConfig.options(), TriggerConfig),
}
EACH_FILE = pytest.mark.parametrize('file', FILES)
EACH_OPTION = pytest.mark.parametrize(
    ('file', 'name'), [(file, name) for file, (options, _) in FILES.items() for name in options]
)


def read_text(file: str) -> str:
    return (DIRECTORY / f'{file}.yaml').read_text(encoding='utf-8')


def flatten(tree: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Return values by dotted name, as ROS 2 reads nested parameters."""
    values: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            values |= flatten(value, f'{prefix}{name}.')
        else:
            values[prefix + name] = value
    return values


def read_values(file: str) -> dict[str, Any]:
    content = yaml.safe_load(read_text(file))
    assert list(content) == ['/**']  # any node name, in any namespace
    assert list(content['/**']) == ['ros__parameters']
    return flatten(content['/**']['ros__parameters'])


def read_comments(file: str) -> list[tuple[str, str]]:
    """Return name and comment of each option, in the order of the file."""
    found: list[tuple[str, str]] = []
    group, comment = '', ''
    for line in read_text(file).splitlines():
        said = re.fullmatch(r' +# (.*)', line)
        named = re.match(r'( {4}| {6})(\w+):', line)
        if said:
            comment = f'{comment} {said[1]}'.lstrip()
            continue
        if named and line.endswith(':'):
            group = f'{named[2]}.'
        elif named:
            found.append((group * (len(named[1]) == 6) + named[2], comment))
        comment = ''
    return found


def test_there_is_no_other_file() -> None:
    assert {path.stem for path in DIRECTORY.glob('*.yaml')} == set(FILES)


@EACH_FILE
def test_it_has_every_option_once_and_no_other(file: str) -> None:
    assert [name for name, _ in read_comments(file)] == list(read_values(file))
    assert set(read_values(file)) == set(FILES[file][0])


@EACH_FILE
def test_its_values_are_the_defaults(file: str) -> None:
    _, config = FILES[file]
    assert config.from_options(read_values(file)) == config()


@EACH_OPTION
def test_a_value_is_spelled_so_that_ros_reads_the_right_type(file: str, name: str) -> None:
    default, _ = FILES[file][0][name]
    value = read_values(file)[name]
    if isinstance(default, tuple):
        assert value == (list(default) or [''])  # ROS 2 reads [] as no value at all
    else:
        assert type(value) is type(default)  # 1 is no double, and 1.0 no integer


@EACH_OPTION
def test_its_comment_begins_with_the_description(file: str, name: str) -> None:
    _, option = FILES[file][0][name]
    comment = dict(read_comments(file))[name]
    assert comment.startswith(option.description)
    assert all(choice in comment for choice in option.choices)
    assert comment.endswith(' Live.') == (option.changeable == 'always')
