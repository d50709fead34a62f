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

rclpy 7 (Jazzy) does not pass the gid on, rclpy 9 does. Taken here, a small message costs half of
what it does by rclpy's own `take_message`, which makes two dictionaries of the info.
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


class _Taken(ctypes.Structure):
    """Where `rcl` leaves a message: its data, and the info on it."""

    _fields_ = (('array', _Array), ('info', ctypes.c_char * _INFO_BYTES))


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
        self._take = rcl.rcl_take_serialized_message  # declared types would double its cost
        allocator = ctypes.PYFUNCTYPE(_Allocator)(('rcutils_get_default_allocator', rcutils))
        self._release = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(
            ('rcutils_uint8_array_fini', rcutils)
        )
        self._error = ctypes.PYFUNCTYPE(_ErrorString)(('rcutils_get_error_string', rcutils))
        self._reset_error = ctypes.PYFUNCTYPE(None)(('rcutils_reset_error', rcutils))
        self._allocator = allocator()
        self._taken = _Taken(_Array(None, 0, 0, self._allocator))
        self._layout = struct.Struct(f'@PN48xqqQQP{gid_size}s')
        self._address = 0
        """Of the buffer, and a view of it: data are copied from there, without a call."""
        self._view: Any = (ctypes.c_char * 0)()

    def __del__(self) -> None:
        """Release the buffer."""
        if hasattr(self, '_taken'):
            self._release(ctypes.byref(self._taken.array))

    def of(
        self,
        handle: Any,  # noqa: ANN401 - a private class of rclpy's
    ) -> tuple[Callable[[], RawMessage | None], Callable[[], None]]:
        """
        Return two functions for a subscription: one that takes a message, one that ends that.

        Once ended, the first one raises an error; else it would use memory that was freed.
        """
        take, fail = self._take, self._fail
        taken, unpack = self._taken, self._layout.unpack_from
        subscription = ctypes.c_void_p(handle.pointer)
        array, info = ctypes.byref(taken.array), ctypes.byref(taken, _Taken.info.offset)

        def take_message() -> RawMessage | None:
            code = take(subscription, array, info, None)
            if code:
                return fail(code)
            buffer, size, source_ns, received_ns, number, _, _, gid = unpack(taken)
            if buffer == self._address and size <= MOST_KEPT_BYTES:
                data = self._view[:size]
            else:
                data = self._copy(buffer, size)
            return data, source_ns, received_ns, number, gid

        def end() -> None:
            subscription.value = None

        return take_message, end

    def _copy(self, buffer: int, size: int) -> bytes:
        """Return the data of a message; look at the buffer where it is now, or release it."""
        if size > MOST_KEPT_BYTES:
            data = ctypes.string_at(buffer, size)
            self._release(ctypes.byref(self._taken.array))
            self._taken.array = _Array(None, 0, 0, self._allocator)
            return data
        self._view = (ctypes.c_char * MOST_KEPT_BYTES).from_address(buffer)  # less of it is read
        self._address = buffer
        return bytes(self._view[:size])

    def _fail(self, code: int) -> None:
        """Return if there was no message; else raise `RuntimeError` with rcl's own words."""
        if code == _TAKE_FAILED:
            return
        text = self._error().text.decode(errors='replace')
        self._reset_error()
        message = f'rcl_take_serialized_message: {text or "error"} ({code})'
        raise RuntimeError(message)
