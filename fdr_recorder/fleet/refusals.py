# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What an answer of a store, or an error of a directory, means: refused, full, or not now."""

from __future__ import annotations

import errno
import re
from typing import Final

from fdr_recorder.fleet.errors import (
    StoreError,
    StoreFullError,
    StoreUnreachableError,
    UnlistableError,
)
from fdr_recorder.units import short

_FULL_STATUS: Final = (413, 507)
_FULL: Final = frozenset({
    'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded', 'QuotaExceeded', 'InsufficientStorage',
    'InsufficientCapacity',
})
"""Codes by which stores say that there is no room."""
_AGAIN: Final = frozenset({'BadDigest', 'RequestTimeout', 'NoSuchUpload', 'IncompleteBody'})
"""Codes of a transfer that failed on its way."""


_WRONG_KEY: Final = frozenset({
    'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'ExpiredToken',
    'TokenRefreshRequired',
})
"""Codes by which a store says that it does not know the key, or that it is over."""
_UNREACHED: Final = {
    'refused': 'it refuses connections',
    'dns error': 'nobody knows this name',
    'resolve': 'nobody knows this name',
    'name or service': 'nobody knows this name',
    'certificate': 'its certificate is not trusted here',
    'timedout': 'it does not answer in time',
    'timeout': 'it does not answer in time',
    'timed out': 'it does not answer in time',
}
"""By what a library says, in lower case: why a store was not reached."""
_IMPOSSIBLE: Final = re.compile(
    r'(?:invalid path: .*?[Pp]ath "(.*?)"|invalid list response)', re.DOTALL
)
"""What a library says of a key with `//`, `..` or control characters, which S3 takes."""
_HOST: Final = re.compile(r'(https?://)(?:[^/\s?@]*@)?([^/\s?"@]+)')


def unreachable(url: str, said: str) -> StoreUnreachableError:
    """Return the error of a request that had no answer; `said` is all that a library says."""
    host = _HOST.search(said)
    where = f'{host[1]}{host[2]}' if host else 'the store'
    text = said.lower()
    why = next((why for sign, why in _UNREACHED.items() if sign in text), 'the connection failed')
    return StoreUnreachableError(
        url, f'{where} cannot be reached: {why}; look at the network, and at this address'
    )


def check_listing(url: str, prefix: str, said: str) -> None:
    """Raise `UnlistableError` if a name made a listing fail; `said` is all that a library says."""
    found = _IMPOSSIBLE.search(said)
    if found is not None:
        name = f', such as {short(found[1])!r}' if found[1] else ''
        what = f'cannot be listed: there are objects with impossible names{name}; remove them'
        raise UnlistableError(url, f'{prefix} {what}')


def refusal(url: str, key: str, status: int, code: str) -> StoreError:
    """Return the error that an answer of a store means; of the answer it says these two alone."""
    where = f'{key}: ' if key else ''
    said = ' '.join(filter(None, (str(status) if status else '', code)))
    if status in _FULL_STATUS or code in _FULL:
        advice = 'make room there, or raise the quota'
        return StoreFullError(url, f'{where}the store is full ({said}); {advice}')
    if code == 'RequestTimeTooSkewed':
        what = "the clock of this machine differs too much from the store's; set it"
        return StoreError(url, where + what)
    if code == 'NoSuchBucket':
        return StoreError(url, f'there is no such bucket ({said}); create it, or correct the URL')
    if status == 401 or code in _WRONG_KEY:
        what = f'the store does not accept the credentials ({said})'
        return StoreError(url, f'{what}; look at the key and its rights')
    if status == 403:
        what = f'the store refuses it ({said}); look at the key and its rights'
        return StoreError(url, where + what)
    if code in _AGAIN or not 0 < status < 500 or status in (408, 409, 429):
        return StoreUnreachableError(url, f'the store answers {said or "with an error"}')
    return StoreError(url, f'{where}the store refuses it ({said})')


def refusal_of_directory(url: str, where: str, error: OSError) -> StoreError:
    """Return what an error of a directory means."""
    number, text = error.errno or 0, error.strerror or str(error)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return StoreFullError(url, f'{where}{text}; make room there')
    if number == errno.EFBIG:
        return StoreFullError(url, f'{where}{text}: no file may be so large there')
    if number in (errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG):
        return StoreError(url, f'{where}{text}; something else is in its place')
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(url, f'{where}{text}; this user must be able to write there')
    return StoreUnreachableError(url, f'{where}{text}; look at the disk, or the mount')
