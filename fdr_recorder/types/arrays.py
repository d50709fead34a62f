# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Arrays of many messages and numbers at once, so that Python runs per chunk, not per message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Messages:
    """
    Serialised messages of one channel. All columns have the same length.

    Attributes:
        buffer: Holds their data.
        start: Offset of each message in it.
        length: Bytes of each message.
        log_time_ns: When each message was received.

    """

    buffer: Bytes
    start: Integers
    length: Integers
    log_time_ns: Integers

    def data(self) -> Iterator[tuple[int, bytes]]:
        """Yield the log time and the data of each message."""
        for time_ns, start, length in zip(
            self.log_time_ns.tolist(), self.start.tolist(), self.length.tolist(), strict=True
        ):
            yield time_ns, self.buffer[start:start + length].tobytes()


def numbers_at(buffer: Bytes, places: Integers, dtype: str) -> Any:  # noqa: ANN401 - of that dtype
    """Return the number at each place; all places must be inside the buffer."""
    width = np.dtype(dtype).itemsize
    return buffer[places[:, None] + np.arange(width)].view(dtype)[:, 0]
