# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A Dask cluster of this machine: a scheduler and workers, each a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import os
from pathlib import Path
import re
import subprocess
import sys

from requirements import cannot_run
from waiting import wait_until

_SUPPORT = Path(__file__).parent
_CHECKOUT = Path(__file__).resolve().parents[2]


class Cluster:
    """
    A running cluster.

    Attributes:
        address: The scheduler's.
        workers: The workers.

    """

    def __init__(self, directory: Path) -> None:
        self.address = ''
        self.workers: list[subprocess.Popen[bytes]] = []
        self._directory = directory
        self._scheduler: subprocess.Popen[bytes] | None = None

    def start_scheduler(self) -> None:
        options = '--host', '127.0.0.1', '--port', '0', '--no-dashboard'
        self._scheduler = self._start('scheduler', 'scheduler', *options)
        log = self._directory / 'scheduler.log'
        found = wait_until(lambda: re.search(r'tcp://127\.0\.0\.1:\d+', log.read_text()))
        self.address = found[0]

    def start_worker(self, environment: Mapping[str, str] | None = None) -> None:
        """Start a worker of one thread, which nobody starts again when it dies."""
        name = f'worker{len(self.workers)}'
        options = '--nthreads', '1', '--no-nanny', '--no-dashboard', '--death-timeout', '60'
        local = '--local-directory', str(self._directory / name)
        self.workers.append(
            self._start(name, 'worker', self.address, *options, *local, **(environment or {}))
        )

    def _start(self, name: str, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join((str(_CHECKOUT), str(_SUPPORT)))
        variables = {**os.environ, 'PYTHONPATH': path, 'TMPDIR': str(self._directory)}
        with (self._directory / f'{name}.log').open('wb') as log:
            return subprocess.Popen(
                [sys.executable, '-m', 'dask', *words],
                env={**variables, **environment},
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop(self) -> None:
        processes = [*self.workers, *filter(None, (self._scheduler,))]
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


@contextmanager
def dask_cluster(directory: Path, workers: int) -> Iterator[Cluster]:
    """Run a cluster; skip the test where `distributed` is not installed."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        cannot_run('distributed is not installed')
    cluster = Cluster(directory)
    try:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.stop()
