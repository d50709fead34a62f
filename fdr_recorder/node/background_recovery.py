# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Recovery of unclosed flights in the background: take-off does not wait for it."""

from __future__ import annotations

import logging
from pathlib import Path
import threading
from typing import Final, TYPE_CHECKING

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.config import SealConfig
from fdr_recorder.flights.directory import flight_directories
from fdr_recorder.storage.flight_root import FlightRoot
from fdr_recorder.units import plural

if TYPE_CHECKING:
    from fdr_recorder.flights.recovery.recover import Failure

logger = logging.getLogger(__name__)

_NAMED: Final = 5
"""How many flights an alert names."""

NOT_SEALED: Final = SealConfig()

PATIENCE_S: Final = 1.0
"""How long configure waits for it. Most recoveries take less."""


class BackgroundRecovery:
    """
    Recover unclosed flights in a thread of its own.

    It takes only flights that exist at its start: a flight that opens later is not touched. Those
    that stay unclosed are named by an alert.
    """

    def __init__(
        self,
        root: FlightRoot,
        alerts: AlertBoard,
        *,
        may_change: bool,
        seal: SealConfig = NOT_SEALED,
    ) -> None:
        """
        Start; return when the recovery has ended, or after `PATIENCE_S`.

        Args:
            root: The owned root.
            alerts: Where the outcome is told.
            may_change: Whether to recover; if not, unclosed flights are only named.
            seal: The key that signs what is added to flights that are sealed.

        """
        self._left: list[Path] = []
        self._may_change = may_change
        self._seal = seal
        self._root = root
        self._alerts = alerts
        self._flights = flight_directories(root.path)
        self._must_stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='fdr_recovery', daemon=True)
        self._thread.start()
        self._thread.join(PATIENCE_S)

    def stop(self) -> None:
        """Stop where it is; the next recovery continues. Idempotent."""
        self._must_stop.set()
        self._thread.join()
        for code in ('unclean_flight_recovered', 'unclean_flight_left'):
            self._alerts.clear(code, 'the flight root is released')

    def _run(self) -> None:
        """Look for unclosed flights; load what can read flights only where there is one."""
        if not self._flights:
            return
        try:
            if self._may_change:
                self._recover()
            else:
                self._look()
        except Exception:
            logger.exception('recovery failed; recording is not affected')

    def _look(self) -> None:
        from fdr_recorder.flights.recovery.recover import needs_recovery  # noqa: PLC0415

        for flight in self._flights:
            if self._must_stop.is_set():
                return
            if needs_recovery(flight):
                self._leave(flight, 'recover_on_configure is false')

    def _leave(self, flight: Path, reason: Failure | str) -> None:
        logger.warning('%s was never closed; it is left as it is: %s', flight, reason)
        self._left.append(flight)
        names = ', '.join(path.name for path in self._left[:_NAMED])
        more = len(self._left) - _NAMED
        self._alerts.raise_alert(
            'unclean_flight_left',
            f'never closed, and left as they are: {names}'
            + (f' and {more} more' if more > 0 else '')
            + f' ({reason}); see `fdr recover {self._root.path}`',
            values={'flights': len(self._left)},
        )

    def _recover(self) -> None:
        from fdr_recorder.flights.recovery.added_segment import vehicle_identity  # noqa: PLC0415
        from fdr_recorder.flights.recovery.recover import recover_root  # noqa: PLC0415

        recovered = recover_root(
            self._root,
            flights=self._flights,
            should_stop=self._must_stop.is_set,
            on_failure=self._leave,
            identify=vehicle_identity(self._seal),
        )
        for count, flight in enumerate(recovered, 1):
            message = (
                f'{flight.path.name} was never closed; it is recovered: '
                f'{plural(flight.footer.records_written, "record")}, '
                f'{plural(flight.cut_bytes, "byte")} cut'
            )
            logger.info('%s in %.1f s', message, flight.seconds)
            flights = f'{plural(count, "flight")} are recovered; last: '
            self._alerts.raise_alert(
                'unclean_flight_recovered', message if count == 1 else flights + message
            )
