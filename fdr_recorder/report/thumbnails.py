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
A few images of each camera as thumbnails, spread over the flight.

JPEG and PNG are taken as they are, if they are small enough; raw images are made smaller and
become PNG. Number and bytes are bounded, and nothing that an image says of itself is believed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
import struct
from typing import Any, Final
import zlib

from fdr_recorder.errors import RecordError
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.types.cdr_to_columns import Messages
from fdr_recorder.types.typestore import typestore_of
from fdr_recorder.units import NS_PER_S
import numpy as np
import numpy.typing as npt

IMAGE: Final = 'sensor_msgs/msg/Image'
COMPRESSED: Final = 'sensor_msgs/msg/CompressedImage'
MAX_TOPICS: Final = 6
_MOST: Final = 14
"""Of one topic."""
_TOPIC_BYTES: Final = 450_000
"""Of all images of one topic, before base64; its first may be as large as `_LARGEST`."""
_LARGEST: Final = 1_000_000
_WIDTH: Final = 160
_HEIGHT: Final = 120
_MAX_SIDE: Final = 16_384
_JPEG: Final = b'\xff\xd8\xff'
_PNG: Final = b'\x89PNG\r\n\x1a\n'
_FRAMES: Final = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
"""JPEG markers of a frame, whose segment has height and width."""

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Thumbnail:
    """
    A small image.

    Attributes:
        at_s: When it was received, in seconds since the page's axis begins.
        width: In pixels, as it is to be shown.
        height: Likewise.
        source: A `data:` URL.

    """

    at_s: float
    width: int
    height: int
    source: str


