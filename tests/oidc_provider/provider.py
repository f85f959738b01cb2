"""An OpenID provider for the tests: Django OAuth Toolkit, which people run for real, with nothing of it switched off.

It has an account for each person, asks for their password and for consent, holds the client to its secret, its exact
redirect URI and PKCE, names itself in the answer (RFC 9207), and signs id tokens by RS256.

Started with a directory of packages and a JSON object, it prints its issuer. It ends with its standard input.
"""

import json
import os
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

packages, given = sys.argv[1], json.loads(sys.argv[2])
sys.path.insert(0, packages)

import django  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: E402
from django.conf import settings  # noqa: E402


class Handler(WSGIRequestHandler):
    timeout = 10

    def log_message(self, *_):
        pass


def until_the_parent_is_gone():
    sys.stdin.read()
    os._exit(0)


# One thread serves, so that the database can be in its memory.
server = make_server("127.0.0.1", 0, None, handler_class=Handler)
issuer = f"http://127.0.0.1:{server.server_port}"
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
pem = key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
login_page = "<form method='post'>{% csrf_token %}{{ form.as_p }}</form>"
templates = {
    "registration/login.html": login_page,
    "oauth2_provider/base.html": "{% block content %}{% endblock %}",
}
settings.configure(
    SECRET_KEY=os.urandom(32).hex(),
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    ("django.template.loaders.locmem.Loader", templates),
                    "django.template.loaders.app_directories.Loader",
                ],
                "context_processors": ["django.template.context_processors.request"],
            },
        }
    ],
    ROOT_URLCONF="__main__",
    LOGIN_URL="/login/",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    # The strong ones take seconds for what is thrown away with the process.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    OAUTH2_PROVIDER={
        "OAUTH2_VALIDATOR_CLASS": "__main__.Validator",
        "OIDC_ENABLED": True,
        "OIDC_ISS_ENDPOINT": issuer,
        "OIDC_RSA_PRIVATE_KEY": pem.decode(),
        "SCOPES": {"openid": "Who you are", "email": "Your address", "profile": "Your name"},
        "PKCE_REQUIRED": True,
        "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
        "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
        "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
        "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402

claims = {}


class Validator(OAuth2Validator):
    def get_additional_claims(self, request):
        return claims[request.user.username]


@csrf_exempt
def people(request):
    """Makes an account: `username` and `password`; everything else are its claims."""
    person = json.loads(request.body)
    username = person.pop("username")
    User.objects.create_user(username, password=person.pop("password"))
    claims[username] = person
    return HttpResponse(status=204)


urlpatterns = [
    path("people", people),
    path("login/", LoginView.as_view()),
    path("", include("oauth2_provider.urls", namespace="oauth2_provider")),
]

call_command("migrate", verbosity=0)
Application.objects.create(
    name="The tests",
    client_id=given["client_id"],
    client_secret=given["client_secret"],
    client_type=Application.CLIENT_CONFIDENTIAL,
    authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
    redirect_uris=given["redirect_uri"],
    algorithm=Application.RS256_ALGORITHM,
)
server.set_app(get_wsgi_application())
threading.Thread(target=until_the_parent_is_gone, daemon=True).start()
print(issuer, flush=True)
server.serve_forever()
