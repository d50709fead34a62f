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
A store of objects: S3 and what speaks it, Google's or Azure's, or a directory.

Everything here may block for as long as the network does. An object appears whole or not at all.
Errors are `StoreError`s whose text names the store and the key, and never a credential.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
import os
from pathlib import Path
import re
from typing import Final, NoReturn, TYPE_CHECKING

from fdr_recorder.errors import ExtraMissingError
from fdr_recorder.fleet.directory_store import forget_cached, sweep, write_object
from fdr_recorder.fleet.errors import NotStoredError, StoreError, StoreUnreachableError
from fdr_recorder.fleet.local_file import Content, LocalFile, PART_BYTES
from fdr_recorder.fleet.pace import Pace
from fdr_recorder.fleet.refusals import check_listing, refusal, refusal_of_directory, unreachable
from fdr_recorder.fleet.store_url import StoreUrl

if TYPE_CHECKING:  # AWS's library is large
    from fdr_recorder.fleet.s3 import S3
    from obstore import GetOptions

try:
    import obstore
    from obstore import exceptions as refused
    from obstore import store as stores
except ImportError as missing:
    raise ExtraMissingError(missing.name or 'obstore', 'fleet') from None

_NO_BUCKET: Final = 'NoSuchBucket'
_NO_ACCOUNT: Final = 'Account must be specified'
_RETRIES: Final = 3
_RETRY_TIMEOUT: Final = timedelta(seconds=60)
_REQUEST_TIMEOUT: Final = '120s'
_CONNECT_TIMEOUT: Final = '10s'
_BLOCK_BYTES: Final = 1 << 20
_RANGE_BYTES: Final = 4 << 20
"""Of what is larger, so much is asked for at once; `_REQUEST_TIMEOUT` is enough at 35 kB/s."""
_STATUS: Final = re.compile(r'status code: (\d{3})')
_OS_ERROR: Final = re.compile(r'LocalFileSystem error: .*\(os error (\d+)\)')
_QUERY: Final = re.compile(r'\?\S+')
_CODE: Final = re.compile(r'<Code>(\w+)</Code>')


@dataclass(frozen=True)
class StoredObject:
    """
    An object in a store.

    Attributes:
        key: Its name, below the store's prefix.
        size: Bytes.
        modified_ns: When it was written, by the store's clock; nanoseconds since 1970 UTC.
        etag: What the store knows its content by; empty if unknown.

    """

    key: str
    size: int
    modified_ns: int
    etag: str = ''


