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
Options: fields of a frozen dataclass, declared once with default, meaning, range and check.

All checks are here: a constructed `Configuration` is valid, and `ConfigInvalidError` names every
mistake at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields
import math
from typing import Any, cast, ClassVar, Literal, NamedTuple, TypeVar

from fdr_recorder.errors import ConfigInvalidError
from fdr_recorder.quick_dataclass import dataclass

Changeable = Literal['unconfigured', 'always', 'never']

_Config = TypeVar('_Config', bound='Configuration')


class Option(NamedTuple):
    """
    The description of an option, for checks and for ROS parameter descriptors.

    Attributes:
        description: Its meaning and unit.
        minimum: The least value; None for no limit.
        maximum: The greatest value; None for no limit.
        choices: The allowed values; empty for any.
        changeable: In which state of the node its parameter can be changed.
        check: Returns what is wrong with a value beyond type and range; empty if it is valid.

    """

    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    changeable: Changeable
    check: Callable[[Any], str]

    def mistake(self, value: object, default: object) -> str:
        """Return what is wrong with a value; empty if it is valid."""
        if isinstance(default, tuple):
            if not isinstance(value, tuple) or not all(isinstance(part, str) for part in value):
                return f'must be a list of strings, not {value!r}'
        elif isinstance(default, float):
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or (isinstance(value, float) and not math.isfinite(value)):
                return f'must be a number, not {value!r}'
        elif type(value) is not type(default):
            kind = {bool: 'true or false', int: 'a whole number', str: 'a string'}[type(default)]
            hint = '; put it in quotes' if isinstance(default, str) else ''
            return f'must be {kind}, not {value!r}{hint}'
        if self.choices and value not in self.choices:
            return f'must be one of {", ".join(self.choices)}, not {value!r}'
        if self.minimum is not None and cast('float', value) < self.minimum:
            return f'must be at least {self.minimum}, not {value!r}'
        if self.maximum is not None and cast('float', value) > self.maximum:
            return f'must be at most {self.maximum}, not {value!r}'
        return self.check(value)


Options = Mapping[str, tuple[Any, Option]]
"""Options by dotted name: default and description."""


def option(
    default: object,
    description: str,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    *,
    changeable: Changeable = 'unconfigured',
    check: Callable[[Any], str] = lambda _: '',
) -> Any:  # noqa: ANN401 - like dataclasses.field
    """Declare an option of a `Configuration`."""
    said = Option(description, minimum, maximum, choices, changeable, check)
    return field(default=default, metadata={'option': said})


_OF_ROS = ('use_sim_time', 'start_type_description_service')


def is_of_ros(name: str) -> bool:
    """Return whether a parameter belongs to ROS itself, which any node accepts."""
    return name in _OF_ROS or name.startswith('qos_overrides.')


@dataclass(frozen=True)
class Configuration:
    """
    Options, and parts that are themselves configurations.

    Raises:
        ConfigInvalidError: A value has the wrong type or lies outside its range.

    """

    PREFIX: ClassVar[str] = ''
    """Prefix of the dotted names of its options."""

    def __post_init__(self) -> None:
        """Check every value."""
        mistakes = []
        for name, (default, said) in self._own_options().items():
            if wrong := said.mistake(getattr(self, name), default):
                mistakes.append(f'{self.PREFIX}{name}: {wrong}')
        if mistakes:
            raise ConfigInvalidError(mistakes)

    @classmethod
    def options(cls) -> Options:
        """Return every option by dotted name, those of the parts last."""
        options = {cls.PREFIX + name: said for name, said in cls._own_options().items()}
        for part in cls._parts().values():
            options.update(part.options())
        return options

    @classmethod
    def from_options(cls: type[_Config], options: Mapping[str, object]) -> _Config:
        """
        Build a configuration from values by dotted option name; absent options have their default.

        Args:
            options: For example `{'flight_root': '/data', 'writer.batch_size': 64}`. Lists count
                as tuples; empty strings in lists are left out, because a ROS parameter file
                cannot spell an empty list.

        Raises:
            ConfigInvalidError: Names every unknown option and every wrong value.

        """
        known = cls.options()
        mistakes = [_unknown(name, known) for name in options if name not in known]
        config = cls._build(options, mistakes)
        if config is None or mistakes:
            raise ConfigInvalidError(mistakes)
        return config

    def to_options(self) -> dict[str, bool | int | float | str | list[str]]:
        """Return every value by dotted option name, as `from_options` accepts it."""
        result = {}
        for name in self._own_options():
            value = getattr(self, name)
            result[self.PREFIX + name] = list(value) if isinstance(value, tuple) else value
        for name in self._parts():
            result |= getattr(self, name).to_options()
        return result

    @classmethod
    def _build(
        cls: type[_Config], options: Mapping[str, object], mistakes: list[str]
    ) -> _Config | None:
        """Construct it from the options that are its own; add mistakes to the list."""
        values: dict[str, Any] = {
            name: part._build(options, mistakes) for name, part in cls._parts().items()
        }
        for name in cls._own_options():
            if (dotted := cls.PREFIX + name) in options:
                value = options[dotted]
                if isinstance(value, (list, tuple)):
                    value = tuple(part for part in value if part != '')
                values[name] = value
        try:
            return cls(**values)
        except ConfigInvalidError as error:
            mistakes.extend(error.mistakes)
            return None

    @classmethod
    def _own_options(cls) -> Options:
        said = ((item, item.metadata.get('option')) for item in fields(cls))
        return {item.name: (item.default, option) for item, option in said if option}

    @classmethod
    def _parts(cls) -> dict[str, type[Configuration]]:
        return {
            item.name: cast('type[Configuration]', item.default_factory)
            for item in fields(cls)
            if 'option' not in item.metadata
        }


def _unknown(name: str, known: Iterable[str]) -> str:
    """Say that a parameter is unknown, and which one is probably meant."""
    from difflib import get_close_matches  # noqa: PLC0415 - for mistakes only

    whole = {option: option for option in known}
    names = {option.rpartition('.')[2]: option for option in known} | whole
    near = get_close_matches(name.lower(), whole, n=1, cutoff=0.8)
    near = near or get_close_matches(name.lower(), names, n=1, cutoff=0.7)
    hint = f"; did you mean '{names[near[0]]}'?" if near else ''
    return f"unknown parameter '{name}'{hint}"
