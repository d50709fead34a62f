# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What is particular to S3: AWS's own library knows where credentials are."""

from __future__ import annotations

import os
from typing import Any

from fdr_recorder.errors import ExtraMissingError, StoreError

try:
    import boto3
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider
except ImportError as error:
    raise ExtraMissingError(error.name or 'boto3', 'fleet') from None


def s3_options(url: str) -> dict[str, Any]:
    """
    Return what AWS's own library finds out: credentials, region and endpoint.

    Raises:
        StoreError: There are no credentials, or what is configured makes no sense.

    """
    try:
        session = boto3.Session()
        region = session.region_name or 'us-east-1'
        options: dict[str, Any] = {'region': region}
        endpoint = session.client('s3', region_name=region).meta.endpoint_url
        if os.environ.get('AWS_SKIP_SIGNATURE', '').lower() in ('1', 'true'):
            options['skip_signature'] = True
        elif session.get_credentials() is None:
            raise StoreError(
                url,
                'there are no credentials for S3: set AWS_ACCESS_KEY_ID and '
                'AWS_SECRET_ACCESS_KEY, or run `aws configure`',
            )
        else:
            options['credential_provider'] = Boto3CredentialProvider(session)
    except BotoCoreError as error:
        raise StoreError(url, str(error)) from None
    if 'amazonaws.com' not in endpoint:
        options['endpoint'] = endpoint
    return options
