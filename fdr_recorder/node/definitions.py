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
Where the definition of a type comes from: what is installed here, else who publishes it.

A definition is good if its hash is that of the publisher: one of another version would decode to
nonsense, and `rosbags` refuses a whole bag for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
import logging
from pathlib import Path
import sys
import time
from typing import Any, Final

from ament_index_python.packages import get_package_share_directory
from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.node.message_class import import_message_class, text_of_class
from fdr_recorder.types.definition import Definition, Field
from fdr_recorder.types.interface_file import read_interface
from rclpy.client import Client
from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.task import Future
from type_description_interfaces.msg import IndividualTypeDescription
from type_description_interfaces.srv import GetTypeDescription

logger = logging.getLogger(__name__)

ANSWER_DEADLINE_S: Final = 8.0
"""How long a publisher has to tell its definition; its topic is subscribed to after that."""
ASK_AGAIN_S: Final = 0.4
"""An answer is lost if the service knows the question before it knows who is to get the answer."""


class Definitions:
    """Finds definitions; for one thread, which need not be that of the node's executor."""

    def __init__(self, node: Node) -> None:
        """Ask nobody yet."""
        self._node = node
        self._questions: dict[tuple[str, str], _Question] = {}

    def find(self, type_name: str, type_hash: str, publisher: str) -> Schema | None:
        """
        Return a type's schema; None while the publisher has been asked and may answer.

        Never waits. A schema without definition means that nobody knows it.

        Args:
            type_name: In full.
            type_hash: The publisher's, `RIHS01_...`; empty if it does not say.
            publisher: Full name of its node; empty if it is not known.

        """
        for definition in installed_definitions(type_name):
            if type_hash in ('', definition.type_hash):
                return definition.schema
        if not type_hash or not publisher:
            return Schema(type_name, '')
        key = (type_name, type_hash)
        question = self._questions.get(key)
        if question is None:
            try:
                question = self._questions[key] = _Question(self._node, publisher, *key)
            except NameValidationException as error:  # no ROS node, by its name
                logger.warning('%s: %s', type_name, error)
                return Schema(type_name, '')
        if not question.is_over():
            return None
        question.close()
        del self._questions[key]
        return question.answer.schema if question.answer else Schema(type_name, '')

    def close(self) -> None:
        """Ask no more."""
        for question in self._questions.values():
            question.close()
        self._questions.clear()


@cache
def installed_definitions(type_name: str) -> tuple[Definition, ...]:
    """Return what is installed of a type: its package's file, and what its class says."""
    return tuple(_read_installed(type_name))


def _read_installed(type_name: str) -> Iterator[Definition]:
    for read in (_text_of_file, _text_of_installed_class):
        try:
            yield Definition.collect(type_name, read)
        except RecordError as error:
            logger.debug('%s: %s', type_name, error)


def _text_of_installed_class(type_name: str) -> str:
    return text_of_class(import_message_class(type_name))


def _text_of_file(type_name: str) -> str:
    return read_interface(type_name, _read_file)


def _read_file(package: str, name: str) -> str:
    """Read a file of a package's share directory."""
    try:
        share = Path(get_package_share_directory(package))
    except (LookupError, OSError):
        share = Path(sys.prefix) / 'share' / package  # wheels, without AMENT_PREFIX_PATH
    try:
        return (share / name).read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        msg = f'{name} of {package} cannot be read: {error}'
        raise RecordError(msg) from error


class _Question:
    """
    Asks a publisher's node for the definition of what it publishes (REP-2016).

    The node's executor delivers the answer. Every `rclcpp` and `rclpy` node of Jazzy and Kilted
    has the service, unless its parameter `start_type_description_service` is false.

    Attributes:
        answer: The definition; None as long as there is none.

    """

    def __init__(self, node: Node, publisher: str, type_name: str, type_hash: str) -> None:
        self.answer: Definition | None = None
        self._node = node
        self._asks_for = f'{type_name} of {publisher}'
        self._request = GetTypeDescription.Request(type_name=type_name, type_hash=type_hash)
        self._request.include_type_sources = True
        self._client: Client[Any, Any] = node.create_client(
            GetTypeDescription, f'{publisher}/get_type_description'
        )
        self._futures: list[Future[Any]] = []
        self._asked_at = float('-inf')
        self._deadline = time.monotonic() + ANSWER_DEADLINE_S

    def is_over(self) -> bool:
        """Look for the answer; tell whether there is one, or will be none."""
        for future in self._futures:
            if future.done():
                self._take(future.result())
                return True
        now = time.monotonic()
        if now >= self._asked_at + ASK_AGAIN_S and self._client.service_is_ready():
            self._futures.append(self._client.call_async(self._request))
            self._asked_at = now
        if now < self._deadline:
            return False
        logger.warning('%s: no answer within %s s', self._asks_for, ANSWER_DEADLINE_S)
        return True

    def _take(self, response: GetTypeDescription.Response) -> None:
        if not response.successful:
            logger.warning('%s: %s', self._asks_for, response.failure_reason)
            return
        try:
            definition = definition_of(response)
        except RecordError as error:
            logger.warning('%s: %s', self._asks_for, error)
            return
        if definition.type_hash == self._request.type_hash:
            self.answer = definition
        else:
            logger.warning('%s: the answer has the hash %s', self._asks_for, definition.type_hash)

    def close(self) -> None:
        """Give the client back."""
        self._node.destroy_client(self._client)


def definition_of(response: GetTypeDescription.Response) -> Definition:
    """
    Return what a publisher has told: its `.msg` files, or its fields where it has none.

    Raises:
        RecordError: It has a field that the syntax of `.msg` files has no words for.

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
    """Return the text of a type whose file is not told."""
    fields = (
        Field.described(
            field.name,
            field.type.type_id,
            field.type.capacity,
            field.type.string_capacity,
            field.type.nested_type_name,
        )
        for field in description.fields
    )
    return ''.join(f'{field.msg()}\n' for field in fields)