class Store:
    """
    A store of objects, and the prefix in it. May be used by many threads at once.

    Attributes:
        url: Where it is, as people are told: without user, password and query.
        directory: The directory that it is; None if it is none.
        place: What tells it from every other store.
        tell: Called with a sentence that whoever uses it should know.

    """

    def __init__(
        self,
        url: str,
        objects: stores.ObjectStore,
        directory: Path | None = None,
        s3: S3 | None = None,
    ) -> None:
        self.url = url
        self.directory = directory
        self.tell: Callable[[str], None] = lambda _text: None
        self._objects = objects
        self._s3 = s3
        endpoint = s3.options.get('endpoint', '') if s3 is not None else ''
        self.place = str(directory) if directory is not None else f'{url} {endpoint}'.strip()
        self._place = _place(directory) if directory is not None else None

    @classmethod
    def open(cls, url: str) -> Store:
        """
        Open a store by its URL: `s3://BUCKET/PREFIX`, `gs://`, `az://`, or a directory.

        Credentials come from where the cloud's own tools look for them. Nothing is asked of the
        store yet. A directory is made if the one that holds it is there.

        Raises:
            StoreError: The URL is not one of these, or the directory cannot be used.
            ExtraMissingError: A library is missing.

        """
        place = StoreUrl.parse(url)
        if place.directory is not None:
            directory = _directory(place.shown, place.directory)
            return cls(place.shown, stores.LocalStore(directory, mkdir=True), directory)
        s3 = None
        if place.kind == 's3':
            from fdr_recorder.fleet.s3 import S3  # noqa: PLC0415  AWS's library is large

            s3 = S3(place.shown, place.bucket, place.prefix)
        try:
            return cls(
                place.shown,
                s3=s3,
                objects=stores.from_url(
                    url.rstrip('/'),
                    client_options={
                        'allow_http': True,
                        'connect_timeout': _CONNECT_TIMEOUT,
                        'timeout': _REQUEST_TIMEOUT,
                    },
                    retry_config={'max_retries': _RETRIES, 'retry_timeout': _RETRY_TIMEOUT},
                    **(s3.options if s3 is not None else {}),
                ),
            )
        except Exception as error:
            text = _first_line(error)
            if _NO_ACCOUNT in text:
                text = 'names no storage account; set AZURE_STORAGE_ACCOUNT_NAME to its name'
            raise StoreError(place.shown, text) from None

    def objects(self, prefix: str = '') -> Iterator[StoredObject]:
        """
        List the objects below a prefix that ends with `/`, in the order of their keys.

        Raises:
            UnlistableError: One of them has an impossible name.
            StoreError: The store refuses, or does not answer.

        """
        try:
            for page in obstore.list(self._objects, prefix or None):
                for found in page:
                    modified_ns = round(found['last_modified'].timestamp() * 1e6) * 1000
                    etag = (found.get('e_tag') or '').strip('"')
                    yield StoredObject(found['path'], found['size'], modified_ns, etag)
        except FileNotFoundError as error:
            self._check_bucket(error)
        except Exception as error:
            check_listing(self.url, prefix, str(error))
            self._fail(prefix, error)

    def directories(self, prefix: str) -> list[str]:
        """Return the names, one level deep, of what is below a prefix that ends with `/`."""
        try:
            found = obstore.list_with_delimiter(self._objects, prefix)
        except FileNotFoundError as error:
            self._check_bucket(error)
            return []
        except Exception as error:
            self._fail(prefix, error)
        return sorted(path.rstrip('/').rpartition('/')[2] for path in found['common_prefixes'])

    def head(self, key: str) -> StoredObject | None:
        """Return what the store says of an object; None if it is not there."""
        try:
            found = obstore.head(self._objects, key)
        except FileNotFoundError:
            return None
        except Exception as error:
            self._fail(key, error)
        etag = (found.get('e_tag') or '').strip('"')
        modified_ns = round(found['last_modified'].timestamp() * 1e6) * 1000
        return StoredObject(key, found['size'], modified_ns, etag)

    def get(self, key: str, most_bytes: int = 1 << 30) -> bytes:
        """
        Return an object whole.

        Raises:
            NotStoredError: It is not there.
            StoreError: It is larger than that, or the store refuses or does not answer.

        """
        pieces, size = [], 0
        for piece in self.stream(key):
            size += len(piece)
            if size > most_bytes:
                raise StoreError(self.url, f'{key} is larger than {most_bytes:,} bytes')
            pieces.append(piece)
        return b''.join(pieces)

    def stream(self, key: str) -> Iterator[bytes]:
        """
        Yield an object piece by piece; raise as `get` does.

        A large one is asked for in ranges: a request that takes as long as a slow link needs for
        all of it would be given up. Its pieces are of the same object, or `StoreUnreachableError`
        is raised.
        """
        try:
            found = obstore.get(self._objects, key)
            size, etag = found.meta['size'], found.meta.get('e_tag')
            if size <= _RANGE_BYTES:
                for piece in found.stream(min_chunk_size=_BLOCK_BYTES):
                    yield bytes(piece)
                return
            del found
            for start in range(0, size, _RANGE_BYTES):
                end = min(start + _RANGE_BYTES, size)
                options: GetOptions = {'range': (start, end)}
                if etag:
                    options['if_match'] = etag
                data = obstore.get(self._objects, key, options=options).bytes()
                if len(data) != end - start:
                    raise self._changed(key)
                yield bytes(data)
        except refused.PreconditionError:
            raise self._changed(key) from None
        except Exception as error:
            self._fail(key, error)

    def _changed(self, key: str) -> StoreUnreachableError:
        return StoreUnreachableError(self.url, f'{key} was replaced while it was read')

    def put(
        self, key: str, data: bytes, content_type: str = '', *, create: bool = False
    ) -> bool:
        """
        Write a small object; return False if it was to be created and was there.

        In a directory it is on the disk when this returns. A store on the web tells browsers the
        content type; a directory has none.
        """
        try:
            if self.directory is not None:
                return write_object(self._path(key), [data], create=create)
            obstore.put(
                self._objects,
                key,
                data,
                attributes={'Content-Type': content_type} if content_type else None,
                mode='create' if create else 'overwrite',
                use_multipart=False,
            )
        except refused.AlreadyExistsError:
            return False
        except Exception as error:
            self._fail(key, error)
        return True

    def put_file(
        self,
        key: str,
        file: LocalFile,
        pace: Pace,
        sent: Callable[[int], None] = lambda _bytes: None,
    ) -> Content:
        """
        Write a file as an object; what of it has arrived in S3 before is not sent again.

        Args:
            key: The object.
            file: Read from front to back.
            pace: How fast.
            sent: Called with the number of bytes that have arrived since the last call.

        Returns:
            What was written.

        Raises:
            FileChangedError: The file has changed meanwhile; no such object was made.
            StoreError: The store refuses, or does not answer.
            StoppedError: The work was told to end.

        """
        try:
            if self._s3 is not None:
                self._s3.upload(key, file, pace, sent)
            elif self.directory is not None:
                pieces = _counted(file.pieces(pace), sent)
                write_object(self._path(key), pieces, check=file.check)
            else:
                obstore.put(
                    self._objects,
                    key,
                    _counted(file.pieces(pace), sent),
                    use_multipart=True,
                    chunk_size=PART_BYTES,
                    max_concurrency=1,
                )
                file.check()
        except Exception as error:
            if pace.stop.is_set():
                pace.wait(0)
            self._fail(key, error)
        return file.content

    def stream_stored(self, key: str) -> Iterator[bytes]:
        """Yield an object as `stream` does; in a directory, from the disk where that can be."""
        if self.directory is not None:
            forget_cached(self.directory / key)
        yield from self.stream(key)

    def is_link(self, key: str, source: Path | None = None) -> bool:
        """Tell whether an object is no copy of a file: a link elsewhere, or this very file."""
        if self.directory is None:
            return False
        path = self.directory / key
        with suppress(OSError):  # one of them is not there
            return path.resolve() != path or (source is not None and path.samefile(source))
        return False

    def sweep(self, prefix: str, is_settled: Callable[[str], bool | None]) -> int:
        """
        Remove what uploads that nobody will complete have left; return how many of these.

        Args:
            prefix: Where to look; ends with `/`.
            is_settled: Whether nothing is to come for a key any more; None: not known.

        """
        if self.directory is not None:
            return sweep(self.directory / prefix)
        return self._s3.sweep(prefix, is_settled) if self._s3 is not None else 0

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; one that is not there is as good."""
        waiting = list(keys)
        try:
            if waiting:
                obstore.delete(self._objects, waiting)
        except FileNotFoundError:
            for key in waiting:
                self._delete_one(key)
        except Exception as error:
            self._fail(waiting[0], error)

    def _delete_one(self, key: str) -> None:
        try:
            obstore.delete(self._objects, key)
        except FileNotFoundError:
            return
        except Exception as error:
            self._fail(key, error)

    def _check_bucket(self, error: FileNotFoundError) -> None:
        """Raise `StoreError` if there is no such bucket."""
        if _NO_BUCKET in str(error):
            raise refusal(self.url, '', 404, _NO_BUCKET) from None

    def _path(self, key: str) -> Path:
        """Return the path of an object to be written; not where a disk was, and is no more."""
        assert self.directory is not None
        if _place(self.directory) != self._place:
            what = 'is another file system now; mount the one that it was, or start again'
            raise StoreUnreachableError(self.url, what)
        return self.directory / key

    def _fail(self, key: str, error: Exception) -> NoReturn:
        """Raise what an error of obstore's means; let pass what comes from elsewhere."""
        where = f'{key}: ' if key else ''
        if isinstance(error, FileNotFoundError):
            self._check_bucket(error)
            raise NotStoredError(self.url, f'{where}there is no such object') from None
        if isinstance(error, OSError) and self.directory is not None:
            raise refusal_of_directory(self.url, where, error) from None
        if not isinstance(error, refused.BaseError):
            raise error
        text = str(error)
        status, code = _STATUS.search(text), _CODE.search(text)
        number = int(status[1]) if status else 0
        if isinstance(error, refused.PermissionDeniedError | refused.UnauthenticatedError):
            number = number or 403
        if number:
            raise refusal(self.url, key, number, code[1][:64] if code else '') from None
        if found := _OS_ERROR.search(text):  # of a directory
            why = OSError(int(found[1]), os.strerror(int(found[1])))
            raise refusal_of_directory(self.url, where, why) from None
        raise unreachable(self.url, text) from None


def _place(directory: Path) -> tuple[int, int] | None:
    """Return which directory on which file system it is."""
    try:
        status = directory.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _counted(pieces: Iterable[bytes], count: Callable[[int], None]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        count(len(piece))


def _directory(url: str, path: Path) -> Path:
    """Return a directory as a store, made if the one that holds it is there."""
    try:
        path.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise StoreError(url, f'there is no directory {path.parent}; make it first') from None
    except FileExistsError:
        raise StoreError(url, 'is not a directory') from None
    except OSError as error:
        raise StoreError(url, f'cannot be made: {error.strerror}') from None
    return path.resolve()


def _first_line(error: BaseException) -> str:
    """Return what an error says, but for queries of URLs: there may be a signature in them."""
    return _QUERY.sub('?...', str(error).partition('\n')[0].strip())
