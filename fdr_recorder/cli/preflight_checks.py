# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The checks before take-off, as `fdr check` runs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
import shutil
import time
from typing import Final

from fdr_recorder.cli.console import progress
from fdr_recorder.config import FdrConfig, SealConfig
from fdr_recorder.errors import (
    ConfigInvalidError,
    FdrError,
    FlightRootMissingError,
    FlightRootNotADirectoryError,
    FlightRootReadOnlyError,
)
from fdr_recorder.flights.directory import flights_in
from fdr_recorder.flights.info import FlightInfo, read_info
from fdr_recorder.flights.topic_info import TopicInfo
from fdr_recorder.parameter_file import located, read_parameter_file, write_parameter_file
from fdr_recorder.record.flight_header import hash_manifest
from fdr_recorder.record.kinds import AlertRecord
from fdr_recorder.storage.access import check_group
from fdr_recorder.storage.chunk import RECORD_COST
from fdr_recorder.storage.files import free_bytes
from fdr_recorder.storage.flight_root import root_holder
from fdr_recorder.storage.sealing import try_key
from fdr_recorder.topics.names import absolute
from fdr_recorder.topics.selection import TopicSelection
from fdr_recorder.units import format_duration, format_size, format_time, plural

WORK_NAME: Final = '.fdr.check'
"""Directory below the flight root, to try writing and recording in; removed afterwards."""
_FLIGHT_ID: Final = 'rehearsal'
_DIAGNOSTICS_TOPIC: Final = '/fdr_check/diagnostics'
_TOPIC_ALERTS: Final = (
    'topic_missing', 'topic_stale', 'type_unknown', 'topic_failed', 'condition_unusable'
)


class Outcome(Enum):
    """How a check ended."""

    OK = 'ok'
    FAILED = 'FAILED'
    SKIPPED = 'skipped'


@dataclass(frozen=True)
class Check:
    """
    A check that was made.

    Attributes:
        name: What was checked.
        outcome: How it ended.
        text: The finding in words; if it failed, what to do.

    """

    name: str
    outcome: Outcome
    text: str

    def to_dict(self) -> dict[str, str]:
        """Return it for `json.dumps`."""
        return {'name': self.name, 'verdict': self.outcome.name.lower(), 'text': self.text}


