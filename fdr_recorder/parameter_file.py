# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Reads and writes ROS 2 parameter files of the recorder, without ROS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
import re
from typing import Any, Final

from fdr_recorder.config_base import Configuration, is_of_ros
from fdr_recorder.errors import ConfigInvalidError
import yaml

NODE: Final = 'fdr_recorder'
_NAME: Final = r"(?:unknown parameter ')?([^':]+)(?:'|: )"
"""Of the parameter, at the beginning of a mistake."""
_ANY_NODE: Final = ('/**', '/*')


def read_parameter_file(path: Path, node: str = NODE) -> dict[str, object]:
    """
    Return the parameters of a node by dotted name.

    Parameters for any node (`/**`) come first; those for a node of this name, in any namespace,
    override them.

    Raises:
        ConfigInvalidError: It is not a parameter file, or has nothing for the node.
        OSError: It cannot be read.

    """
    try:
        tree = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        what = f'{path} is not YAML: {" ".join(str(error).split())}'
        raise ConfigInvalidError([what]) from error
    sections = tree if isinstance(tree, dict) else {}
    found: dict[str, object] = {}
    is_found = False
    for name in sorted(sections, key=lambda name: name not in _ANY_NODE):
        is_ours = name in _ANY_NODE or str(name).rpartition('/')[2] == node
        parameters = _parameters(sections[name])
        if is_ours and parameters is not None:
            found.update(_flatten(parameters))
            is_found = True
    if not is_found:
        what = f'has no ros__parameters for /** or {node}; see config/recorder.yaml'
        raise ConfigInvalidError([f'{path} {what}'])
    return {
        name: value
        for name, value in found.items()
        if value is not None and not is_of_ros(name)
    }


def _parameters(section: object) -> Mapping[Any, Any] | None:
    parameters = section.get('ros__parameters') if isinstance(section, dict) else None
    return parameters if isinstance(parameters, dict) else None


def _flatten(tree: Mapping[Any, Any], prefix: str = '') -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', value


def mistakes_in_files(
    paths: Iterable[Path], config: type[Configuration], node: str = NODE
) -> list[str]:
    """Return what is wrong in parameter files: that they cannot be read, or wrong parameters."""
    mistakes = []
    for path in paths:
        try:
            config.from_options(read_parameter_file(path, node))
        except ConfigInvalidError as error:
            mistakes += located(error.mistakes, [path])
        except OSError as error:
            mistakes.append(f'{path}: {error.strerror}')
    return mistakes


def parameter_files(arguments: Sequence[str]) -> list[Path]:
    """Return the parameter files that a node's command line names, in order."""
    return [Path(path) for option, path in pairwise(arguments) if option == '--params-file']


def located(mistakes: Iterable[str], paths: Iterable[Path]) -> list[str]:
    """Return mistakes in a configuration, with file and line where the files have the name."""
    places: dict[str, str] = {}
    for path in paths:
        with suppress(OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
            tree = yaml.compose(path.read_text(encoding='utf-8'), yaml.SafeLoader)
            places.update(
                (name, f'{path}, line {line}')
                for section in _items(tree)
                for parameters in _items(section[1])
                for name, line in _lines(parameters[1])
            )
    found = []
    for mistake in mistakes:
        match = re.match(_NAME, mistake)
        place = places.get(match[1]) if match else None
        found.append(f'{mistake} ({place})' if place else mistake)
    return found


def _items(node: yaml.Node | None) -> Sequence[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else ()


def _lines(node: yaml.Node, prefix: str = '') -> Iterator[tuple[str, int]]:
    """Yield the dotted name of each parameter, and its line."""
    for key, value in _items(node):
        name = f'{prefix}{key.value}'
        yield name, key.start_mark.line + 1
        yield from _lines(value, f'{name}.')


def write_parameter_file(path: Path, options: Mapping[str, object]) -> None:
    """Write parameters for any node; ROS 2 cannot parse `[]`, so an empty list is `['']`."""
    parameters = {name: [''] if value == [] else value for name, value in options.items()}
    path.write_text(yaml.safe_dump({'/**': {'ros__parameters': parameters}}), encoding='utf-8')
