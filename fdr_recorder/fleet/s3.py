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
What is particular to S3: AWS's own library knows credentials, and which parts have arrived.

A large file goes in parts. They are found again after a kill or a cut link, and those that have
arrived are not sent twice.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
import hashlib
from io import BytesIO
import os
from typing import Any, Final, NoReturn

from fdr_recorder.errors import ExtraMissingError
from fdr_recorder.fleet.errors import StoreError
from fdr_recorder.fleet.local_file import LocalFile
from fdr_recorder.fleet.pace import Pace
from fdr_recorder.fleet.refusals import refusal, unreachable

try:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        HTTPClientError,
    )
    from botocore.exceptions import (
        ConnectionError as ConnectionFailedError,
    )
    from obstore.auth.boto3 import Boto3CredentialProvider
except ImportError as error:
    raise ExtraMissingError(error.name or 'boto3', 'fleet') from None

_CONNECT_TIMEOUT_S: Final = 20
_READ_TIMEOUT_S: Final = 60
_ABANDONED: Final = timedelta(days=7)
_NO_UPLOAD: Final = 'NoSuchUpload'


class S3:
    """
    A prefix of a bucket, for what `obstore` does not do. Used by one thread at a time.

    Attributes:
        options: Of `obstore`, for the same place: credentials, region and endpoint.

    """

    def __init__(self, shown: str, bucket: str, prefix: str) -> None:
        """
        Find credentials, region and endpoint, where AWS's own tools do.

        Raises:
            StoreError: There are no credentials, or what is configured makes no sense.

        """
        self._url = shown
        self._bucket = bucket
        self._prefix = f'{prefix}/' if prefix else ''
        self._pace: Pace | None = None
        try:
            session = boto3.Session()
            region = session.region_name or 'us-east-1'
            self.options: dict[str, Any] = {'region': region}
            is_open = os.environ.get('AWS_SKIP_SIGNATURE', '').lower() in ('1', 'true')
            config = Config(
                connect_timeout=_CONNECT_TIMEOUT_S,
                read_timeout=_READ_TIMEOUT_S,
                retries={'total_max_attempts': 2, 'mode': 'standard'},
                request_checksum_calculation='when_required',
                response_checksum_validation='when_required',
                max_pool_connections=1,
                tcp_keepalive=True,
                **({'signature_version': UNSIGNED} if is_open else {}),
            )
            self._client = session.client('s3', region_name=region, config=config)
            if is_open:
                self.options['skip_signature'] = True
            elif session.get_credentials() is None:
                raise StoreError(
                    shown,
                    'there are no credentials for S3: set AWS_ACCESS_KEY_ID and '
                    'AWS_SECRET_ACCESS_KEY, or run `aws configure`',
                )
            else:
                self.options['credential_provider'] = Boto3CredentialProvider(session)
        except (BotoCoreError, ValueError) as error:
            raise StoreError(shown, str(error)) from None
        endpoint = self._client.meta.endpoint_url
        if 'amazonaws.com' not in endpoint:
            self.options['endpoint'] = endpoint
        for operation in ('PutObject', 'UploadPart'):
            self._client.meta.events.register(f'before-send.s3.{operation}', self._slow_down)

    def upload(
        self, key: str, file: LocalFile, pace: Pace, sent: Callable[[int], None]
    ) -> None:
        """
        Send a file, or what of it has not arrived yet.

        Raises:
            FileChangedError: The file has changed meanwhile; there is no new object.
            StoreError: The store refuses, or does not answer.

        """
        self._pace = pace
        with self._told(key):
            if file.state.size <= file.part:
                [data] = file.parts()
                file.check()
                self._call('put_object', key, Body=data, ContentMD5=_base64_md5(data))
                sent(len(data))
            else:
                self._upload_parts(key, file, sent)

    def _upload_parts(self, key: str, file: LocalFile, sent: Callable[[int], None]) -> None:
        upload, arrived = self._upload_to_continue(key)
        parts = []
        for number, data in enumerate(file.parts(), start=1):
            md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
            etag = arrived.get(number, '')
            if etag.strip('"') != md5:
                answer = self._call(
                    'upload_part',
                    key,
                    UploadId=upload,
                    PartNumber=number,
                    Body=data,
                    ContentMD5=_base64_md5(data),
                )
                etag = answer['ETag']
            parts.append({'PartNumber': number, 'ETag': etag})
            sent(len(data))
        file.check()
        self._call(
            'complete_multipart_upload',
            key,
            UploadId=upload,
            MultipartUpload={'Parts': parts},
        )

    def _upload_to_continue(self, key: str) -> tuple[str, dict[int, str]]:
        """Return an upload of this object, and what of it has arrived; end all others."""
        try:
            found = [
                (self._arrived(key, item['UploadId']), item['UploadId'])
                for item in self._uploads(self._prefix + key)
                if item['Key'] == self._prefix + key
            ]
        except ClientError as error:
            if not _is_denied(error):
                raise
            found = []  # a key that may not look: then all of the file is sent
        found.sort(key=lambda item: (len(item[0]), item[1]))
        for _, upload in found[:-1]:
            self._abort(key, upload)
        if found:
            return found[-1][1], found[-1][0]
        return self._call('create_multipart_upload', key)['UploadId'], {}

    def _arrived(self, key: str, upload: str) -> dict[int, str]:
        found: dict[int, str] = {}
        marker = 0
        while True:
            try:
                page = self._call('list_parts', key, UploadId=upload, PartNumberMarker=marker)
            except ClientError as error:
                if _code(error) == _NO_UPLOAD:
                    return {}
                raise
            found |= {part['PartNumber']: part['ETag'] for part in page.get('Parts', ())}
            if not page.get('IsTruncated') or page.get('NextPartNumberMarker', 0) <= marker:
                return found
            marker = page['NextPartNumberMarker']

    def _uploads(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the uploads that were begun below a prefix, and not completed."""
        after: dict[str, str] = {}
        while True:
            page = self._client.list_multipart_uploads(
                Bucket=self._bucket, Prefix=prefix, **after
            )
            date = page['ResponseMetadata'].get('HTTPHeaders', {}).get('date', '')
            for item in page.get('Uploads', ()):
                yield {**item, 'now': date}
            following = {
                'KeyMarker': page.get('NextKeyMarker', ''),
                'UploadIdMarker': page.get('NextUploadIdMarker', ''),
            }
            if not page.get('IsTruncated') or following == after:
                return
            after = following

    def sweep(self, prefix: str, is_settled: Callable[[str], bool | None]) -> int:
        """
        End the uploads below a prefix that nobody will complete; return how many.

        Args:
            prefix: Where to look.
            is_settled: Whether nothing is to come for a key; None: not known, then it is left
                alone for a week, by the store's clock.

        """
        count = 0
        with self._told(prefix):
            try:
                uploads = list(self._uploads(self._prefix + prefix))
            except ClientError as error:
                if _is_denied(error):
                    return 0
                raise
            for item in uploads:
                key = item['Key'].removeprefix(self._prefix)
                settled = is_settled(key)
                if settled or (settled is None and _is_old(item)):
                    self._abort(key, item['UploadId'])
                    count += 1
        return count

    def _abort(self, key: str, upload: str) -> None:
        try:
            self._call('abort_multipart_upload', key, UploadId=upload)
        except ClientError as error:
            if _code(error) != _NO_UPLOAD and not _is_denied(error):
                raise

    def _call(self, operation: str, key: str, **values: Any) -> Any:  # noqa: ANN401
        call = getattr(self._client, operation)
        return call(Bucket=self._bucket, Key=self._prefix + key, **values)

    def _slow_down(self, request: Any, **_: object) -> None:  # noqa: ANN401
        """Let a body go no faster than it may; after it was signed."""
        if self._pace is not None and request.body:
            is_bytes = isinstance(request.body, bytes | bytearray)
            body = BytesIO(request.body) if is_bytes else request.body
            request.body = _PacedBody(body, self._pace)

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        """Raise errors of AWS's library as those of a store."""
        try:
            yield
        except ClientError as error:
            self._fail(key, error)
        except (HTTPClientError, ConnectionFailedError) as error:
            said = f'{error} {type(error).__name__} {error.kwargs.get("error", "")}'
            raise unreachable(self._url, said) from None
        except BotoCoreError as error:
            raise StoreError(self._url, f'{key}: {error}') from None

    def _fail(self, key: str, error: ClientError) -> NoReturn:
        status = error.response.get('ResponseMetadata', {}).get('HTTPStatusCode', 0)
        raise refusal(self._url, key, status, _code(error)) from None


class _PacedBody:
    """The body of a request, which is read no faster than it may go."""

    def __init__(self, file: BytesIO, pace: Pace) -> None:
        self._file = file
        self._pace = pace

    def read(self, count: int | None = None) -> bytes:
        """Return the next bytes, when they may go."""
        most = self._pace.piece
        piece = self._file.read(min(count or most, most))
        self._pace.take(len(piece))
        return piece

    def tell(self) -> int:
        """Return how far it was read."""
        return self._file.tell()

    def seek(self, at: int, whence: int = 0) -> int:
        """Go to a place, to send it again."""
        return self._file.seek(at, whence)


def _code(error: ClientError) -> str:
    return str(error.response.get('Error', {}).get('Code', ''))[:64]


def _is_denied(error: ClientError) -> bool:
    """Tell whether the key has no right to do this; one that is wrong has none to anything."""
    return _code(error) in ('AccessDenied', 'MethodNotAllowed', 'NotImplemented')


def _base64_md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _is_old(upload: dict[str, Any]) -> bool:
    """Tell whether an upload was begun long ago, by the store's clock alone."""
    begun = upload.get('Initiated')
    try:
        now = parsedate_to_datetime(upload['now'])
    except (TypeError, ValueError):
        return False
    if not isinstance(begun, datetime):
        return False
    return now.astimezone(timezone.utc) - begun.astimezone(timezone.utc) > _ABANDONED
