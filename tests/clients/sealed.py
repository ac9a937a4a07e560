"""A sealed call from Python, with the JOSE library jwcrypto.

    pip install jwcrypto
    echo '{"code":"…"}' | python sealed.py http://127.0.0.1:9000 POST /api/v1/user/login [ENC] [FORM]

ENC: A256GCM (default) or A256CBC-HS512. FORM: compact (default) or json. Prints status and envelope.
"""

import hashlib
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

from jwcrypto import jwe, jwk
from jwcrypto.common import base64url_encode


class SealedClient:
    def __init__(self, base, enc="A256GCM", form="compact"):
        self.base, self.enc, self.form = base, enc, form
        self._key = None

    def key(self):
        """The server's key. Keep it for as long as Cache-Control says."""
        if self._key is None:
            with urllib.request.urlopen(f"{self.base}/api/v1/crypto/key") as response:
                data = json.load(response)["data"]
            # `enc` is no part of a JWK.
            self._key = jwk.JWK(**{name: value for name, value in data.items() if name != "enc"})
        return self._key

    def call(self, method, path, content, headers=None):
        """Calls `path` (with its query) and opens the answer: status and envelope."""
        compact, jti = self.form == "compact", str(uuid.uuid4())
        header = {"alg": "RSA-OAEP-256", "enc": self.enc, "kid": self.key().key_id, "iat": int(time.time()),
                  "jti": jti, "htm": method, "htu": path}
        # Binds the body to the access token that is sent with it.
        token = (headers or {}).get("authorization", "").removeprefix("Bearer ")
        if token:
            header["ath"] = base64url_encode(hashlib.sha256(token.encode()).digest())
        sealed = jwe.JWE(json.dumps(content).encode(), json.dumps(header), recipient=self.key())
        content_type = "application/jose" if compact else "application/jose+json"
        request = urllib.request.Request(
            self.base + path, sealed.serialize(compact=compact).encode(), method=method,
            headers={**(headers or {}), "content-type": content_type})
        try:
            response = urllib.request.urlopen(request)
        except urllib.error.HTTPError as failure:
            response = failure
        with response:
            body, answered = response.read().decode(), response.headers["content-type"]
        # Without a key there is nothing to seal with: such a refusal is plain JSON.
        if answered != content_type:
            return response.status, json.loads(body)
        return response.status, json.loads(self.open(body, sealed.cek, jti))

    def open(self, body, cek, jti):
        answer = jwe.JWE(algs=["dir", self.enc])
        answer.deserialize(body, jwk.JWK(kty="oct", k=base64url_encode(cek)))
        if answer.jose_header["jti"] != jti:
            raise ValueError("not the answer to this request")
        return answer.payload


if __name__ == "__main__":
    base, method, path, *how = sys.argv[1:]
    token = os.environ.get("TOKEN")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    status, body = SealedClient(base, *how).call(method, path, json.load(sys.stdin), headers)
    print(json.dumps({"status": status, "body": body}))