class PreflightChecks:
    """
    Checks a configuration on this machine.

    Attributes:
        topics: The topics that were recorded in the rehearsal.

    """

    def __init__(
        self, config_file: Path | None, *, minutes: float, measure_s: float, quiet: bool = False
    ) -> None:
        """
        Prepare the checks.

        Args:
            config_file: The parameter file; None for the defaults.
            minutes: Planned length of the flight.
            measure_s: Length of the rehearsal in seconds; 0 for none.
            quiet: Show no progress.

        """
        self.topics: list[TopicInfo] = []
        self._config_file = config_file
        self._minutes = minutes
        self._measure_s = measure_s
        self._quiet = quiet

    def run(self) -> Iterator[Check]:
        """
        Make one check after the other, and yield each.

        Raises:
            OSError: The parameter file or the flight root cannot be read.

        """
        try:
            config = self._read_config()
        except ConfigInvalidError as error:
            files = [self._config_file] if self._config_file else []
            mistakes = located(error.mistakes, files)
            yield from (Check('configuration', Outcome.FAILED, text) for text in mistakes)
            return
        yield Check('configuration', Outcome.OK, str(self._config_file or 'all defaults'))
        root = Path(config.flight_root).expanduser()
        writable = _check_root(root)
        yield writable
        if writable.outcome is not Outcome.OK:
            return
        yield _check_clock(root)
        if config.writer.seal.key_file:
            yield _check_key(config.writer.seal)
        rate: float | None = None
        found = self._rehearse(config, root)
        if isinstance(found, Check):
            yield found
        else:
            self.topics = [topic for topic in found.topics.values() if not topic.is_own]
            rate = self._rate(found)
            yield from self._check_topics(config, found)
        if config.max_rate:
            yield Check('max_rate', Outcome.OK, self._rates(config))
        yield self._check_space(config, root, rate)

    def _read_config(self) -> FdrConfig:
        options = read_parameter_file(self._config_file) if self._config_file else {}
        config = FdrConfig.from_options(options)
        hash_manifest(config.manifest_files)
        check_group(config.writer)
        selection = _selection(config)
        if not selection.names and not selection.is_open:
            raise ConfigInvalidError(['topics: none is chosen; name some, or set all_topics'])
        return config

    # --- the rehearsal -------------------------------------------------------------------

    def _rehearse(self, config: FdrConfig, root: Path) -> FlightInfo | Check:
        """Record for a while; return the flight, or why there is none."""
        name = 'rehearsal'
        if not self._measure_s:
            return Check(name, Outcome.SKIPPED, 'not wanted (--measure 0)')
        try:
            from fdr_recorder.node.rehearsal import duration_ms, rehearse
        except ImportError as error:
            text = f'it needs ROS 2, and that is not here ({error}); source its setup.bash'
            return Check(name, Outcome.SKIPPED, text)
        work = root / WORK_NAME
        work.mkdir()
        try:
            parameters = work / 'parameters.yaml'
            _write_rehearsal(parameters, config, work)
            total = duration_ms(self._measure_s)
            with progress('rehearsing', total, quiet=self._quiet) as advance:
                if not rehearse(parameters, self._measure_s, advance):
                    text = 'the recorder has refused; stderr says why'
                    return Check(name, Outcome.FAILED, text)
            return read_info(work / _FLIGHT_ID)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _check_topics(self, config: FdrConfig, found: FlightInfo) -> Iterator[Check]:
        alerts: dict[tuple[str, str], AlertRecord] = {}
        for event in found.events:
            if isinstance(event.payload, AlertRecord):
                alerts[event.payload.code, event.payload.subject] = event.payload
        wrong = [
            alert for alert in alerts.values() if alert.raised and alert.code in _TOPIC_ALERTS
        ]
        yield from (Check('topics', Outcome.FAILED, alert.message) for alert in wrong)
        received = sum(topic.messages for topic in self.topics)
        heard = {topic.name for topic in self.topics if topic.messages}
        silent = [name for name in _selection(config).names if name not in heard]
        seconds = format_duration(found.listed.duration_s)
        text = f'{plural(received, "message")} of {plural(len(heard), "topic")} in {seconds}'
        if not received:
            yield Check('topics', Outcome.FAILED, f'{text}; start what publishes')
        elif not wrong:
            note = f'; nothing of {", ".join(silent)}' if silent else ''
            yield Check('topics', Outcome.OK, text + note)
        lost = found.listed.status.losses
        if lost.total - lost.before_match:  # its publishers may just have been started
            yield Check('losses', Outcome.FAILED, f'missing in the rehearsal: {lost}')
        else:
            known = 'none known' if lost.unseen else 'none'
            yield Check('losses', Outcome.OK, f'{known} in the rehearsal')
        if self.topics:
            seen = 'losses in transport are seen on all topics'
            yield Check('loss detection', Outcome.OK, str(lost.unseen) or seen)

    def _rates(self, config: FdrConfig) -> str:
        """Say which topics, of the rehearsal and by name, each rate is for."""
        selection = _selection(config)
        by_rule: dict[str, list[str]] = {rule: [] for rule in config.max_rate}
        for name in sorted({*selection.names, *(topic.name for topic in self.topics)}):
            if rule := selection.rate_rule(name):
                by_rule[rule].append(name)
        said = (
            f'{rule} {"limits " + ", ".join(names) if names else "limits no topic that is known"}'
            for rule, names in by_rule.items()
        )
        return '; '.join(said)

    def _rate(self, found: FlightInfo) -> float | None:
        """Return bytes a second; single messages, such as latched ones, do not count."""
        total = sum(
            topic.bytes + topic.messages * RECORD_COST
            for topic in self.topics
            if topic.messages > 1
        )
        return total / found.listed.duration_s if total else None

    # --- space ---------------------------------------------------------------------------

    def _check_space(self, config: FdrConfig, root: Path, rate: float | None) -> Check:
        free = free_bytes(root)
        usable = free - config.writer.min_free_bytes - config.writer.reserve_bytes
        text = f'{format_size(free)} free'
        if config.writer.min_free_bytes:
            text += f', {format_size(config.writer.min_free_bytes)} of it not to be used'
        if usable <= 0:
            return Check('space', Outcome.FAILED, f'{text}; free some')
        if rate is None:
            return Check('space', Outcome.SKIPPED, f'{text}; how long that lasts was not measured')
        text += f'; {format_size(rate)}/s, so it lasts {format_duration(usable / rate)}'
        wanted = rate * self._minutes * 60
        cap = config.writer.flight_cap_bytes
        if usable < min(wanted, cap):
            text += f' and not {self._minutes:g} min; free some'
            return Check('space', Outcome.FAILED, text)
        if cap < wanted:
            kept = format_duration(cap / rate)
            text += f'; writer.flight_cap_bytes keeps the last {kept} of a flight'
        return Check('space', Outcome.OK, text)


