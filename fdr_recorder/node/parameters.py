# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""ROS parameters from the configuration: one for each option, with description and range."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import sys
from typing import Any, Generic, TypeVar

from fdr_recorder.config_base import Configuration, is_of_ros, Option
from fdr_recorder.errors import ConfigInvalidError
from fdr_recorder.parameter_file import located, parameter_files
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    NameValidationException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

_Config = TypeVar('_Config', bound=Configuration)


@contextmanager
def valid_name(option: str) -> Iterator[None]:
    """Raise `ConfigInvalidError` if ROS finds that the name in an option is not valid."""
    try:
        yield
    except (NameValidationException, RuntimeError) as error:  # by the kind of mistake
        raise ConfigInvalidError([f'{option}: {error}']) from error


class Parameters(Generic[_Config]):
    """Declare the parameters of a node, read them, and check every change."""

    def __init__(
        self,
        node: Node,
        config: type[_Config],
        why_fixed: Callable[[], str],
        apply: Callable[[], None] = lambda: None,
        check: Callable[[_Config], object] = lambda _: None,
    ) -> None:
        """
        Declare a parameter for each option of a configuration.

        Args:
            node: The node.
            config: The configuration's class.
            why_fixed: Returns why no parameter can change now; an empty text if they can.
            apply: Called after parameters have changed.
            check: Raises ConfigInvalidError for values that are wrong for this node alone.

        """
        self._node = node
        self._config = config
        self._options = config.options()
        self._why_fixed = why_fixed
        self._apply = apply
        self._check = check
        for name, (default, option) in self._options.items():
            self._declare(name, default, option)
        self._unknown = self._find_unknown()
        node.add_on_set_parameters_callback(self._on_set)
        node.add_post_set_parameters_callback(self._after_set)

    def _declare(self, name: str, default: object, option: Option) -> None:
        """
        Declare one parameter, even if the parameter file has a wrong value for it.

        A wrong value is kept, so that configure reports all wrong values together; refusing it
        here would end the process at the first.
        """
        value: Any = list(default) or [''] if isinstance(default, tuple) else default
        try:
            self._node.declare_parameter(name, value, _descriptor(default, option))
        except (InvalidParameterTypeException, InvalidParameterValueException):
            loose = _descriptor(None, option)
            loose.dynamic_typing = True
            self._node.declare_parameter(name, value, loose)

    def _find_unknown(self) -> dict[str, object]:
        """
        Return the values given at start for parameters that nobody has declared.

        The node does not tell; its handle is asked, as rclpy does.
        """
        with self._node.handle:
            given = self._node.handle.get_parameters(Parameter)
        return {
            name: parameter.value
            for name, parameter in given.items()
            if not self._node.has_parameter(name) and not is_of_ros(name)
        }

    def read(self) -> _Config:
        """
        Return the configuration that the parameters describe.

        Raises:
            ConfigInvalidError: Names every wrong value and every unknown parameter, and where in
                the parameter files of the command line it stands.

        """
        # an empty list in a parameter file has no type and arrives as no value
        values = {name: self._node.get_parameter_or(name).value for name in self._options}
        given = {name: value for name, value in values.items() if value is not None}
        try:
            config = self._config.from_options(given | self._unknown)
            self._check(config)
        except ConfigInvalidError as error:
            mistakes = located(error.mistakes, parameter_files(sys.argv))
            raise ConfigInvalidError(mistakes) from error
        return config

    def _ours(self, parameters: Sequence[Parameter[Any]]) -> dict[str, object]:
        return {item.name: item.value for item in parameters if item.name in self._options}

    def _on_set(self, parameters: Sequence[Parameter[Any]]) -> SetParametersResult:
        ours = self._ours(parameters)
        reasons = [f'{name}: {reason}' for name in ours if (reason := self._why_not(name))]
        if not reasons:
            try:
                self._check(self._config.from_options(ours))
            except ConfigInvalidError as error:
                reasons = [*error.mistakes]
        return SetParametersResult(successful=not reasons, reason='; '.join(reasons))

    def _why_not(self, name: str) -> str:
        changeable = self._options[name][1].changeable
        if changeable == 'never':
            return 'is read when the process starts; restart it with another value'
        return self._why_fixed() if changeable == 'unconfigured' else ''

    def _after_set(self, parameters: Sequence[Parameter[Any]]) -> None:
        if self._ours(parameters):
            self._apply()


def _descriptor(default: object, option: Option) -> ParameterDescriptor:
    """Describe a parameter; with its range if the default is a number."""
    said = [f'one of {", ".join(option.choices)}'] if option.choices else []
    if option.changeable == 'always':
        said.append('can be changed at any time')
    descriptor = ParameterDescriptor(
        description=option.description, additional_constraints='; '.join(said)
    )
    limits = {'from_value': option.minimum, 'to_value': option.maximum}
    if None in limits.values():
        return descriptor
    if isinstance(default, float):
        descriptor.floating_point_range = [FloatingPointRange(**limits)]
    elif isinstance(default, int):
        descriptor.integer_range = [IntegerRange(**limits, step=1)]
    return descriptor
