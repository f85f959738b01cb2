"""Standard Webhooks by others: `v1` by the library of the specification's authors, `v1a`, which it does not have, by the
specification's text and the package `cryptography`.

Started with a directory of packages, it reads a list of tasks as JSON and prints what came of each.
"""

import json
import sys
from base64 import b64decode, b64encode
from datetime import datetime, timezone

packages = sys.argv[1]
sys.path.insert(0, packages)

from cryptography.exceptions import InvalidSignature  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey  # noqa: E402
from standardwebhooks.webhooks import Webhook, WebhookVerificationError  # noqa: E402


def key_bytes(prefix, key):
    assert key.startswith(prefix), "another kind of key"
    return b64decode(key.removeprefix(prefix), validate=True)


def content(id, timestamp, body):
    return f"{id}.{timestamp}.{body}".encode()


def sign(key, id, timestamp, body):
    """The signature as the header has it."""
    if key.startswith("whsec_"):
        return Webhook(key).sign(id, datetime.fromtimestamp(timestamp, tz=timezone.utc), body)
    private = Ed25519PrivateKey.from_private_bytes(key_bytes("whsk_", key)[:32])
    return "v1a," + b64encode(private.sign(content(id, timestamp, body))).decode()


def verify(key, headers, body):
    """What is wrong, or nothing."""
    if key.startswith("whsec_"):
        try:
            Webhook(key).verify(body, headers, json_parse=False)
        except WebhookVerificationError as error:
            return str(error)
        return None
    public = Ed25519PublicKey.from_public_bytes(key_bytes("whpk_", key))
    signed = content(headers["webhook-id"], headers["webhook-timestamp"], body)
    for signature in headers["webhook-signature"].split(" "):
        scheme, _, signature = signature.partition(",")
        if scheme == "v1a":
            try:
                return public.verify(b64decode(signature, validate=True), signed)
            except InvalidSignature:
                pass
    return "No matching signature found"


tasks = {"sign": sign, "verify": verify}
print(json.dumps([tasks[name](*arguments) for name, *arguments in json.load(sys.stdin)]))
