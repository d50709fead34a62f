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
A real flight as source: a PX4 log, flown again in its original timing.

ULog is PX4's own log format (https://docs.px4.io/main/en/dev_log/ulog_file_format).
:mod:`demo.px4` maps its messages; those without a standard message are named and left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
import heapq
import importlib
import math
from pathlib import Path
import sys
from typing import Any

from demo.px4 import Columns, MissingFieldError, Row, Rule, RULES
from demo.source import Sample, Topic

_MAGIC = b'ULog\x01\x12\x35'
_SECONDS_KEPT = 10.0  # how much of a topic its publisher keeps, see Topic.depth


class ULogError(Exception):
    """The log cannot be flown; the message says why, and what would help."""


@dataclass(frozen=True)
class Stream:
    """One mapped topic: the times of a PX4 message's samples, and the rule bound to them."""

    topic: Topic
    times_us: Sequence[int]
    row: Row


class Px4Log:
    """The source that flies a PX4 log again, in its original timing."""

    def __init__(
        self,
        streams: Sequence[Stream],
        not_mapped: Mapping[str, str],
        first_us: int,
        vehicle: str = '',
    ) -> None:
        self._streams = tuple(streams)
        self._first_us = first_us
        self.not_mapped = dict(not_mapped)
        """PX4 messages that are not flown, and why."""
        self.vehicle = vehicle
        """The vehicle's name."""

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Return the topics that the log's messages were mapped to."""
        return tuple(stream.topic for stream in self._streams)

    @property
    def seconds(self) -> float:
        """Return the time from the log's start to its last mapped sample."""
        return (max(max(s.times_us) for s in self._streams) - self._first_us) / 1e6

    def samples(self) -> Iterator[Sample]:
        """Yield all mapped samples in the order of their times."""
        return heapq.merge(
            *(self._samples_of(stream) for stream in self._streams),
            key=lambda sample: sample.due_ns,
        )

    def _samples_of(self, stream: Stream) -> Iterator[Sample]:
        times = stream.times_us
        # Sorted, for the merge; a time before the log's start (PX4 writes 0 for "never") is it.
        for number in sorted(range(len(times)), key=times.__getitem__):
            fields = stream.row(number)
            if fields is not None:
                due_us = max(0, times[number] - self._first_us)
                yield Sample(due_us * 1000, stream.topic.name, fields)


def read(path: Path) -> Px4Log:
    """
    Read a log and map what can be mapped.

    Raises:
        ULogError: the file is missing, is not a ULog, is damaged, or has nothing to map.

    """
    try:
        with path.open('rb') as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise ULogError(f'{path}: {error.strerror}') from error
    if start != _MAGIC:
        raise ULogError(f'{path} is not a ULog file: it does not begin with "ULog"')
    try:
        pyulog = importlib.import_module('pyulog')
    except ImportError as error:
        raise ULogError('reading PX4 logs takes pyulog: pip install pyulog') from error
    try:
        with redirect_stdout(sys.stderr):  # pyulog prints what is damaged
            log = pyulog.ULog(str(path))
    except Exception as error:  # a damaged log makes pyulog raise any kind of error
        reason = str(error) or type(error).__name__
        raise ULogError(f'{path} cannot be read as ULog: {reason}') from error
    source = mapped(
        ((data.name, data.multi_id, _columns(data.data)) for data in log.data_list),
        log.start_timestamp,
        vehicle_name(log.msg_info_dict, path),
    )
    if not source.topics:
        known = ', '.join(sorted({rule.message for rule in RULES}))
        raise ULogError(f'{path} has none of the messages that can be mapped: {known}')
    return source


def vehicle_name(information: Mapping[str, Any], path: Path) -> str:
    """Return the autopilot's hardware and its serial number, or the log's name if it has none."""
    known = (str(information.get(key, '')).strip() for key in ('ver_hw', 'sys_uuid'))
    return '_'.join(filter(None, known)) or path.stem


def _columns(data: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """Turn numpy's columns into lists: messages take Python's own numbers fastest."""
    return {name: column.tolist() for name, column in data.items()}


def mapped(
    messages: Iterable[tuple[str, int, Mapping[str, Sequence[Any]]]],
    first_us: int,
    vehicle: str = '',
) -> Px4Log:
    """Map PX4 messages, given as name, instance and columns, by :data:`RULES`."""
    streams: dict[str, Stream] = {}
    not_mapped: dict[str, str] = {}
    for message, instance, data in sorted(messages, key=lambda item: item[:2]):
        suffix = f'_{instance}' if instance else ''
        rules = [rule for rule in RULES if rule.message == message]
        found, reasons = 0, []
        for rule in rules:
            try:
                stream = _stream(rule, rule.topic + suffix, Columns(data))
            except MissingFieldError as error:
                reasons.append(f'{error}, for {rule.topic}')
                continue
            # Some older logs have a field in two messages; one is enough.
            streams.setdefault(stream.topic.name, stream)
            found += 1
        if not found:
            not_mapped[message + suffix] = '; '.join(reasons) or 'no standard message'
    return Px4Log(tuple(streams.values()), not_mapped, first_us, vehicle)


def _stream(rule: Rule, name: str, log: Columns) -> Stream:
    """Bind a rule to a log's columns."""
    times = log.one('timestamp')
    row = rule.bind(log)
    seconds = max(1.0, (max(times) - min(times)) / 1e6)
    depth = max(100, math.ceil(_SECONDS_KEPT * len(times) / seconds))
    return Stream(Topic(name, rule.type, rule.frame_id, depth), times, row)