def _write_rehearsal(path: Path, config: FdrConfig, root: Path) -> None:
    """Write the parameters for the rehearsal, in a flight root of its own."""
    options: dict[str, object] = {
        **config.to_options(),
        'flight_root': str(root.absolute()),
        'flight_id': _FLIGHT_ID,
        'autostart': False,
        'discovery_grace_s': 0.0,  # what is missing at the end of the rehearsal is told
        'diagnostics_topic': _DIAGNOSTICS_TOPIC,
    }
    write_parameter_file(path, options)


def _check_root(root: Path) -> Check:
    name = 'flight root'
    if not root.exists():
        return Check(name, Outcome.FAILED, str(FlightRootMissingError(root)))
    if not root.is_dir():
        return Check(name, Outcome.FAILED, str(FlightRootNotADirectoryError(root)))
    work = root / WORK_NAME
    if root_holder(work) is not None:
        return Check(name, Outcome.FAILED, f'{root}: another `fdr check` is at work there')
    try:
        shutil.rmtree(work, ignore_errors=True)  # left by a check that was killed
        work.mkdir()
        work.rmdir()
    except OSError as error:
        text = str(FlightRootReadOnlyError(root, error.strerror or str(error)))
        return Check(name, Outcome.FAILED, text)
    holder = root_holder(root)
    is_used = f'; a recorder owns it: {holder.text}' if holder else ''
    text = f'{root} is writable, {plural(len(flights_in(root)), "flight")}{is_used}'
    return Check(name, Outcome.OK, text)


def _selection(config: FdrConfig) -> TopicSelection:
    return TopicSelection(config, lambda name: absolute(name, '/', '/fdr_recorder'))


def _check_key(seal: SealConfig) -> Check:
    try:
        fingerprint = try_key(seal)
    except (FdrError, OSError) as error:
        text = f'flights would be recorded, but not sealed: {error}'
        return Check('seal', Outcome.FAILED, text)
    return Check('seal', Outcome.OK, f'flights are sealed by {seal.key_file} ({fingerprint})')


def _check_clock(root: Path) -> Check:
    """Notice a clock that was not set because GPS, network or battery are missing."""
    import fdr_recorder.version

    now_ns = time.time_ns()
    text = format_time(now_ns)
    written = {path: path.stat().st_mtime_ns for path in flights_in(root)}
    newest = max(written, key=lambda path: written[path], default=None)
    if newest is not None and written[newest] > now_ns:
        text += f' is before the flight {newest.name} was written, {format_time(written[newest])}'
        return Check('clock', Outcome.FAILED, f'{text}; set the clock')
    installed_ns = Path(fdr_recorder.version.__file__).stat().st_mtime_ns
    if now_ns < installed_ns:
        text += f' is before this software was installed, {format_time(installed_ns)}'
        return Check('clock', Outcome.FAILED, f'{text}; set the clock')
    return Check('clock', Outcome.OK, text)
