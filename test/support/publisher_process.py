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
import signal
from typing import Any

from fork_server import fork_server
from ground import DEADLINE_S, Ground
from node_process import END_DEADLINE_S
from ros_domain import ros_environment


class PublisherProcess:
    """A publisher in a process of its own: `publisher_program.py`, spoken to by lines."""

    def __init__(
        self,
        ground: Ground,
        directory: Path,
        topic: str,
        *,
        profile: str = 'quick_discovery.xml',
        **options: object,
    ) -> None:
        """Start it with a profile of Fast DDS; see `publisher_program.py` for the options."""
        arguments = [f'--{name.replace("_", "-")}={value}' for name, value in options.items()]
        self._topic = topic
        self._log = (directory / f'publisher{topic.replace("/", "_")}.log').open('ab')
        their_input, own_output = os.pipe()
        own_input, their_output = os.pipe()
        self._process = fork_server().start(
            'publisher_program',
            [topic, *arguments],
            {**os.environ, **ros_environment(ground.domain_id, profile)},
            (their_input, their_output, self._log.fileno()),
        )
        os.close(their_input)
        os.close(their_output)
        self._to_it, self._from_it = os.fdopen(own_output, 'w'), os.fdopen(own_input)

    def __enter__(self) -> PublisherProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._to_it, self._from_it, self._log):
            stream.close()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def say(self, *words: object) -> None:
        """Say one line; `hear` the answer later."""
        self._to_it.write(' '.join(map(str, words)) + '\n')
        self._to_it.flush()

    def ask(self, *words: object) -> dict[str, Any]:
        """Say one line and return the answer."""
        self.say(*words)
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """Return what it says next."""
        ready, _, _ = select.select([self._from_it], [], [], DEADLINE_S)
        line = self._from_it.readline() if ready else ''
        assert line, f'the publisher of {self._topic} says nothing'
        return dict(json.loads(line))

    def leave(self) -> None:
        """End it in good order, so that it says goodbye to the graph."""
        self._to_it.close()
        assert self._process.wait(END_DEADLINE_S) == 0
