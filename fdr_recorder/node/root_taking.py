# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Take the flight root of a node, and give it back, on a disk that may not answer."""

from __future__ import annotations

from contextlib import ExitStack
import logging

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.config import FdrConfig
from fdr_recorder.errors import DiskStalledError
from fdr_recorder.node.background_recovery import BackgroundRecovery
from fdr_recorder.node.errands import Errands
from fdr_recorder.storage.flight_root import FlightRoot

logger = logging.getLogger(__name__)


def take_root(
    config: FdrConfig, owner: str, alerts: AlertBoard, errands: Errands, release: ExitStack
) -> FlightRoot:
    """
    Take the flight root, and begin to recover what was not closed there.

    Args:
        config: Which root, and whether to recover.
        owner: Name of the node, for others who want the root.
        alerts: Where the outcome of the recovery is told.
        errands: Makes the calls.
        release: Is to release the root. If the disk does not answer then, the root is released
            once it does, and until then nobody can take it.

    Raises:
        DiskStalledError: The disk does not answer. What is taken later is released at once.
        FlightRootError: The root cannot be used.

    """

    def take() -> tuple[FlightRoot, BackgroundRecovery]:
        root = FlightRoot.acquire(config.flight_root, owner=owner)
        try:
            may_change = config.recover_on_configure
            seal = config.writer.seal
            return root, BackgroundRecovery(root, alerts, may_change=may_change, seal=seal)
        except BaseException:
            root.release()
            raise

    def let_go(taken: tuple[FlightRoot, BackgroundRecovery]) -> None:
        root, recovery = taken
        recovery.stop()
        root.release()

    def release_root() -> None:
        try:
            errands.run(config.flight_root, lambda: let_go(taken), 'the flight root is released')
        except DiskStalledError as error:
            logger.warning('%s', error)

    taken = errands.run(config.flight_root, take, 'configure can succeed', undo=let_go)
    release.callback(release_root)
    return taken[0]
