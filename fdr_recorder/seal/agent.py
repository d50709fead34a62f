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
A client of ssh-agent: which keys it has, and its signatures (draft-ietf-sshm-ssh-agent).

An agent may hang, be gone or lie. Each request ends within `TIMEOUT_S`, and a signature is checked
before it is used.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Final

from fdr_recorder.errors import SealError
from fdr_recorder.seal.keys import check_signature
from fdr_recorder.seal.openssh import fingerprint, pack_string, pack_uint32, Reader

TIMEOUT_S: Final = 3.0
"""Time limit of one request, in seconds."""

_LIST: Final = 11
_LISTED: Final = 12
_SIGN: Final = 13
_SIGNED: Final = 14
_RSA_SHA2_512: Final = 4
_MAX_ANSWER_BYTES: Final = 1 << 18  # as ssh-agent itself has it
_MAX_KEYS: Final = 2048
_HEAD: Final = struct.Struct('>IB')


class AgentKey:
    """
    A key that ssh-agent holds.

    Attributes:
        public: The public key, as a blob.

    """

    def __init__(self, public: bytes) -> None:
        self.public = public

    def sign(self, data: bytes) -> bytes:
        """
        Return the signature of data, as a blob; of RSA `rsa-sha2-512`.

        Raises:
            SealError: The agent does not sign, or wrongly; the message says what to do.

        """
        body = pack_string(self.public) + pack_string(data) + pack_uint32(_RSA_SHA2_512)
        kind, reader = _ask(_SIGN, body)
        name = fingerprint(self.public)
        if kind != _SIGNED:
            raise SealError(
                f'ssh-agent does not sign with {name}: it refuses, is locked (ssh-add -X), or '
                f'has not got the key (ssh-add -l)'
            )
        signature = reader.string()
        reader.end()
        try:
            check_signature(self.public, signature, data)
        except SealError as error:
            raise SealError(f'ssh-agent signs wrongly with {name}: {error}') from None
        return signature


def agent_has(public: bytes) -> bool:
    """
    Return whether ssh-agent holds a key.

    Raises:
        SealError: There is no agent, or it does not answer; the message says what to do.

    """
    kind, reader = _ask(_LIST, b'')
    if kind != _LISTED:
        raise SealError('ssh-agent does not say which keys it has')
    count = reader.uint32()
    if count > _MAX_KEYS:
        raise reader.error('it has too many keys')
    held = []
    for _ in range(count):
        held.append(reader.string())
        reader.string()  # the comment
    reader.end()
    return public in held


def _ask(kind: int, body: bytes) -> tuple[int, Reader]:
    path = os.environ.get('SSH_AUTH_SOCK', '')
    if not path:
        raise SealError(
            'SSH_AUTH_SOCK is not set, so there is no ssh-agent to ask: start one and ssh-add the '
            'key, or name the file of the private key'
        )
    deadline = time.monotonic() + TIMEOUT_S
    try:
        with socket.socket(socket.AF_UNIX) as agent:
            agent.settimeout(TIMEOUT_S)
            agent.connect(path)
            agent.sendall(_HEAD.pack(len(body) + 1, kind) + body)
            size, answer = _HEAD.unpack(_receive(agent, _HEAD.size, deadline))
            if not 1 <= size <= _MAX_ANSWER_BYTES:
                raise SealError(f'what listens at {path} (SSH_AUTH_SOCK) is no ssh-agent')
            data = _receive(agent, size - 1, deadline)
    except TimeoutError:
        raise SealError(
            f'ssh-agent at {path} does not answer within {TIMEOUT_S:.0f} s: restart it, or name '
            'the file of the private key'
        ) from None
    except OSError as error:
        raise SealError(
            f'there is no ssh-agent at {path} (SSH_AUTH_SOCK): {error.strerror or error}; start '
            'one and ssh-add the key, or name the file of the private key'
        ) from None
    return answer, Reader(data, 'the answer of ssh-agent')


def _receive(agent: socket.socket, size: int, deadline: float) -> bytes:
    data = bytearray()
    while len(data) < size:
        agent.settimeout(max(deadline - time.monotonic(), 0.001))
        piece = agent.recv(size - len(data))
        if not piece:
            raise ConnectionResetError('it has closed the connection')
        data += piece
    return bytes(data)
