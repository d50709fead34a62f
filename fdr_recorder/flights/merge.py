# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Merges messages of chunks that overlap, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from operator import attrgetter
from typing import Final

from fdr_recorder.mcap.decode import Message

MOST_HELD_BYTES: Final = 128 << 20
"""So much data waits for chunks that begin later; where more overlap, order is lost."""


def merged(batches: Iterable[Sequence[Message]]) -> Iterator[Message]:
    """
    Yield messages in the order of their log times.

    Args:
        batches: Those of each chunk; chunks come in the order of their earliest log times. What
            lies in no such order comes in the order of each batch alone.

    """
    held: list[tuple[int, int, Message]] = []
    held_bytes = count = 0
    for batch in batches:
        messages = sorted(batch, key=attrgetter('log_time_ns'))
        start_ns = messages[0].log_time_ns
        for message in messages:
            heappush(held, (message.log_time_ns, count, message))
            held_bytes += len(message.data)
            count += 1
        while held and (held[0][0] < start_ns or held_bytes > MOST_HELD_BYTES):
            message = heappop(held)[2]
            held_bytes -= len(message.data)
            yield message
    while held:
        yield heappop(held)[2]
