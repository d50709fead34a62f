# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Agents for tests: the real `ssh-agent`, and one that answers as a test wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import hashlib
from pathlib import Path
import socket
import struct
import subprocess
import threading

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fdr_recorder.seal.openssh import pack_string, pack_uint32, Reader
from waiting import wait_until

LIST, LISTED, SIGN, SIGNED, FAILURE = 11, 12, 13, 14, 5


@contextmanager
def real_agent(directory: Path) -> Iterator[Path]:
    """Run `ssh-agent`; yield its socket, for SSH_AUTH_SOCK."""
    path = directory / 'agent.sock'
    with subprocess.Popen(
        ['ssh-agent', '-D', '-a', str(path)], stdout=subprocess.DEVNULL
    ) as process:
        try:
            wait_until(path.exists)
            yield path
        finally:
            process.terminate()


@contextmanager
def agent_that(
    answers: Callable[[bytes], bytes | None], directory: Path
) -> Iterator[Path]:
    """
    Listen as an agent would; yield the socket.

    Args:
        answers: Gets a request without its length; returns all that is sent back, or None to send
            nothing, and to keep the connection open.
        directory: Where the socket is made.

    """
    path = directory / 'fake.sock'
    held: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                size = struct.unpack('>I', connection.recv(4, socket.MSG_WAITALL))[0]
                answer = answers(connection.recv(size, socket.MSG_WAITALL))
                if answer is None:
                    held.append(connection)
                else:
                    connection.sendall(answer)
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for connection in held:
                connection.close()


def message(kind: int, body: bytes = b'') -> bytes:
    """Return what an agent sends."""
    return pack_uint32(len(body) + 1) + bytes([kind]) + body


class FidoToken:
    """A FIDO token in software, behind an agent: signs as `sk-ssh-ed25519@openssh.com`."""

    TYPE = 'sk-ssh-ed25519@openssh.com'

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        raw = self._key.public_key().public_bytes_raw()
        self.public = pack_string(self.TYPE) + pack_string(raw) + pack_string('ssh:')

    def __call__(self, request: bytes) -> bytes:
        """Answer a request of a client."""
        if request[0] == LIST:
            keys = pack_string(self.public) + pack_string('a token')
            return message(LISTED, pack_uint32(1) + keys)
        reader = Reader(request[1:], 'the request')
        if reader.string() != self.public:
            return message(FAILURE)
        flags_and_counter = b'\1' + pack_uint32(7)
        digests = [hashlib.sha256(part).digest() for part in (b'ssh:', reader.string())]
        raw = self._key.sign(digests[0] + flags_and_counter + digests[1])
        signature = pack_string(self.TYPE) + pack_string(raw) + flags_and_counter
        return message(SIGNED, pack_string(signature))
