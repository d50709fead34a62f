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
Links to the ground that never block: UDP, TCP and serial lines.

A link raises `OSError` once it is dead; `Line` opens a new one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
import contextlib
import os
import select
import socket
import termios
import tty
from typing import Any, Final

from fdr_recorder.ground.endpoint import Endpoint, speed_of

READ_SIZE: Final = 4096
READS: Final = 32
"""So many at once: a line that never falls silent must not keep the others waiting."""
WAITING_SIZE: Final = 4096
"""Bytes that may wait for a stream to take them; what does not fit is not sent."""
STUCK_S: Final = 5.0
"""A stream that takes nothing for so long is dead."""
CONNECT_S: Final = 3.0
PEER_S: Final = 30.0
"""Who has sent nothing for so long is no peer of `udpin` any more."""
PEERS: Final = 8


class Link(ABC):
    """
    A link that is open, or is being opened.

    Attributes:
        fd: Its descriptor.
        arrivals: How often somebody appeared at the other end, as far as the link can tell.

    """

    fd: int
    arrivals: int = 0

    @abstractmethod
    def is_ready(self, now: float) -> bool:
        """Tell whether somebody is there, and takes data; raise `OSError` if it is dead."""

    @abstractmethod
    def send(self, data: bytes, now: float) -> bool:
        """Send whole frames; return whether it took them, and raise `OSError` if it is dead."""

    @abstractmethod
    def receive(self, now: float) -> bytes:
        """Return what has come; raise `OSError` if it is dead."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""


PROBE_S: Final = 0.3
"""A host refuses a datagram for which nobody listens within this time, if it ever does."""


class UdpOut(Link):
    """
    UDP to one address, which need not answer.

    Where the host says that nobody listens there, it is ready again once a heartbeat was not
    refused.
    """

    def __init__(self, host: str, port: int) -> None:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self.fd = self._socket.fileno()
        self._sent_at = 0.0  # of the first one since the last refusal
        self._is_refused = True  # until proven otherwise

    def is_ready(self, now: float) -> bool:
        """See `Link`."""
        if self._is_refused and self._sent_at and now - self._sent_at > PROBE_S:
            self._is_refused = False
            self.arrivals += 1
        return not self._is_refused

    def send(self, data: bytes, now: float) -> bool:
        """See `Link`."""
        try:
            size = self._socket.send(data)
        except BlockingIOError:
            return False
        except ConnectionRefusedError:
            self._refuse()
            return False
        self._sent_at = self._sent_at or now
        return size == len(data)

    def _refuse(self) -> None:
        self._is_refused, self._sent_at = True, 0.0

    def receive(self, now: float) -> bytes:
        """See `Link`."""
        data = b''
        for _ in range(READS):
            try:
                data += self._socket.recv(READ_SIZE)
            except BlockingIOError:
                break
            except ConnectionRefusedError:
                self._refuse()
        return data

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class UdpIn(Link):
    """UDP to whoever has sent something."""

    def __init__(self, host: str, port: int) -> None:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise
        self.fd = self._socket.fileno()
        self._peers: dict[tuple[Any, ...], float] = {}

    def is_ready(self, now: float) -> bool:
        """See `Link`."""
        self._peers = {peer: at for peer, at in self._peers.items() if now - at < PEER_S}
        return bool(self._peers)

    def send(self, data: bytes, now: float) -> bool:
        """See `Link`."""
        taken = False
        for peer in self._peers:
            with contextlib.suppress(OSError):  # one that cannot be reached is forgotten in time
                taken |= self._socket.sendto(data, peer) == len(data)
        return taken

    def receive(self, now: float) -> bytes:
        """See `Link`."""
        data = b''
        for _ in range(READS):
            try:
                part, peer = self._socket.recvfrom(READ_SIZE)
            except BlockingIOError:
                break
            except ConnectionRefusedError:
                continue
            data += part
            if peer not in self._peers and len(self._peers) >= PEERS:
                continue
            self.arrivals += peer not in self._peers
            self._peers[peer] = now
        return data

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class Stream(Link):
    """A stream of bytes: takes whole frames, or none of them."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._stuck_since = 0.0

    def is_ready(self, now: float) -> bool:
        """See `Link`."""
        if self._waiting:
            self._write(now)
        return not self._waiting

    def send(self, data: bytes, now: float) -> bool:
        """See `Link`."""
        if len(self._waiting) + len(data) > WAITING_SIZE:
            return False
        if not self._waiting:
            self._stuck_since = now
        self._waiting += data
        self._write(now)
        return True

    def _write(self, now: float) -> None:
        with contextlib.suppress(BlockingIOError):
            taken = os.write(self.fd, self._waiting)
            del self._waiting[:taken]
            self._stuck_since = now if taken else self._stuck_since
        if self._waiting and now - self._stuck_since > STUCK_S:
            raise TimeoutError('it takes no data')

    def receive(self, now: float) -> bytes:
        """See `Link`."""
        data = b''
        for _ in range(READS):
            try:
                part = os.read(self.fd, READ_SIZE)
            except BlockingIOError:
                break
            if not part:
                raise ConnectionResetError('it was closed by the other end')
            data += part
        return data


class Tcp(Stream):
    """A TCP connection, as a client."""

    def __init__(self, host: str, port: int, now: float) -> None:
        super().__init__()
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._socket = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        self.fd = self._socket.fileno()
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # a peer that is gone acknowledges nothing
            milliseconds = int(STUCK_S * 1000)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
            with contextlib.suppress(BlockingIOError):
                self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self._is_connected = False
        self._connect_until = now + CONNECT_S

    def is_ready(self, now: float) -> bool:
        """See `Link`."""
        if not self._is_connected:
            poll = select.poll()
            poll.register(self.fd, select.POLLOUT)
            if not poll.poll(0):
                if now > self._connect_until:
                    raise TimeoutError('it does not answer')
                return False
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                raise OSError(number, os.strerror(number))
            self._is_connected = True
            self.arrivals += 1
        return super().is_ready(now)

    def receive(self, now: float) -> bytes:
        """See `Link`."""
        return super().receive(now) if self._is_connected else b''

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class Serial(Stream):
    """A serial line: 8N1, no flow control."""

    def __init__(self, device: str, baud: int) -> None:
        super().__init__()
        self.fd = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            tty.setraw(self.fd, termios.TCSANOW)
            settings = termios.tcgetattr(self.fd)
            settings[2] |= termios.CLOCAL | termios.CREAD
            settings[2] &= ~(termios.CRTSCTS | termios.CSTOPB | termios.PARENB)
            settings[4] = settings[5] = speed_of(baud)
            termios.tcsetattr(self.fd, termios.TCSANOW, settings)
        except termios.error as error:
            os.close(self.fd)
            raise OSError(*error.args) from error
        self.arrivals = 1

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(termios.error):
            termios.tcflush(self.fd, termios.TCOFLUSH)  # else closing may wait for the line
        os.close(self.fd)


def open_link(endpoint: Endpoint, now: float) -> Link:
    """Open a link, or begin to; raise `OSError` if that fails. A name is looked up meanwhile."""
    kind, place, number = endpoint
    if kind == 'udpout':
        return UdpOut(place, number)
    if kind == 'udpin':
        return UdpIn(place, number)
    if kind == 'tcp':
        return Tcp(place, number, now)
    return Serial(place, number)
