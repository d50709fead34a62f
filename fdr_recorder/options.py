# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
Options: fields of a frozen dataclass, declared once with default, meaning and range.

A configuration is a dataclass of options whose `__post_init__` calls `check`, so that its values
are valid. `from_options` builds one from dotted names, and reports all mistakes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, fields
import math
from typing import Any, cast, Literal, NamedTuple, TypeVar

from fdr_recorder.errors import ConfigInvalidError

Changeable = Literal['unconfigured', 'always', 'never']

_Config = TypeVar('_Config')


class Option(NamedTuple):
    """
    The description of an option, for checks and for ROS parameter descriptors.

    Attributes:
        description: Its meaning and unit.
        minimum: The least value; None for no limit.
        maximum: The greatest value; None for no limit.
        choices: The allowed values; empty for any.
        changeable: In which state of the node its parameter can be changed.

    """

    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    changeable: Changeable = 'unconfigured'


Options = Mapping[str, tuple[object, Option]]
"""Options by dotted name: default and description."""

Check = Callable[[Any], str]
"""Returns what is wrong with a value beyond type and range; empty if it is valid."""


def option(
    default: object,
    description: str,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    *,
    changeable: Changeable = 'unconfigured',
) -> Any:  # noqa: ANN401 - like dataclasses.field
    """Declare a field of a configuration dataclass, with its `Option`."""
    said = Option(description, minimum, maximum, choices, changeable)
    return field(default=default, metadata={'option': said})


def options_of(cls: type[object], prefix: str = '') -> Options:
    """Return the options of a configuration dataclass, without those of its parts."""
    return {
        prefix + item.name: (item.default, item.metadata['option'])
        for item in fields(cls)  # type: ignore[arg-type]
        if 'option' in item.metadata
    }


def check(config: object, prefix: str = '', checks: Mapping[str, Check] | None = None) -> None:
    """
    Check every value of a configuration object.

    Args:
        config: The object.
        prefix: Prefix of its options' dotted names.
        checks: Checks beyond type and range, by field.

    Raises:
        ConfigInvalidError: Names every value that has the wrong type or lies outside its range.

    """
    mistakes = []
    for name, (default, said) in options_of(type(config)).items():
        value = getattr(config, name)
        wrong = _mistake(value, default, said)
        if not wrong and checks is not None and name in checks:
            wrong = checks[name](value)
        if wrong:
            mistakes.append(f'{prefix}{name}: {wrong}')
    if mistakes:
        raise ConfigInvalidError(mistakes)


def from_options(
    cls: type[_Config], options: Mapping[str, object], **parts: type[object]
) -> _Config:
    """
    Build a configuration from values by dotted option name; absent options have their default.

    Args:
        cls: The configuration dataclass.
        options: The values. Lists count as tuples; empty strings in lists are left out, because
            a ROS parameter file cannot spell an empty list.
        parts: The dataclasses of fields that are themselves configurations.

    Raises:
        ConfigInvalidError: Names every unknown option and every wrong value.

    """
    known = set(options_of(cls)).union(
        *(options_of(part, f'{name}.') for name, part in parts.items())
    )
    mistakes = [f'{name}: there is no such option' for name in options if name not in known]
    nested = {
        name: _build(part, f'{name}.', options, mistakes) for name, part in parts.items()
    }
    config = _build(cls, '', options, mistakes, **nested)
    if mistakes:
        raise ConfigInvalidError(mistakes)
    return cast('_Config', config)


def _build(
    cls: type[_Config],
    prefix: str,
    options: Mapping[str, object],
    mistakes: list[str],
    **nested: object,
) -> _Config | None:
    """Construct `cls` from the options below `prefix`; add mistakes to the list, do not raise."""
    values: dict[str, Any] = dict(nested)
    for name in options_of(cls):
        if prefix + name in options:
            value = options[prefix + name]
            if isinstance(value, (list, tuple)):
                value = tuple(part for part in value if part != '')
            values[name] = value
    try:
        return cls(**values)
    except ConfigInvalidError as error:
        mistakes.extend(error.mistakes)
        return None


def _mistake(value: object, default: object, said: Option) -> str:
    """Return what is wrong with a value's type or range; empty if it is valid."""
    if isinstance(default, tuple):
        if not isinstance(value, tuple) or not all(isinstance(part, str) for part in value):
            return f'must be a list of strings, not {value!r}'
        return ''
    if isinstance(default, float):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or (isinstance(value, float) and not math.isfinite(value)):
            return f'must be a number, not {value!r}'
    elif type(value) is not type(default):
        kind = {bool: 'true or false', int: 'a whole number', str: 'a string'}[type(default)]
        return f'must be {kind}, not {value!r}'
    if said.choices and value not in said.choices:
        return f'must be one of {", ".join(said.choices)}, not {value!r}'
    if said.minimum is not None and cast('float', value) < said.minimum:
        return f'must be at least {said.minimum}, not {value!r}'
    if said.maximum is not None and cast('float', value) > said.maximum:
        return f'must be at most {said.maximum}, not {value!r}'
    return ''
