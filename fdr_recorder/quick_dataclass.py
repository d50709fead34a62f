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
Dataclasses that are quick to import: `from fdr_recorder.quick_dataclass import dataclass`.

The decorator of the standard library writes and compiles up to six functions for each class, which
takes most of a millisecond of every start of the recorder, seventy times. Here all classes share
these functions, which go by the fields. For type checkers it is that of the standard library, and
its `field`, `fields`, `replace` and `asdict` are used with it.

To make an instance takes longer: 3 us instead of 1 us with six fields. What is made for each
message is a `NamedTuple`, or no object at all.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from dataclasses import Field, fields, FrozenInstanceError, MISSING
from functools import cache
from typing import Any, TYPE_CHECKING

__all__ = ['dataclass']

_fields_of = cache(fields)


@cache
def _positional(cls: type[Any]) -> tuple[str, ...]:
    return tuple(item.name for item in fields(cls) if not item.kw_only)


@cache
def _compared(cls: type[Any]) -> tuple[str, ...]:
    return tuple(item.name for item in fields(cls) if item.compare)


def _init(self: object, *values: object, **named: object) -> None:
    cls: Any = type(self)
    if values:
        names = _positional(cls)
        if len(values) > len(names):
            raise TypeError(f'{cls.__name__}() takes at most {len(names)} positional arguments')
        named = dict(**dict(zip(names, values, strict=False)), **named)
    for item in _fields_of(cls):
        value = named.pop(item.name, MISSING)
        object.__setattr__(self, item.name, _default(cls, item) if value is MISSING else value)
    if named:
        raise TypeError(f'{cls.__name__}() got unexpected arguments: {", ".join(named)}')
    if hasattr(self, '__post_init__'):
        self.__post_init__()


def _default(cls: type[Any], item: Field[Any]) -> object:
    if item.default_factory is not MISSING:
        return item.default_factory()
    if item.default is MISSING:
        raise TypeError(f'{cls.__name__}() is missing the argument {item.name!r}')
    return item.default


def _repr(self: object) -> str:
    cls: Any = type(self)
    said = (f'{item.name}={getattr(self, item.name)!r}' for item in _fields_of(cls))
    return f'{cls.__qualname__}({", ".join(said)})'


def _eq(self: object, other: object) -> bool:
    return _content(self) == _content(other) if type(other) is type(self) else NotImplemented


def _hash(self: object) -> int:
    return hash(_content(self))


def _content(self: object) -> tuple[object, ...]:
    cls: Any = type(self)
    return tuple([getattr(self, name) for name in _compared(cls)])


def _setattr(_: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f'cannot assign to field {name!r}')


def _delattr(_: object, name: str) -> None:
    raise FrozenInstanceError(f'cannot delete field {name!r}')


def _dataclass(
    cls: type[Any] | None = None,
    /,
    *,
    eq: bool = True,
    frozen: bool = False,
    kw_only: bool = False,
    slots: bool = False,
) -> Callable[[type[Any]], type[Any]] | type[Any]:
    """Make a dataclass as that of the standard library does, with methods that all share."""
    methods: dict[str, Any] = {'__init__': _init, '__repr__': _repr}
    if eq:
        methods |= {'__eq__': _eq, '__hash__': _hash if frozen else None}
    if frozen:
        methods |= {'__setattr__': _setattr, '__delattr__': _delattr}

    def decorate(cls: type[Any]) -> type[Any]:
        cls = dataclasses.dataclass(
            init=False, repr=False, eq=False, kw_only=kw_only, slots=slots
        )(cls)
        for name, method in methods.items():
            if name not in vars(cls):
                setattr(cls, name, method)
        return cls

    return decorate if cls is None else decorate(cls)


if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _dataclass
