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
Takes messages by `rcl`, the C library below rclpy: the publisher's gid is in its message info.

rclpy 7 (Jazzy) does not pass the gid on, rclpy 9 does. Taken here, a small message costs three
quarters of what it does by rclpy's own `take_message`, which makes two dictionaries of the info.
The layout of `rmw_message_info_t` is known for each distribution, but not checked by anything at
run time. So nothing is taken this way before `take_trial.py` has found that it agrees with rclpy.
"""

from __future__ import annotations

from collections.abc import Callable
import ctypes
import struct
from typing import Any, Final

from fdr_recorder.node.intake.subscription_protocol import RawMessage

GID_SIZE: Final = 16
"""Bytes of `rmw_gid_t` from Jazzy on; 24 in Humble."""
MOST_KEPT_BYTES: Final = 16 * 1024 * 1024
"""A buffer that has grown beyond this is released after its message."""

_TAKE_FAILED: Final = 401
"""RCL_RET_SUBSCRIPTION_TAKE_FAILED: there is no message."""
_INFO_BYTES: Final = 256
"""Room for `rmw_message_info_t`, 64 bytes, and for what later versions append."""


class _Allocator(ctypes.Structure):
    """`rcutils_allocator_t`: four functions and a state."""

    _fields_ = (('pointers', ctypes.c_void_p * 5),)


class _Array(ctypes.Structure):
    """`rcutils_uint8_array_t`."""

    _fields_ = (
        ('buffer', ctypes.c_void_p),
        ('length', ctypes.c_size_t),
        ('capacity', ctypes.c_size_t),
        ('allocator', _Allocator),
    )


class _ErrorString(ctypes.Structure):
    """`rcutils_error_string_t`."""

    _fields_ = (('text', ctypes.c_char * 1024),)


class RclTake:
    """
    Makes functions that take the messages of a subscription.

    All of them use one buffer, which grows to the largest message: they belong to one thread at a
    time. The GIL is held while a message is taken, as rclpy does.
    """

    def __init__(self, gid_size: int = GID_SIZE) -> None:
        """
        Find the functions of `rcl` and `rcutils`, which rclpy has loaded.

        Args:
            gid_size: Bytes of a gid in the message info: as many as gids of the graph have.

        Raises:
            OSError: A library is not found.
            AttributeError: A function is not found.

        """
        rcl, rcutils = ctypes.PyDLL('librcl.so'), ctypes.PyDLL('librcutils.so')
        prototype = ctypes.PYFUNCTYPE(ctypes.c_int, *(ctypes.c_void_p,) * 4)
        self._take = prototype(('rcl_take_serialized_message', rcl))
        to_bytes = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t)
        self._to_bytes = to_bytes(('PyBytes_FromStringAndSize', ctypes.pythonapi))
        allocator = ctypes.PYFUNCTYPE(_Allocator)(('rcutils_get_default_allocator', rcutils))
        self._release = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(
            ('rcutils_uint8_array_fini', rcutils)
        )
        self._error = ctypes.PYFUNCTYPE(_ErrorString)(('rcutils_get_error_string', rcutils))
        self._reset_error = ctypes.PYFUNCTYPE(None)(('rcutils_reset_error', rcutils))
        self._array = _Array(None, 0, 0, allocator())
        self._info = ctypes.create_string_buffer(_INFO_BYTES)
        self._layout = struct.Struct(f'@qqQQP{gid_size}s')

    def __del__(self) -> None:
        """Release the buffer."""
        if hasattr(self, '_array'):
            self._release(ctypes.addressof(self._array))

    def of(
        self,
        handle: Any,  # noqa: ANN401 - a private class of rclpy's
    ) -> tuple[Callable[[], RawMessage | None], Callable[[], None]]:
        """
        Return two functions for a subscription: one that takes a message, one that ends that.

        Once ended, the first one raises an error; else it would use memory that was freed.
        """
        take, to_bytes = self._take, self._to_bytes
        array, info = self._array, self._info
        release_large, fail = self._release_large, self._fail
        subscription = ctypes.c_void_p(handle.pointer)
        to_array = ctypes.c_void_p(ctypes.addressof(array))
        to_info = ctypes.c_void_p(ctypes.addressof(info))
        content = struct.Struct('@PN').unpack_from
        view, unpack = memoryview(array).cast('B'), self._layout.unpack_from

        def take_message() -> RawMessage | None:
            code = take(subscription, to_array, to_info, None)
            if code:
                return fail(code)
            buffer, size = content(view)
            data = to_bytes(buffer, size)
            source_ns, received_ns, number, _, _, gid = unpack(info)
            if size > MOST_KEPT_BYTES:
                release_large()
            return data, source_ns, received_ns, number, gid

        def end() -> None:
            subscription.value = None

        return take_message, end

    def _release_large(self) -> None:
        array = ctypes.addressof(self._array)
        allocator = bytes(self._array.allocator)
        self._release(array)
        ctypes.memmove(ctypes.addressof(self._array.allocator), allocator, len(allocator))

    def _fail(self, code: int) -> None:
        """Return if there was no message; else raise `RuntimeError` with rcl's own words."""
        if code == _TAKE_FAILED:
            return
        text = self._error().text.decode(errors='replace')
        self._reset_error()
        message = f'rcl_take_serialized_message: {text or "error"} ({code})'
        raise RuntimeError(message)
