"""An application that signs its users in by OpenID Connect: Flask with Authlib, as its documentation has it.

It is told the issuer, what it was registered with, and its own address. Authlib finds the endpoints and the keys, makes
state, nonce and PKCE's verifier, and verifies the id token: its signature, issuer, audience, times, nonce and `at_hash`.

Started with a directory of packages and a JSON object, it prints where it sends its user's browser, reads where the browser
comes back, and prints what it then knows: each a line of JSON.
"""

import json
import os
import signal
import sys
import warnings
from urllib.parse import urlsplit

# Whatever it waits for does not keep the tests waiting.
signal.alarm(120)

packages, given = sys.argv[1], json.loads(sys.argv[2])
sys.path.insert(0, packages)

from authlib.integrations.flask_client import OAuth  # noqa: E402
from flask import Flask, jsonify  # noqa: E402

# RFC 9864 has another name for it, which few know yet.
warnings.filterwarnings("ignore", message="EdDSA is deprecated")

app = Flask(__name__)
app.secret_key = os.urandom(32)
# A failure is this program's.
app.testing = True
provider = OAuth(app).register(
    "provider",
    server_metadata_url=f"{given['issuer']}/.well-known/openid-configuration",
    client_id=given["client_id"],
    client_secret=given["client_secret"],
    client_kwargs={
        "scope": given["scope"],
        "code_challenge_method": "S256",
        "token_endpoint_auth_method": given["token_endpoint_auth_method"],
    },
)


@app.get("/login")
def login():
    return provider.authorize_redirect(given["redirect_uri"])


@app.get("/callback")
def callback():
    token = provider.authorize_access_token()
    known = {
        "id_token": token["userinfo"],
        "userinfo": provider.userinfo(token=token),
        "scope": token["scope"],
        "links": provider.get(f"{given['issuer']}/v1/links", token=token).status_code,
    }
    renewed = provider.fetch_access_token(grant_type="refresh_token", refresh_token=token["refresh_token"])
    return jsonify({**known, "userinfo_after_refresh": provider.userinfo(token=renewed)})


browser = app.test_client()
print(json.dumps(browser.get("/login").location), flush=True)
back = urlsplit(json.loads(sys.stdin.readline()))
print(json.dumps(browser.get(f"{back.path}?{back.query}").get_json()), flush=True)
