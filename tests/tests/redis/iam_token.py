"""iam_token.py USER CACHE REGION ID SECRET SESSION TIME: the password that a user of ElastiCache Serverless gets from
IAM at TIME (ISO 8601), as the AWS SDK for Python signs it. The order of its parts is that of Rust's SDK.
"""

import sys
from datetime import datetime
from unittest.mock import patch

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ORDER = [
    "Action", "User", "ResourceType", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
    "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Security-Token",
]

user, cache, region, key, secret, session, time = sys.argv[1:]
url = f"https://{cache}/?Action=connect&User={user}&ResourceType=ServerlessCache"
request = AWSRequest(method="GET", url=url)
signer = SigV4QueryAuth(Credentials(key, secret, session), "elasticache", region, expires=900)
with patch("botocore.auth.get_current_datetime", return_value=datetime.fromisoformat(time)):
    signer.add_auth(request)
address, query = request.url.removeprefix("https://").split("?")
parts = dict(part.split("=", 1) for part in query.split("&"))
assert sorted(parts) == sorted(ORDER), parts
print(address + "?" + "&".join(f"{name}={parts[name]}" for name in ORDER), end="")
