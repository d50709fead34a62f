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
CRCs of large messages, computed ahead in a thread of their own.

A chunk begins with the CRC of its records, so that a large message cannot be written before its
CRC is computed. While one message is being written, this thread computes the CRCs of those behind
it in the same batch; both release the interpreter lock. Handing them over costs processor time, so
this is done only while the writer is behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache
import queue
import threading
from typing import Final

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.mcap.checksum import crc32

LARGE_BYTES: Final = 256 * 1024
"""From this size on, computing a CRC takes longer than passing it to another thread."""

_POLYNOMIAL: Final = 0xEDB88320
"""Of the CRC-32, reflected: the highest power of x is the lowest bit."""
_ONE: Final = 1 << 31


class _Task:
    """The CRC of one message, computed by the thread that comes first."""

    __slots__ = ('_claim', '_done', 'crc', 'data')

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.crc = 0
        self._claim = threading.Lock()
        self._done = threading.Lock()
        self._done.acquire()

    def run(self) -> None:
        """Compute the CRC, unless another thread does or did."""
        if self._claim.acquire(blocking=False):
            self.crc = crc32((self.data,))
            self._done.release()

    def result(self) -> int:
        """Return the CRC; call it once."""
        self.run()
        self._done.acquire()
        return self.crc


class CrcAhead:
    """Computes CRCs of large messages before they are needed. Used by the writer's thread."""

    def __init__(self) -> None:
        """Start no thread until there is work."""
        self._tasks: deque[_Task] = deque()
        """In the order in which they will be needed."""
        self._queue: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def announce(self, batch: Sequence[QueuedRecord]) -> None:
        """
        Start computing the CRCs of records that will be written next, in this order.

        Call it while more records wait behind these. A single large message is not worth it:
        nothing is written meanwhile.
        """
        if batch[-1][4] - batch[0][4] < LARGE_BYTES:  # bytes that its ring has accepted
            return
        plain = (record[3] for record in batch if type(record[3]) is bytes)
        tasks = [_Task(data) for data in plain if len(data) >= LARGE_BYTES]
        if len(tasks) < 2:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name='fdr_crc', daemon=True)
            self._thread.start()
        self._tasks.clear()  # of an earlier batch whose end was not written
        self._tasks.extend(tasks)
        for task in tasks[1:]:
            self._queue.put(task)

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            task.run()

    def crc32(self, pieces: Iterable[bytes]) -> int:
        """Return the CRC-32 of the pieces one after the other."""
        crc = 0
        for piece in pieces:
            if self._tasks and self._tasks[0].data is piece:
                crc = combine(crc, self._tasks.popleft().result(), len(piece))
            else:
                crc = crc32((piece,), crc)
        return crc

    def stop(self) -> None:
        """End the thread. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()


def combine(first: int, second: int, second_length: int) -> int:
    """Return the CRC-32 of two pieces together, given that of each."""
    return _multiply(_power(second_length), first) ^ second


@lru_cache(maxsize=256)
def _power(length: int) -> int:
    """Return x to the power of 8 * length, modulo the polynomial."""
    result, square = _ONE, _ONE >> 8
    while length:
        if length & 1:
            result = _multiply(square, result)
        square = _multiply(square, square)
        length >>= 1
    return result


def _multiply(a: int, b: int) -> int:
    """Multiply two polynomials over GF(2), modulo the CRC's."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ (_POLYNOMIAL if b & 1 else 0)
    return product
