# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Real servers that speak S3, on this machine: SeaweedFS and that of moto."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
import json
import os
from pathlib import Path
import shutil
import socket
import subprocess
import sys
from typing import Any

import pytest
from waiting import wait_until

KEY = 'AKIATESTTESTTESTTEST'
SECRET = 'a-secret-that-nobody-may-read'
BUCKET = 'flights'
_START_S = 60.0


class StoreServer:
    """
    A server that speaks S3; started, killed and started again with what it had.

    Attributes:
        kind: `weed` or `moto`.
        port: Where it listens, on 127.0.0.1.

    """

    def __init__(self, kind: str, directory: Path) -> None:
        """Take a directory of its own; skip the test where there is no such server."""
        self.kind = kind
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        scripts = Path(sys.executable).parent
        name = {'weed': 'weed', 'moto': 'moto_server'}[kind]
        program = shutil.which(name, path=f'{scripts}:{os.environ.get("PATH", "")}')
        if program is None:
            pytest.skip(f'{name} is not installed here')
        self._program = program
        directory.mkdir(exist_ok=True)
        ports = free_ports(9)
        self.port = ports[0]
        self._ports = ports[1:]

    def __enter__(self) -> StoreServer:
        """Start it, with a bucket."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = (self._directory / 'log').open('ab')
        self._process = subprocess.Popen(
            self._command(), stdout=log, stderr=log, cwd=self._directory
        )
        log.close()
        wait_until(self._has_bucket, f'{self.kind} to answer', _START_S)

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def discard(self) -> None:
        """End it, and remove what it had."""
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _command(self) -> list[str]:
        if self.kind == 'moto':
            return [self._program, '-H', '127.0.0.1', '-p', str(self.port)]
        credentials = [{'accessKey': KEY, 'secretKey': SECRET}]
        actions = ['Admin', 'Read', 'Write', 'List', 'Tagging']
        config = {'identities': [{'name': 'a', 'credentials': credentials, 'actions': actions}]}
        (self._directory / 's3.json').write_text(json.dumps(config))
        master, volume, filer, *grpc = self._ports
        data = self._directory / 'data'
        data.mkdir(exist_ok=True)
        options = {
            'dir': data, 's3.port': self.port, 's3.config': self._directory / 's3.json',
            'ip': '127.0.0.1', 'master.port': master, 'volume.port': volume,
            'filer.port': filer, 'master.port.grpc': grpc[0], 'volume.port.grpc': grpc[1],
            'filer.port.grpc': grpc[2], 's3.port.grpc': grpc[3],
            'volume.max': 50, 'master.volumeSizeLimitMB': 64, 's3.iam': 'false',
            'master.telemetry': 'false', 's3.port.iceberg': 0, 's3.port.lance': 0,
        }
        words = [f'-{name}={value}' for name, value in options.items()]
        return [self._program, 'server', '-s3', *words]

    def _has_bucket(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self._directory / 'log').read_text()[-2000:])
        with socket.socket() as trial:
            if trial.connect_ex(('127.0.0.1', self.port)):
                return False
        from botocore.exceptions import BotoCoreError, ClientError

        with suppress(BotoCoreError, ClientError):
            client = self.client()
            names = [bucket['Name'] for bucket in client.list_buckets()['Buckets']]
            if BUCKET not in names:
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key='.probe', Body=b'')  # volumes come later
            client.delete_object(Bucket=BUCKET, Key='.probe')
            return True
        return False

    @property
    def url(self) -> str:
        """Return the URL of its bucket."""
        return f's3://{BUCKET}'

    def environment(self, port: int | None = None) -> Mapping[str, str]:
        """Return what lets AWS's tools use it, at another port if a proxy stands before it."""
        return {
            'AWS_ENDPOINT_URL': f'http://127.0.0.1:{port or self.port}',
            'AWS_ACCESS_KEY_ID': KEY,
            'AWS_SECRET_ACCESS_KEY': SECRET,
            'AWS_DEFAULT_REGION': 'us-east-1',
            'AWS_CONFIG_FILE': os.devnull,
            'AWS_SHARED_CREDENTIALS_FILE': os.devnull,
            'AWS_EC2_METADATA_DISABLED': 'true',
        }

    def client(self) -> Any:
        """Return a client of AWS's library that tries once."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            's3',
            endpoint_url=f'http://127.0.0.1:{self.port}',
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name='us-east-1',
            config=Config(
                retries={'total_max_attempts': 1}, connect_timeout=5, read_timeout=20
            ),
        )

    def objects(self, prefix: str = '') -> dict[str, bytes]:
        """Return all objects below a prefix."""
        client, found = self.client(), {}
        pages = client.get_paginator('list_objects_v2').paginate(Bucket=BUCKET, Prefix=prefix)
        for page in pages:
            for item in page.get('Contents', ()):
                answer = client.get_object(Bucket=BUCKET, Key=item['Key'])
                found[item['Key']] = answer['Body'].read()
        return found

    def uploads(self, prefix: str = '') -> list[str]:
        """Return the keys of uploads that were begun, and not ended."""
        page = self.client().list_multipart_uploads(Bucket=BUCKET, Prefix=prefix)
        return [item['Key'] for item in page.get('Uploads', ())]

    def put(self, key: str, data: bytes) -> None:
        """Replace an object."""
        self.client().put_object(Bucket=BUCKET, Key=key, Body=data)

    def remove(self, key: str) -> None:
        """Remove an object."""
        self.client().delete_object(Bucket=BUCKET, Key=key)

    def empty(self) -> None:
        """Remove everything."""
        client = self.client()
        for key in self.objects():
            client.delete_object(Bucket=BUCKET, Key=key)
        for item in client.list_multipart_uploads(Bucket=BUCKET).get('Uploads', ()):
            client.abort_multipart_upload(
                Bucket=BUCKET, Key=item['Key'], UploadId=item['UploadId']
            )


def free_ports(count: int) -> list[int]:
    """Return ports that are free."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(('127.0.0.1', 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()
