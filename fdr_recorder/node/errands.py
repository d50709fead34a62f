# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Calls that touch a disk, made for the executor's thread, which must not hang with the disk."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
import logging
from pathlib import Path
import threading
import time
from typing import Final, TypeVar

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.errors import DiskStalledError
from fdr_recorder.storage.disk_pulse import STALL_S

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 3.0
"""So long a transition waits for a call. Recovery is waited for within, see `background_recovery`.
A healthy disk needs milliseconds for the rest."""

_Result = TypeVar('_Result')


class Errands:
    """
    Makes calls in a thread of their own, one at a time, and waits for them with a deadline.

    Raises `disk_stalled` while a call takes too long, and clears it when the call has ended. All
    methods are called in the executor's thread.
    """

    def __init__(self, alerts: AlertBoard) -> None:
        self._alerts = alerts
        self._thread: threading.Thread | None = None
        self._place: Path | str = ''
        self._since = 0.0

    def run(
        self,
        place: Path | str,
        call: Callable[[], _Result],
        promise: str,
        *,
        undo: Callable[[_Result], object] = lambda _result: None,
        patience_s: float = PATIENCE_S,
    ) -> _Result:
        """
        Make a call; return what it returns, or raise what it raises.

        Args:
            place: Whose disk it touches, for messages.
            call: What to do.
            promise: What `DiskStalledError` says of the time when the disk answers again.
            undo: Called with the result if nobody waits for it any more.
            patience_s: How long to wait.

        Raises:
            DiskStalledError: The call takes longer, or the call before still does.

        """
        if self._thread is not None and self._thread.is_alive():
            raise self._stalled(promise)
        result: Future[_Result] = Future()
        work = [call, result, undo]
        self._thread = threading.Thread(
            target=self._work, args=work, name='fdr_errand', daemon=True
        )
        self._place, self._since = place, time.monotonic()
        self._thread.start()
        if not wait([result], STALL_S).done:
            error = self._stalled(promise)
            self._alerts.raise_alert('disk_stalled', str(error))
            wait([result], patience_s - STALL_S)
            if result.cancel():
                raise self._stalled(promise)
            self._clear()
        return result.result()

    def _work(
        self,
        call: Callable[[], _Result],
        result: Future[_Result],
        undo: Callable[[_Result], object],
    ) -> None:
        try:
            value = call()
        except BaseException as error:  # propagates to who waits
            if result.set_running_or_notify_cancel():
                result.set_exception(error)
        else:
            if result.set_running_or_notify_cancel():
                result.set_result(value)
            else:
                self._undo(undo, value)
        if result.cancelled():
            self._clear()

    def _undo(self, undo: Callable[[_Result], object], value: _Result) -> None:
        try:
            undo(value)
        except Exception:
            logger.exception('%s: what nobody waited for could not be undone', self._place)

    def _clear(self) -> None:
        self._alerts.clear('disk_stalled', 'the disk answers again')

    def _stalled(self, promise: str) -> DiskStalledError:
        return DiskStalledError(self._place, time.monotonic() - self._since, promise)
