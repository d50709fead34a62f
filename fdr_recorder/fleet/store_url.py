# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Reads the URLs by which people name a store: a place in a cloud's store, or a directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from fdr_recorder.fleet.errors import StoreError

_CLOUD_SCHEMES: Final = {
    's3': 's3', 's3a': 's3', 'gs': 'gcs', 'az': 'azure', 'azure': 'azure', 'abfs': 'azure',
    'abfss': 'azure', 'adl': 'azure',
}
"""By the scheme of a URL: whose store."""
_WANTED: Final = 's3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or a directory'


@dataclass(frozen=True)
class StoreUrl:
    """
    Where a store is.

    Attributes:
        shown: The URL as people are told: without user, password and query.
        kind: Whose store: `s3`, `gcs` or `azure`; empty for a directory.
        bucket: The bucket, or the container; empty for a directory.
        prefix: The prefix in it, without a slash at its ends; empty for a directory.
        directory: The directory; None for a cloud's store.

    """

    shown: str
    kind: str = ''
    bucket: str = ''
    prefix: str = ''
    directory: Path | None = None

    @classmethod
    def parse(cls, url: str) -> StoreUrl:
        """
        Read a URL as a user gives it.

        Raises:
            StoreError: It names no store; the text says what to write.

        """
        if not url.strip():
            raise StoreError(repr(url), f'names no store; write {_WANTED}')
        parts = urlsplit(url)
        if parts.scheme == 'file':
            return cls(url, directory=_directory_of(url, parts))
        if not parts.scheme:
            return cls(url, directory=Path(url).expanduser())
        shown = urlunsplit(
            (parts.scheme, parts.netloc.rpartition('@')[2], parts.path, '', '')
        )
        kind = _CLOUD_SCHEMES.get(parts.scheme)
        if kind is None:
            raise StoreError(shown, f'names no store; write {_WANTED}')
        if not parts.netloc:
            raise StoreError(shown, f'names no bucket: {parts.scheme}://BUCKET/PREFIX')
        if '@' in parts.netloc:
            what = "has a user or a password in it; give credentials as the cloud's tools do"
            raise StoreError(shown, what)
        return cls(shown, kind, parts.netloc, unquote(parts.path).strip('/'))


def _directory_of(url: str, parts: SplitResult) -> Path:
    if parts.netloc not in ('', 'localhost'):
        what = f'names a computer, {parts.netloc}; write file:///{parts.netloc}{parts.path} for a '
        what += 'directory of this one, or mount that of the other'
        raise StoreError(url, what)
    if not parts.path.startswith('/'):
        what = f'is not absolute; write file:///PATH, or the directory alone: {parts.path}'
        raise StoreError(url, what)
    return Path(unquote(parts.path))
