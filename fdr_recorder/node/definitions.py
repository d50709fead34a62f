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
Find the definition of a type: as installed here, or as its publisher answers when asked.

A definition is used only if its hash is the publisher's: with that of another version messages
decode to nonsense, and `rosbags` refuses the whole bag.
"""

from __future__ import annotations

from functools import lru_cache
import logging
import os
from pathlib import Path
import sys
import time
from typing import Any, Final

from ament_index_python.packages import get_package_share_directory
from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.node.message_class import import_message_class, text_of_class
from fdr_recorder.types.definition import Definition, Field, MAX_CHARACTERS
from fdr_recorder.types.services_and_actions import read_interface
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future

try:
    from type_description_interfaces.msg import IndividualTypeDescription
    from type_description_interfaces.srv import GetTypeDescription
except ImportError:  # ROS 2 Humble, where types have no hash: nobody is asked
    pass

logger = logging.getLogger(__name__)

ANSWER_DEADLINE_S: Final = 8.0
"""After that the topic is subscribed to without a definition."""
MAX_TYPES: Final = 2000
"""Types whose definitions are kept: others are read again when they are needed."""
ASK_AGAIN_S: Final = 0.4
"""An answer is lost if the service discovers the request before it discovers the client."""


class Definitions:
    """Finds definitions. For one thread, which need not be that of the node's executor."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._requests: dict[tuple[str, str], _Request] = {}

    def find(self, type_name: str, type_hash: str, publisher: str) -> Schema | None:
        """
        Return the schema of a type, without a definition if none is found.

        Never waits: it returns None while the publisher may still answer. The publisher is given
        by the full name of its node, and by the hash that it announces; empty if unknown.
        """
        for definition in installed_definitions(type_name):
            if type_hash in ('', definition.type_hash):
                return definition.schema
        unknown, key = Schema(type_name, ''), (type_name, type_hash)
        if not type_hash or not publisher:
            return unknown
        try:
            if key not in self._requests:
                self._requests[key] = _Request(self._node, publisher, *key)
            request = self._requests[key]
            if not request.is_over():
                return None
            answer = request.answer
        except Exception as error:  # the publisher may be no ROS node, and may answer anything
            logger.warning('%s: %s cannot be asked: %r', type_name, publisher, error)
            answer = None
        if key in self._requests:
            self._requests.pop(key).close()
        return answer.schema if answer else unknown

    def close(self) -> None:
        """Abandon all requests."""
        for request in self._requests.values():
            request.close()
        self._requests.clear()


@lru_cache(maxsize=MAX_TYPES)
def installed_definitions(type_name: str) -> tuple[Definition, ...]:
    """Return the definitions of a type in the files and in the classes installed here."""
    found = []
    for read in (
        lambda name: read_interface(name, _read_file),
        lambda name: text_of_class(import_message_class(name)),
    ):
        try:
            definition = Definition.collect(type_name, read)
            _check_size(definition)
            found.append(definition)
        except Exception as error:  # files and classes of others: they may hold anything
            logger.debug('%s: %r', type_name, error)
    return tuple(found)


def _read_file(package: str, name: str) -> str:
    """Return the text of a file in the share directory of a package."""
    try:
        share = Path(get_package_share_directory(package))
    except (LookupError, OSError):
        share = Path(sys.prefix) / 'share' / package  # installed as wheels
    try:
        with open(share / name, 'rb', opener=_open_now) as file:
            return file.read(MAX_CHARACTERS + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f'{name} of {package} cannot be read: {error}') from error


def _open_now(path: str, flags: int) -> int:
    """Open a file without waiting for it: it might be a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check_size(definition: Definition) -> None:
    """Raise `RecordError` for a definition that no reader would accept in every segment."""
    size = sum(map(len, definition.texts.values()))
    if size > MAX_CHARACTERS:
        raise RecordError(f'the definition has {size} characters; up to {MAX_CHARACTERS} are read')


class _Request:
    """
    Requests the definition of a type from the node of its publisher (REP-2016).

    The node's executor receives the answer. Every `rclcpp` and `rclpy` node of Jazzy and Kilted
    has the service, unless its parameter `start_type_description_service` is false.

    Attributes:
        answer: The definition; None until it arrives.

    """

    def __init__(self, node: Node, publisher: str, type_name: str, type_hash: str) -> None:
        self.answer: Definition | None = None
        self._node = node
        self._subject = f'{type_name} of {publisher}'
        self._request = GetTypeDescription.Request(type_name=type_name, type_hash=type_hash)
        self._request.include_type_sources = True
        self._client: Client[Any, Any] = node.create_client(
            GetTypeDescription, f'{publisher}/get_type_description'
        )
        self._futures: list[Future[Any]] = []
        self._sent_at = float('-inf')
        self._deadline = time.monotonic() + ANSWER_DEADLINE_S

    def is_over(self) -> bool:
        """Return whether an answer has arrived or its deadline has passed; repeat the request."""
        for future in self._futures:
            if future.done():
                self._take(future.result())
                return True
        now = time.monotonic()
        if now >= self._sent_at + ASK_AGAIN_S and self._client.service_is_ready():
            self._futures.append(self._client.call_async(self._request))
            self._sent_at = now
        if now < self._deadline:
            return False
        logger.warning('%s: no answer within %s s', self._subject, ANSWER_DEADLINE_S)
        return True

    def _take(self, response: GetTypeDescription.Response) -> None:
        try:
            if not response.successful:
                raise RecordError(response.failure_reason)
            definition = _definition_in(response)
            _check_size(definition)
            if definition.type_hash != self._request.type_hash:
                raise RecordError(f'the answer has the hash {definition.type_hash}')
        except RecordError as error:
            logger.warning('%s: %s', self._subject, error)
        else:
            self.answer = definition

    def close(self) -> None:
        """Destroy the client."""
        self._node.destroy_client(self._client)


def _definition_in(response: GetTypeDescription.Response) -> Definition:
    """
    Return the definition in an answer: of each type the `.msg` file, or the fields without one.

    Raises:
        RecordError: The syntax of `.msg` files cannot express a field.

    """
    whole = response.type_description
    files = {
        source.type_name: source.raw_file_contents
        for source in response.type_sources
        if source.encoding == 'msg' and source.raw_file_contents
    }
    described = (whole.type_description, *whole.referenced_type_descriptions)
    texts = {item.type_name: files.get(item.type_name) or _text(item) for item in described}
    return Definition(whole.type_description.type_name, texts)


def _text(description: IndividualTypeDescription) -> str:
    """Return the text of a type whose file is not in the answer."""
    text = ''
    for field in description.fields:
        of = field.type
        described = Field.described(
            field.name, of.type_id, of.capacity, of.string_capacity, of.nested_type_name
        )
        text += f'{described.msg()}\n'
    return text
