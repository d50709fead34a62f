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
Definitions of standard types, for bags whose files have none: those before ROS 2 Iron.

`rosbags` has them by distribution.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TYPE_CHECKING

from fdr_recorder.mcap.layout import ROS2MSG
from fdr_recorder.mcap.schema import Schema

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

_OLDEST_WITH_FILES: Final = 5
"""Humble writes version 5 of the bag metadata, Foxy and Galactic 4."""


class StandardTypes:
    """
    Knows types of one distribution.

    Attributes:
        used: Names of the types that were asked for, and are known.

    """

    def __init__(self, ros_distro: str = '', bag_version: int = 0) -> None:
        """Choose by what a bag says; without a word of it Humble, the last that needs this."""
        self._ros_distro, self._bag_version = ros_distro, bag_version
        self.used: set[str] = set()

    @property
    def distribution(self) -> str:
        """Return the name of the distribution."""
        older = 'foxy' if 0 < self._bag_version < _OLDEST_WITH_FILES else 'humble'
        return self._ros_distro if self._ros_distro in _stores() else older

    def find(self, name: str) -> Schema | None:
        """Return the schema of a type by its full name; None if it is not known."""
        schema = _find(self.distribution, name)
        if schema is not None:
            self.used.add(name)
        return schema

    @property
    def note(self) -> str:
        """Say in a sentence whose definitions were taken; empty if none was."""
        if not self.used:
            return ''
        names = ', '.join(sorted(self.used)[:5]) + (', ...' if len(self.used) > 5 else '')
        return (
            f'the files have no definition of {names}: '
            f'{"that" if len(self.used) == 1 else "those"} of ROS 2 '
            f'{self.distribution.capitalize()} {"is" if len(self.used) == 1 else "are"} taken'
        )


@lru_cache(maxsize=1)
def _stores() -> frozenset[str]:
    from rosbags.typesys import Stores  # noqa: PLC0415

    return frozenset(
        store.value.removeprefix('ros2_') for store in Stores if store.value.startswith('ros2_')
    )


@lru_cache(maxsize=2)
def _store(distribution: str) -> Typestore:
    from rosbags.typesys import get_typestore, Stores  # noqa: PLC0415

    return get_typestore(Stores(f'ros2_{distribution}'))


@lru_cache(maxsize=1024)
def _find(distribution: str, name: str) -> Schema | None:
    store = _store(distribution)
    if name not in store.fielddefs:
        return None
    definition, _ = store.generate_msgdef(name, ros_version=2)
    return Schema(name, definition, ROS2MSG)
