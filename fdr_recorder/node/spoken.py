# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the node says in its log, one line each: it is ready, a flight is open, it is closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
import logging
from pathlib import Path
import shlex
import threading
from typing import Final, TYPE_CHECKING

from fdr_recorder.config import FdrConfig
from fdr_recorder.flights.directory import flight_directories
from fdr_recorder.flights.metadata_reader import read_metadata
from fdr_recorder.record.loss_detection import unseen_in_footer
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.counters import FlightCounters
from fdr_recorder.storage.files import free_bytes
from fdr_recorder.storage.footer import FlightSummary
from fdr_recorder.units import format_duration, format_size, plural

if TYPE_CHECKING:
    from fdr_recorder.node.graph_watch import GraphWatch

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 0.5
"""How long configure waits for the disk to tell its space. A healthy one needs milliseconds, also
with thousands of flights."""
_LATEST: Final = 5
"""In so many of the latest flights one is looked for whose rate says something."""
_LEAST_S: Final = 2.0
_LEAST_RECORDS: Final = 20
"""A flight that is shorter, or has fewer, says nothing of the rate."""


def tell_ready(config: FdrConfig, root: Path, watch: GraphWatch) -> None:
    """
    Say where flights go, how much space there is, and which topics are found so far.

    A disk that does not answer holds this up for `PATIENCE_S`.
    """
    is_enough, space = _ask(config, root) or (True, 'free space unknown: the disk does not answer')
    level = logging.INFO if is_enough else logging.WARNING
    logger.log(level, 'ready: flight root %s; %s; %s', root, space, _topics(watch))


def tell_opened(flight: Path) -> None:
    """Say which flight is open, and where."""
    logger.info('flight %s is open: recording to %s', flight.name, flight)


def tell_closed(summary: FlightSummary) -> None:
    """Say what a flight holds, what it lacks, and how to look at it."""
    footer = summary.footer
    text = (
        f'{plural(footer.records_written, "record")}, {format_size(footer.bytes_written)}, '
        f'{_losses(summary)}; '
    )
    path = shlex.quote(str(summary.path))
    if summary.is_complete:
        has_messages = any(
            account.written
            for account in footer.producers
            if not account.topic.startswith(OWN_TOPIC_PREFIX)
        )
        lost = footer.records_dropped_overrun + footer.records_dropped_write_error
        lost += footer.records_lost_transport
        level = logging.WARNING if lost or not has_messages else logging.INFO
        without = '' if has_messages else ' without a message of any topic'
        look = f'look at it: fdr info {path}'
        logger.log(level, 'flight %s is closed%s: %s%s', summary.flight_id, without, text, look)
    else:
        complete = f'{summary.cause}; complete it: fdr recover {path}'
        logger.error(
            'flight %s is not closed completely: %s%s', summary.flight_id, text, complete
        )


def tell_lost(flight: Path) -> None:
    """Say what to do about a flight that the writer could not close."""
    logger.error(
        'flight %s is not closed, because recording has failed; what was written is kept. '
        'Complete it: fdr recover %s',
        flight.name,
        shlex.quote(str(flight)),
    )


def _losses(summary: FlightSummary) -> str:
    """Return losses by cause, in the words of `fdr ls`."""
    from fdr_recorder.flights.status import Losses  # noqa: PLC0415 - seldom needed

    footer = summary.footer
    counters = FlightCounters.in_footer(footer).as_dict()
    losses = Losses.counted(counters, unseen=unseen_in_footer(footer, None))
    said = str(losses) if losses.total or losses.unseen else 'nothing lost'
    if losses.throttled:
        said += f', {plural(losses.throttled, "message")} left out as asked for'
    if footer.segments_dropped:
        said += f', {plural(footer.segments_dropped, "segment")} dropped for space'
    return said


def _topics(watch: GraphWatch) -> str:
    """Return how many topics are found so far; discovery takes a second or two."""
    found = watch.subscribed
    if watch.asked is None:
        return f'{plural(found, "topic")} found so far, more are recorded as they appear'
    return f'{found} of {plural(watch.asked, "topic")} found so far'


# --- space -----------------------------------------------------------------------------------


def _ask(config: FdrConfig, root: Path) -> tuple[bool, str] | None:
    """Ask the disk in a thread of its own; return None if it does not answer in time."""
    answers: list[tuple[bool, str]] = []

    def ask() -> None:
        with suppress(OSError):
            answers.append(_space(config, root))

    thread = threading.Thread(target=ask, name='fdr_space', daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return answers[0] if answers else None


def _space(config: FdrConfig, root: Path) -> tuple[bool, str]:
    """Return whether a flight can begin, and how long the space lasts, in words."""
    free, least = free_bytes(root), config.writer.min_free_bytes
    if free < least:
        return False, (
            f'{format_size(free)} free, less than writer.min_free_bytes ({format_size(least)}): '
            'no flight can begin. Free some space, choose another flight_root, or lower that limit'
        )
    rate = next(_rates(root), None)
    if rate is None:
        has_flights = bool(flight_directories(root))
        why = ': no flight here tells a rate' if has_flights else ' until the first flight'
        return True, f'{format_size(free)} free, hours left unknown{why}'
    lasts = format_duration((free - least) / rate)
    at = f'at the rate of the last flight ({format_size(rate)}/s)'
    return True, f'{format_size(free)} free, enough for {lasts} {at}'


def _rates(root: Path) -> Iterator[float]:
    """Yield bytes per second of the latest flights, newest first, as far as they have a rate."""
    written: list[tuple[int, Path]] = []
    for flight in flight_directories(root):
        with suppress(OSError):
            status = (flight / bag_metadata.FILE_NAME).stat(follow_symlinks=False)
            written.append((status.st_mtime_ns, flight))
    for _, flight in sorted(written, reverse=True)[:_LATEST]:
        metadata, size = read_metadata(flight), 0
        if metadata.duration_s < _LEAST_S or metadata.records < _LEAST_RECORDS:
            continue
        for name in metadata.segments:
            with suppress(OSError):
                size += (flight / name).stat(follow_symlinks=False).st_size
        if size:
            yield size / metadata.duration_s
