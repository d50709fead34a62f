# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The results: rows with a verdict, the table, the JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
import json
import os
from pathlib import Path
import platform
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Row:
    """
    One line of the table.

    Attributes:
        name: For `--only`.
        what: What was measured.
        against: What it is compared with; empty for a figure that stands alone.
        values: One per round: a ratio, or the figure that stands alone.
        at_least: The median must reach this...
        at_most: ...or must not exceed this; both None if the row only informs.
        unit: Of figures that stand alone.
        note: What a reader should know; why there is no value.
        samples: The measurements behind the values.

    """

    name: str
    what: str
    against: str = ''
    values: Sequence[float] = ()
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ''
    note: str = ''
    samples: Mapping[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """Return the target."""
        if self.at_least is not None:
            return f'≥ {self.at_least:g}'
        return f'≤ {self.at_most:g}' if self.at_most is not None else ''

    @property
    def verdict(self) -> str:
        """Return `reached`, `missed`, `absent`, or nothing for a row that only informs."""
        if not self.values:
            return 'absent'
        if not self.target:
            return ''
        value = median(self.values)
        is_reached = (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )
        return 'reached' if is_reached else 'missed'

    def columns(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        measured = ''
        if self.values:
            middle, low, high = median(self.values), min(self.values), max(self.values)
            measured = f'{middle:.4g} [{low:.4g}..{high:.4g}] {self.unit}'.rstrip()
        return (self.name, self.what, self.against, measured, self.target, self.verdict)

    def as_json(self) -> dict[str, Any]:
        """Return what the JSON file says of it."""
        values = {'median': median(self.values)} if self.values else {}
        return {**asdict(self), **values, 'verdict': self.verdict}


HEADINGS = ('row', 'what', 'against', 'median [min..max]', 'to reach', 'verdict')


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, their notes below."""
    cells = [HEADINGS, *(row.columns() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    lines = [
        ' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in [*cells[:1], ['-' * width for width in widths], *cells[1:]]
    ]
    lines = [f'| {line} |' for line in lines]
    notes = dict.fromkeys(f'- {row.name}: {row.note}' for row in rows if row.note)
    return '\n'.join([*lines, '', *notes] if notes else lines)


def machine() -> dict[str, Any]:
    """Return what a reader must know about the machine, without its name."""
    cpu = platform.processor() or platform.machine()
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            cpu = line.partition(':')[2].strip()
            break
    packages = ('rclpy', 'ros-rclpy', 'mcap', 'isal', 'lz4', 'backports.zstd')
    return {
        'cpu': cpu,
        'cores': len(os.sched_getaffinity(0)),
        'kernel': platform.release().partition('-')[0],
        'python': platform.python_version(),
        'versions': {name: found for name in packages if (found := _version(name))},
        'load_average': os.getloadavg()[0],
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ''


def write_json(path: Path, rows: Sequence[Row], facts: Mapping[str, Any]) -> None:
    """Write rows and machine facts."""
    content = {
        'measured_at': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        **facts,
        'rows': [row.as_json() for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
