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
Output of the verbs: tables and JSON on stdout; progress, warnings and errors on stderr.

`rich` is imported only where it is used: importing it takes longer than many a verb.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
import json
from pathlib import Path
import sys
import time
from typing import Any, Final

PATIENCE_S: Final = 0.5
"""Work that is done sooner shows no bar."""
_WIDE: Final = 100_000
"""Width of a table: no cell is wrapped, so names can be copied and lines searched."""


@contextmanager
def progress(
    description: str, total: int, *, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """
    Show a progress bar on stderr, where that is a terminal.

    Args:
        description: What is going on, for example `verifying flight_x`.
        total: The whole work, in bytes or any other unit.
        quiet: Show nothing, for `--json`.

    Yields:
        A function `advance(n)`, to call when n more units are done.

    """
    if quiet or not sys.stderr.isatty():
        yield lambda _n: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        TextColumn('{task.percentage:>3.0f} %'),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(description, total=total)
    show_at = time.monotonic() + PATIENCE_S

    def advance(n: int) -> None:
        if not bar.live.is_started and time.monotonic() >= show_at:
            bar.start()
        bar.advance(task, n)

    try:
        yield advance
    finally:
        bar.stop()


def reading_progress(
    doing: str, flight: Path, *, passes: int = 1, quiet: bool
) -> AbstractContextManager[Callable[[int], None]]:
    """Show progress over every byte of a flight, read so many times; see `progress`."""
    from fdr_recorder.flights.directory import segment_files

    size = sum(segment.path.stat().st_size for segment in segment_files(flight))
    return progress(f'{doing} {flight.name}', passes * size, quiet=quiet)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """
    Print a table.

    Args:
        columns: The headings; `>` in front aligns the column to the right.
        rows: The cells.

    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style='bold')
    for column in columns:
        is_right = column.startswith('>')
        shown.add_column(column.removeprefix('>'), justify='right' if is_right else 'left')
    for row in rows:
        shown.add_row(*(Text(_printable(cell)) for cell in row))
    console = Console(highlight=False, width=_WIDE)
    with console.capture() as capture:
        console.print(shown)
    print('\n'.join(line.rstrip() for line in capture.get().splitlines()))


def say(text: str) -> None:
    """Print text on stdout, and flush it."""
    print(_printable(text), flush=True)


def print_json(document: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    """Print a JSON document."""
    print(json.dumps(document, indent=2))


def warn(text: str) -> None:
    """Print a warning or an error on stderr."""
    print(f'fdr: {_printable(text)}', file=sys.stderr)


def _printable(text: str) -> str:
    """Replace control characters: names from a recording must not steer the terminal."""
    if text.isascii() and text.isprintable():
        return text
    return ''.join(sign if sign.isprintable() or sign == '\n' else '\ufffd' for sign in text)
