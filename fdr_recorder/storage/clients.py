# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The registered clients, and which of their rings are open."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import threading

from fdr_recorder.capture.client import FdrClient
from fdr_recorder.errors import ClientError
from fdr_recorder.record.channel import Channel


class Clients:
    """
    The clients of a writer. Any thread may `register` and `retire`; the rest is the writer's.

    Rings are open while a flight is being recorded, and before that if they keep a pre-roll.

    Attributes:
        present: The registered clients; replaced as a whole.
        retiring: Clients that were retired and whose rings may still hold records.
        resumed: Clients that came back, for the writer to note; see `resume`.
        is_recording: Whether a flight is open.
        is_listening: Whether rings keep a pre-roll while no flight is open.

    """

    def __init__(self, wake_writer: Callable[[], object], *, has_preroll: bool) -> None:
        """Begin without a client; `wake_writer` makes the writer look at the rings, any thread."""
        self.present: tuple[FdrClient, ...] = ()
        self.retiring: list[FdrClient] = []
        self.resumed: deque[FdrClient] = deque()
        self.is_recording = False
        self.is_listening = False
        self._wake_writer = wake_writer
        self._has_preroll = has_preroll
        self._lock = threading.Lock()
        """Guards all of the above, and opening and closing rings; never held for long."""

    def register(self, client: FdrClient) -> None:
        """Add a client; raise `ClientError` if its channel has one."""
        with self._lock:
            others = (*self.present, *self.retiring)
            if any(client.channel is other.channel for other in others):
                msg = f'a client of this channel of {client.channel.topic} is already registered'
                raise ClientError(msg)
            self._add(client)

    def resume(self, client: FdrClient, has_account: Callable[[Channel], bool]) -> bool:
        """
        Add a client again that was retired: its producer is back; what it lost meanwhile counts.

        That holds within a flight. Return False, and add nothing, if the open flight has no
        account of its channel: then the producer begins anew, with another client.
        """
        with self._lock:
            if client in self.retiring:
                self.retiring.remove(client)
            elif self.is_recording and not has_account(client.channel):
                return False
            else:
                client.acknowledge_losses()  # of before
                client.acknowledge_throttled()
            self._add(client)
            self.resumed.append(client)
            return True

    def _add(self, client: FdrClient) -> None:
        self.present += (client,)
        client.ring.call_consumer = self.wake_writer
        client.ring.is_open = self._should_be_open(client)

    def retire(self, client: FdrClient) -> None:
        """Close a client's ring, whose records remain; raise `ClientError` if it is unknown."""
        with self._lock:
            if client not in self.present:
                msg = f'the client of {client.channel.topic} is not registered'
                raise ClientError(msg)
            client.ring.close()
            self.present = tuple(other for other in self.present if other is not client)
            if self.is_recording or self.is_listening:
                self.retiring.append(client)

    def all(self) -> tuple[FdrClient, ...]:
        """Return the present and the retiring clients."""
        with self._lock:
            return (*self.present, *self.retiring)

    def forget_settled(self, client: FdrClient) -> bool:
        """Remove a client that is still retiring if its ring is settled; return whether it is."""
        with self._lock:
            is_over = client in self.retiring and client.ring.is_settled()
            if is_over:
                self.retiring.remove(client)
            return is_over

    def forget_empty(self) -> None:
        """Remove all retiring clients whose rings are empty."""
        with self._lock:
            self.retiring = [client for client in self.retiring if len(client.ring)]

    def listen(self) -> None:
        """Open the rings that keep a pre-roll, and close the others: no flight is open."""
        with self._lock:
            self.is_recording = False
            self.is_listening = self._has_preroll
            for client in self.present:
                if not client.ring.is_open:
                    client.acknowledge_throttled()
                client.ring.is_open = self._should_be_open(client)

    def open_rings(self) -> tuple[FdrClient, ...]:
        """Open all rings: a flight begins. Return all clients."""
        with self._lock:
            self.is_recording = True
            self.resumed.clear()
            for client in self.present:
                if client.ring.is_open:
                    client.forget_throttled()
                else:
                    client.acknowledge_losses()
                    client.acknowledge_throttled()
                    client.ring.is_open = True
            return (*self.present, *self.retiring)

    def close_rings(self) -> tuple[FdrClient, ...]:
        """Close all rings. Return all clients; those that were retiring are forgotten."""
        with self._lock:
            self.is_recording = self.is_listening = False
            clients = (*self.present, *self.retiring)
            self.retiring.clear()
            for client in clients:
                client.ring.close()
            return clients

    def _should_be_open(self, client: FdrClient) -> bool:
        return self.is_recording or (self.is_listening and not client.channel.latched)

    def wake_writer(self) -> None:
        """Have the writer look at the rings soon, if a flight is open; any thread."""
        if self.is_recording:
            self._wake_writer()
