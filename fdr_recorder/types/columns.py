# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Columns of a table: what many messages have in the same field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Union

from fdr_recorder.types.cdr_layout import FILLER
import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Numbers:
    """Numbers or booleans, one a row."""

    values: npt.NDArray[np.generic]


@dataclass(frozen=True)
class Texts:
    """
    Texts, or lists of bytes, one a row.

    Attributes:
        data: All of them, one after the other. Texts are valid UTF-8.
        offsets: Where each begins, and where the last one ends.
        is_binary: They are lists of bytes.

    """

    data: Bytes
    offsets: Integers
    is_binary: bool = False


@dataclass(frozen=True)
class Lists:
    """
    Lists, one a row.

    Attributes:
        items: The elements of all of them, one after the other.
        offsets: Where each begins, and where the last one ends.

    """

    items: Column
    offsets: Integers


@dataclass(frozen=True)
class Structs:
    """Structures, one a row: a column for each field."""

    fields: dict[str, Column]


Column = Union[Numbers, Texts, Lists, Structs]  # noqa: UP007 - of classes that are not yet defined


def flattened(fields: dict[str, Column], prefix: str = '') -> Iterator[tuple[str, Column]]:
    """Yield the columns in structures by dotted names; lists of structures stay lists."""
    for name, column in fields.items():
        if isinstance(column, Structs):
            yield from flattened(column.fields, f'{prefix}{name}.')
        elif name != FILLER:
            yield prefix + name, column
