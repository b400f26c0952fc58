"""Names say what is secret."""

import pytest

from harness.report.redact import is_secret

SECRETS = """NPM_TOKEN password registryPassword DB_PASS MYSQL_PWD PGPASSWORD apikey API_KEY AccountKey WIDGET_KEY
SIGNING_KEY _auth _authToken NPM_AUTH CREDS REGISTRY_CRED SENTRY_DSN client_secret secret_id GITHUB_TOKEN_2 passphrase
X-Vault-Token aws_secret_access_key Authorization Set-Cookie DEPLOY_WEBHOOK_URL pw"""
OTHERS = """N TARGET PWD TOKEN_URL secretName NPM_TOKEN_FILE PASSWORD_MIN_LENGTH CACHE_KEY PUBLIC_KEY key cacheKey
author authority bypass credsStore credHelpers AWS_ACCESS_KEY_ID client_id monkey keyboard tokenizer passwordless
session sessionID traceID seed REGION sharedKey xauth"""


@pytest.mark.parametrize("name", SECRETS.split())
def test_secrets(name: str) -> None:
    """What is a secret is told from its name, however that is written."""
    assert is_secret(name)


@pytest.mark.parametrize("name", OTHERS.split())
def test_others(name: str) -> None:
    """What says something about a secret, or only sounds like one, is none."""
    assert not is_secret(name)
