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
Import the Python class of a message type, and derive the text of its definition from the class.

`rclpy` cannot subscribe without the class, not even to serialised messages: the class gives access
to the type support library.
"""

from __future__ import annotations

from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
import os
import re
import sys
from types import ModuleType
from typing import Any, Final

from ament_index_python.packages import get_package_prefix
from fdr_recorder.errors import RecordError
from fdr_recorder.types.definition import Field
from rclpy.type_support import check_for_type_support
from rosidl_parser import definition as idl

_BASIC_TYPES: Final = {'boolean': 'bool', 'octet': 'byte', 'float': 'float32', 'double': 'float64'}
"""Types with different names in IDL and in `.msg` files."""
_NAME: Final = re.compile(r'([A-Za-z]\w*)/(msg|srv|action)/([A-Za-z]\w*)', re.ASCII)
_NOT_IN_MSG: Final = ('char', 'wchar', 'long double')


def import_message_class(type_name: str) -> type[Any]:
    """
    Return the class of a message type (`sensor_msgs/msg/Imu`), with its type support loaded.

    Raises:
        RecordError: The type is not installed here; the text says what to do.

    """
    match = _NAME.fullmatch(type_name)
    if match is None:
        raise RecordError(f'{type_name[:100]!r} is no name of a type; ROS 2 has package/msg/Type')
    package, kind, name = match.groups()
    if not _is_installed(package, kind):
        distro = os.environ.get('ROS_DISTRO', '<distro>')
        raise RecordError(
            f'{package} is not installed here; install it (ros-{distro}-'
            f'{package.replace("_", "-")}), or source the workspace that has it and start '
            'again'
        )
    try:
        return _import(package, kind, name)
    except (RecordError, KeyboardInterrupt):
        raise
    except BaseException as error:  # code of others: it may even call `sys.exit`
        raise RecordError(
            f'{package} is installed here, but cannot be used: {_described(error)}; reinstall it'
        ) from error


def _is_installed(package: str, kind: str) -> bool:
    """
    Return whether there is a Python package of messages, without importing anything.

    A type's name comes from whoever publishes it: it must not choose which modules are run. So a
    package has to be one of ROS, or to have a module for its messages.
    """
    try:
        spec = find_spec(package)
    except (ImportError, ValueError, AttributeError):
        return False
    if spec is None or spec.submodule_search_locations is None:
        return False
    try:
        get_package_prefix(package)
    except (LookupError, OSError, ValueError):
        name = f'{package}.{kind}'
        return PathFinder.find_spec(name, list(spec.submodule_search_locations)) is not None
    return True


def _import(package: str, kind: str, name: str) -> type[Any]:
    module = import_module(f'{package}.{kind}')
    found: type[Any] | None = getattr(module, name, None) or _hidden_class(module, name)
    if found is None:
        raise RecordError(
            f'the {package} that is installed here has no {name}; install a newer version'
        )
    try:
        check_for_type_support(found)
    except Exception as error:  # loading an incompatible library can raise anything
        raise RecordError(
            f'the library of {package}/{kind}/{name} cannot be loaded: {_described(error)}; '
            f'reinstall {package}'
        ) from error
    return found


def _described(error: BaseException) -> str:
    """Return an error as text, which its own methods may refuse."""
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__


def _hidden_class(module: ModuleType, name: str) -> type[Any] | None:
    """Find a class in the module of its action, such as `Fibonacci_FeedbackMessage`."""
    action = getattr(module, name.partition('_')[0], None)
    return getattr(sys.modules[action.__module__], name, None) if action else None


def text_of_class(message_class: type[Any]) -> str:
    """
    Return the text of a type in the syntax of `.msg` files: constants, fields and defaults.

    Raises:
        RecordError: The syntax cannot express a field.

    """
    meta = type(message_class)
    constants = getattr(meta, f'_{meta.__name__.lstrip("_")}__constants', {})
    lines = [_constant(name, value) for name, value in constants.items()]
    names = message_class.get_fields_and_field_types()
    for name, slot_type in zip(names, message_class.SLOT_TYPES, strict=True):
        default = getattr(message_class, f'{name.upper()}__DEFAULT', None)
        text = '' if default is None else f' {_value(default)}'
        lines.append((_field(name, slot_type).msg() + text).rstrip())
    return ''.join(f'{line}\n' for line in lines if line)


def _field(name: str, slot_type: idl.AbstractType) -> Field:
    """Return a field by its type in `SLOT_TYPES` of the class."""
    if isinstance(slot_type, idl.Array):
        return _field(name, slot_type.value_type)._replace(is_array=True, size=slot_type.size)
    if isinstance(slot_type, idl.AbstractSequence):
        item = _field(name, slot_type.value_type)
        return item._replace(is_sequence=True, size=_bound(slot_type))
    if isinstance(slot_type, idl.AbstractGenericString):
        type_name = 'wstring' if isinstance(slot_type, idl.AbstractWString) else 'string'
        return Field(name, type_name, _bound(slot_type))
    if isinstance(slot_type, idl.NamespacedType):
        return Field(name, '/'.join(slot_type.namespaced_name()))
    assert isinstance(slot_type, idl.BasicType)
    if slot_type.typename in _NOT_IN_MSG:
        msg = f'{name}: a .msg file cannot have a field of type {slot_type.typename}'
        raise RecordError(msg)
    return Field(name, _BASIC_TYPES.get(slot_type.typename, slot_type.typename))


def _bound(slot_type: idl.AbstractSequence | idl.AbstractGenericString) -> int:
    return int(getattr(slot_type, 'maximum_size', 0)) if slot_type.has_maximum_size() else 0


def _constant(name: str, value: object) -> str:
    """Return a constant as a line; its exact numeric type is unknown to the class."""
    type_name = {bool: 'bool', int: 'int64', float: 'float64', bytes: 'byte'}.get(
        type(value), 'string'
    )
    if isinstance(value, int) and value >= 2**63:
        type_name = 'uint64'
    text = _value(value)
    return f'{type_name} {name}={text}' if text else ''


def _value(value: object) -> str:
    """Return a default or a constant as text; empty if the syntax cannot express it."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, bytes):
        return str(value[0])
    if isinstance(value, str):
        quote = "'" if '"' in value else '"'
        return f'{quote}{value}{quote}' if value.isprintable() and quote not in value else ''
    if isinstance(value, (int, float)):
        return repr(value)
    items: Any = value.tolist() if hasattr(value, 'tolist') else value
    texts = [_value(item) for item in items]
    return f'[{", ".join(texts)}]' if all(texts) else ''
