# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Runs `fdr` in a process that starts at once."""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
import subprocess
from tempfile import TemporaryFile

from fork_server import fork_server, ForkedProcess


def start_fdr(
    *arguments: object,
    stdio: tuple[int, int, int],
    environment: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    stopped_by_permissions: bool = False,
    program: str = 'fdr_recorder.cli',
) -> ForkedProcess:
    """
    Start `fdr`.

    Args:
        arguments: The words of its command line.
        stdio: The descriptors of standard input, output and error.
        environment: What its environment has besides that of the tests, or has not where None.
        cwd: Its current directory.
        stopped_by_permissions: Also where the tests run as root.
        program: The module that is run.

    """
    variables = {**os.environ, **(environment or {})}
    return fork_server('files').start(
        program,
        [str(word) for word in arguments],
        {name: value for name, value in variables.items() if value is not None},
        stdio,
        cwd,
        stopped_by_permissions=stopped_by_permissions,
    )


def run_fdr(
    *arguments: object,
    cwd: Path | None = None,
    environment: Mapping[str, str | None] | None = None,
    stopped_by_permissions: bool = False,
    program: str = 'fdr_recorder.cli',
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """
    Run `fdr` to its end, with its output in files and nothing on its standard input.

    The arguments are those of `start_fdr`; with `check` it must exit with 0.
    """
    with Path(os.devnull).open() as nothing, TemporaryFile() as said, TemporaryFile() as warned:
        process = start_fdr(
            *arguments,
            stdio=(nothing.fileno(), said.fileno(), warned.fileno()),
            environment=environment,
            cwd=cwd,
            stopped_by_permissions=stopped_by_permissions,
            program=program,
        )
        try:
            code = process.wait(60.0)
        finally:
            process.kill()
            process.wait()
        texts = []
        for file in (said, warned):
            file.seek(0)
            texts.append(file.read().decode())
    done = subprocess.CompletedProcess(('fdr', *arguments), code, *texts)
    if check:
        done.check_returncode()
    return done
