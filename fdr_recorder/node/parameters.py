"""The configuration as ROS parameters: one for each option, with its description and range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from fdr_recorder.config import OPTIONS, FdrConfig, Option
from fdr_recorder.errors import ConfigInvalidError


class Parameters:
    """Declares the parameters of a node, reads them at configure, guards them afterwards."""

    def __init__(self, node: Node, is_changeable: Callable[[], str]) -> None:
        """Declare all parameters.

        Args:
            node: The node that gets them.
            is_changeable: Returns why a parameter cannot be changed now; nothing if it can.

        """
        self._node = node
        self._is_changeable = is_changeable
        for name, (default, option) in OPTIONS.items():
            self._declare(name, default, option)
        node.add_on_set_parameters_callback(self._on_set)

    def _declare(self, name: str, default: object, option: Option) -> None:
        """Declare one parameter, even if the parameter file has a wrong value for it.

        A wrong value is kept as it is: configure then reports all wrong values at once, where
        refusing it here would end the process at the first.
        """
        value: Any = list(default) or [''] if isinstance(default, tuple) else default
        try:
            self._node.declare_parameter(name, value, _descriptor(default, option))
        except (InvalidParameterTypeException, InvalidParameterValueException):
            loose = ParameterDescriptor(
                description=option.description, additional_constraints=_range(option),
                dynamic_typing=True,
            )
            self._node.declare_parameter(name, value, loose)

    def read(self) -> FdrConfig:
        """Return the configuration that the parameters describe.

        Raises:
            ConfigInvalidError: Names every wrong value.

        """
        return FdrConfig.from_options(self._values())

    def _values(self) -> dict[str, object]:
        # a parameter file's empty list has no type and arrives as no value at all
        values = {name: self._node.get_parameter_or(name).value for name in OPTIONS}
        return {name: value for name, value in values.items() if value is not None}

    def _on_set(self, parameters: Sequence[Parameter[Any]]) -> SetParametersResult:
        ours = {
            parameter.name: parameter.value
            for parameter in parameters
            if parameter.name in OPTIONS
        }
        if not ours:
            return SetParametersResult(successful=True)
        reason = self._is_changeable()
        if reason:
            return SetParametersResult(successful=False, reason=f'{", ".join(ours)}: {reason}')
        try:
            FdrConfig.from_options(ours)
        except ConfigInvalidError as error:
            return SetParametersResult(successful=False, reason='; '.join(error.mistakes))
        return SetParametersResult(successful=True)


def _descriptor(default: object, option: Option) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=option.description, additional_constraints=_range(option)
    )
    if option.minimum is None or option.maximum is None:
        return descriptor
    if isinstance(default, float):
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=option.minimum, to_value=option.maximum)
        ]
    else:
        descriptor.integer_range = [
            IntegerRange(from_value=int(option.minimum), to_value=int(option.maximum), step=1)
        ]
    return descriptor


def _range(option: Option) -> str:
    return f'one of {", ".join(option.choices)}' if option.choices else ''
