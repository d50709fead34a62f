# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A publisher in a process of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
import select
import subprocess
import sys
from typing import Any

from ground import DEADLINE_S, Ground
from node_process import END_DEADLINE_S
from ros_domain import ros_environment


class PublisherProcess:
    """A publisher in a process of its own: `publisher_program.py`, spoken to by lines."""

    def __init__(self, ground: Ground, directory: Path, topic: str, **options: object) -> None:
        """Start it; see `publisher_program.py` for the options."""
        arguments = [f'--{name.replace("_", "-")}={value}' for name, value in options.items()]
        self._topic = topic
        self._log = (directory / f'publisher{topic.replace("/", "_")}.log').open('ab')
        self._process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name('publisher_program.py')),
                topic,
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **ros_environment(ground.domain_id)},
            start_new_session=True,
        )

    def __enter__(self) -> PublisherProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()

    def ask(self, *words: object) -> dict[str, Any]:
        """Say one line and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(' '.join(map(str, words)) + '\n')
        self._process.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """Return what it says next."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], DEADLINE_S)
        line = self._process.stdout.readline() if ready else ''
        assert line, f'the publisher of {self._topic} says nothing'
        return dict(json.loads(line))

    def leave(self) -> None:
        """End it in good order, so that it says goodbye to the graph."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(END_DEADLINE_S) == 0
