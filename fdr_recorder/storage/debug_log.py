# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The log line of each record, for who looks for a fault (`debug_log_per_record`)."""

from __future__ import annotations

from collections.abc import Sequence
import logging

from fdr_recorder.capture.ring import QueuedRecord
from fdr_recorder.clock import SteadyClock
from fdr_recorder.storage.counters import ProducerAccount

logger = logging.getLogger(__name__)


def log_records(
    account: ProducerAccount, batch: Sequence[QueuedRecord], clock: SteadyClock
) -> None:
    """Log records at level debug."""
    for time_ns, _, sequence, data, _ in batch:
        log_time_ns = clock.at(time_ns)
        logger.debug(
            'record %s sequence=%d log_time_ns=%d bytes=%d',
            account.channel.topic,
            sequence,
            log_time_ns,
            len(data),
        )