class Thumbnails:
    """
    Takes some images of one topic, spread over the flight.

    Attributes:
        found: The images.
        too_large: How many were left out because of their size.

    """

    def __init__(self, schema: Schema, start_ns: int, end_ns: int) -> None:
        """Take the type of the topic, and the times at which the page begins and ends."""
        self._schema = schema
        self._start_ns = start_ns
        self._step_ns = max((end_ns - start_ns) // _MOST, 1)
        self._next_ns = start_ns
        self._left = _TOPIC_BYTES
        self.found: list[Thumbnail] = []
        self.too_large = 0

    def add(self, messages: Messages) -> None:
        """Take those of some messages that are wanted."""
        for row in np.flatnonzero(messages.log_time_ns >= self._next_ns).tolist():
            time_ns = int(messages.log_time_ns[row])
            if time_ns < self._next_ns or len(self.found) >= _MOST:
                continue
            start, length = int(messages.start[row]), int(messages.length[row])
            try:
                self._take(time_ns, messages.buffer[start:start + length].tobytes())
            except Exception:  # damaged data make the generated decoder raise anything
                self._next_ns = time_ns + self._step_ns

    def _take(self, time_ns: int, data: bytes) -> None:
        """Take one image."""
        store = typestore_of(self._schema)
        image: Any = store.deserialize_cdr(data, self._schema.name)
        if self._schema.name == COMPRESSED:
            kind, content, width, height = _compressed(image)
        else:
            kind, (content, width, height) = 'png', _raw(image)
        self._next_ns = time_ns + self._step_ns
        if len(content) > (self._left if self.found else _LARGEST):
            self.too_large += 1
            return
        if not self.found:  # later ones are about as large
            fitting = max(min(_TOPIC_BYTES // max(len(content), 1), _MOST), 1)
            self._step_ns = self._step_ns * _MOST // fitting
            self._next_ns = time_ns + self._step_ns
        self._left -= len(content)
        source = f'data:image/{kind};base64,{base64.b64encode(content).decode()}'
        at_s = (time_ns - self._start_ns) / NS_PER_S
        self.found.append(Thumbnail(at_s, width, height, source))


def reads_images(schema: Schema) -> bool:
    """Return whether messages of a type are images that can be shown."""
    return schema.name in (IMAGE, COMPRESSED)


# --- compressed --------------------------------------------------------------------------------


def _compressed(image: Any) -> tuple[str, bytes, int, int]:  # noqa: ANN401 - made at run time
    content = bytes(image.data)
    if content.startswith(_PNG):
        width, height = struct.unpack_from('>II', content, 16)
        kind = 'png'
    elif content.startswith(_JPEG):
        width, height = _jpeg_size(content)
        kind = 'jpeg'
    else:
        raise RecordError('neither JPEG nor PNG')
    if not 0 < width <= _MAX_SIDE or not 0 < height <= _MAX_SIDE:
        raise RecordError('its size cannot be')
    scale = min(_WIDTH / width, _HEIGHT / height, 1.0)
    return kind, content, max(round(width * scale), 1), max(round(height * scale), 1)


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Return width and height, from the segment of the frame."""
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from('>HH', content, place + 5)
            return width, height
        if marker == 0xFF:  # padding
            place += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            place += 2
        else:
            place += 2 + max(int.from_bytes(content[place + 2:place + 4], 'big'), 2)
    raise RecordError('a JPEG without a frame')


# --- raw ---------------------------------------------------------------------------------------


def _raw(image: Any) -> tuple[bytes, int, int]:  # noqa: ANN401 - made at run time
    """Return a raw image as a small PNG, its width and its height."""
    height, width, step = int(image.height), int(image.width), int(image.step)
    data = np.frombuffer(bytes(image.data), np.uint8)
    if not 0 < height <= _MAX_SIDE or not 0 < width <= _MAX_SIDE or height * step > len(data):
        raise RecordError('its size cannot be')
    rows = data[: height * step].reshape(height, step)
    every = max(-(-width // _WIDTH), -(-height // _HEIGHT), 1)
    encoding = str(image.encoding).strip().lower()
    order = '>' if image.is_bigendian else '<'
    small = _ENCODINGS[_ALIASES.get(encoding, encoding)](rows, width, every, order)
    return _png(small), small.shape[1], small.shape[0]


def _channels(count: int, *chosen: int) -> Callable[[Pixels, int, int, str], Pixels]:
    def take(rows: Pixels, width: int, every: int, _order: str) -> Pixels:
        pixels = rows[:, : width * count].reshape(len(rows), width, count)
        return np.asarray(pixels[::every, ::every][:, :, list(chosen)])

    return take


def _deep(dtype: str) -> Callable[[Pixels, int, int, str], Pixels]:
    """Return what turns depths or thermal values into grey: the lowest is black."""

    def take(rows: Pixels, width: int, every: int, order: str) -> Pixels:
        size = np.dtype(dtype).itemsize
        content = np.ascontiguousarray(rows[::every, : width * size])
        values = content.view(f'{order}{dtype}')[:, ::every].astype(np.float64)
        known = np.isfinite(values)
        low, high = np.percentile(values[known], (1, 99)) if known.any() else (0, 1)
        grey = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * 255
        return np.where(known, grey, 0).astype(np.uint8)[:, :, None]

    return take


def _bayer(red: tuple[int, int]) -> Callable[[Pixels, int, int, str], Pixels]:
    """Return what takes red, green and blue of some squares of two by two pixels."""

    def take(rows: Pixels, width: int, every: int, _order: str) -> Pixels:
        step = 2 * max(every // 2, 1)
        y, x = red
        even = rows[: len(rows) // 2 * 2, : width // 2 * 2]
        planes = [even[a::step, b::step] for a, b in ((y, x), (y, 1 - x), (1 - y, 1 - x))]
        return np.stack(planes, axis=2)

    return take


def _every_second(first: int) -> Callable[[Pixels, int, int, str], Pixels]:
    """Return what takes the brightness of YUV 4:2:2."""
    return lambda rows, width, every, _order: rows[
        ::every, first:width * 2:2 * every, None
    ]


_ENCODINGS: Final[Mapping[str, Callable[[Pixels, int, int, str], Pixels]]] = {
    'mono8': _channels(1, 0), 'rgb8': _channels(3, 0, 1, 2), 'bgr8': _channels(3, 2, 1, 0),
    'rgba8': _channels(4, 0, 1, 2), 'bgra8': _channels(4, 2, 1, 0),
    'mono16': _deep('u2'), '16sc1': _deep('i2'), '32fc1': _deep('f4'), '64fc1': _deep('f8'),
    '32sc1': _deep('i4'),
    'bayer_rggb8': _bayer((0, 0)), 'bayer_bggr8': _bayer((1, 1)),
    'bayer_gbrg8': _bayer((1, 0)), 'bayer_grbg8': _bayer((0, 1)),
    'uyvy': _every_second(1), 'yuyv': _every_second(0),
    'nv12': _channels(1, 0), 'nv21': _channels(1, 0),
}  # fmt: skip
_ALIASES: Final = {
    '8uc1': 'mono8', '8uc3': 'bgr8', '8uc4': 'bgra8', '16uc1': 'mono16', 'yuv422': 'uyvy',
    'yuv422_yuy2': 'yuyv',
}  # fmt: skip


def _png(pixels: Pixels) -> bytes:
    """Return a PNG of grey (one channel) or colour (three)."""
    height, width, channels = pixels.shape

    def chunk(name: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(name + content)
        return struct.pack('>I', len(content)) + name + content + struct.pack('>I', crc)

    header = struct.pack('>IIBBBBB', width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    lines = np.zeros((height, 1 + width * channels), np.uint8)
    lines[:, 1:] = pixels.reshape(height, -1)
    lines[1:, 1:] -= pixels.reshape(height, -1)[:-1]  # filter 2: what is above is subtracted
    lines[1:, 0] = 2
    content = zlib.compress(lines.tobytes(), 9)
    return _PNG + chunk(b'IHDR', header) + chunk(b'IDAT', content) + chunk(b'IEND', b'')
