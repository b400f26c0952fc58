"""Which names say that what they name is a secret."""

import re
from typing import Final

_SPLIT: Final = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
_SURE: Final = re.compile(r"passw(?:or)?d|passphrase|[^a-z]p(?:ass|wd?)$|pgpass")
_ENDINGS: Final = ("token", "secret", "secrets", "credential", "credentials", "cred", "creds")
_SHORT_ENDINGS: Final = ("pass", "pwd")
_WHOLE: Final = frozenset({"dsn", "cookie", "authorization", "pw", "auth", "basicauth", "httpauth", "npmauth"})
_OTHER_WORDS: Final = frozenset({"bypass", "compass", "trespass", "encompass"})
_OPENING_KEYS: Final = re.compile(
    r"(?:api|access|private|priv|secret|sign(?:ing)?|encrypt(?:ion)?|decrypt(?:ion)?|ssh|account|shared_?access"
    r"|storage|master|deploy|license|session|service|admin|app|application|auth|client|subscription|gpg|pgp|rsa|dsa|ecdsa"
    r"|ed25519|hmac|jwt|aes|webhook|consumer|root|write|host|tls|ssl|server|registry|security|user|team|project"
    r"|integration|ingest|functions?|sas|npm|aws|azure|gcp|google|github|gitlab|stripe|s3|cosign|notary|sops|age|vault"
    r"|fernet|cookie|csrf|crypto|cipher|database|db|backup|wrapping|unseal|recovery|transit|bot|publish(?:ing)?|nuget"
    r"|upload|release|store|trust)_?key$"
)
_PLAIN_KEYS: Final = re.compile(
    r"cache|public|pub|primary|foreign|sort|partition|group|hash|object|row|index|lookup|map|sub"
)
_ABOUT_A_SECRET: Final = re.compile(
    r"files?|path|dir|folder|url|uri|names?|types?|ttl|ids|count|len|length|size|policy|expiry|expires|expiration|source"
    r"|server|service|realm|endpoint|mode|enabled|required|status|state|error|err|version|algorithm|alg|fingerprint|hash"
    r"|digest|hint|provider|store|driver|helpers?|method|scheme|kind|timeout|ref|class|manager|mounts?|less|format|field"
    r"|label|prefix|host|port|env|at|in|on|of|exp|issuer|usage|limits?|budget|bucket|rotation|stdin"
)
"""Last words of names that say something about a secret: ``TOKEN_URL``, ``secretName``."""
_OF_A_PLACE: Final = re.compile(
    r"prod(?:uction)?|prd|dev(?:elopment)?|stag(?:e|ing)|stg|qa|uat|test|live|local|old|new|current|next|main|default|backup"
    r"|admin|root|secure|rw|ro|eu|us|internal|external"
)
"""Last words of names that say of which place, or which of several: ``API_KEY_PROD``, ``db_pass_old``."""
_OF_PATTERNS: Final = re.compile(
    r"files?|urls?|paths?|globs?|names?|re|regexp?|search|match|tests?|lines?|words?|exclude|include|ignore|str|sub"
)
"""What stands before ``pat`` where that is a pattern, and no personal access token."""
_WORKING_FOLDERS: Final = frozenset({"PWD", "OLDPWD"})


def words_of(name: str) -> list[str]:
    """Return the words of a name, in lower case: of ``registryAuthToken``, `registry`, `auth`, `token`."""
    return [word.lower() for word in _SPLIT.split(name) if word]


def is_secret(name: str) -> bool:
    """Whether what has that name is a secret: ``NPM_TOKEN`` and ``registryPassword`` are, ``TOKEN_URL`` is none."""
    words = words_of(name)
    while len(words) > 1 and (words[-1].isdigit() or _OF_A_PLACE.fullmatch(words[-1])):
        words.pop()
    if not words or name in _WORKING_FOLDERS:
        return False
    words[-1] = last = words[-1].rstrip("0123456789") or words[-1]
    if len(words) > 1 and (_ABOUT_A_SECRET.fullmatch(last) or (last == "id" and words[-2] != "secret")):
        return "webhook" in words and last in {"url", "uri"}
    return (
        any("passw" in word and word != "passwordless" for word in words)
        or "passphrase" in "".join(words)
        or "webhook" in words
        or last in _WHOLE
        or (last.endswith(_SHORT_ENDINGS) and len(last) <= 10 and last not in _OTHER_WORDS)
        or any(word.endswith(_ENDINGS) for word in words)
        or "apikey" in words
        or (last == "signature" and words[0] == "x")
        or (last.startswith("secret") and not last.startswith("secretar"))
        or (last == "pat" and len(words) > 1 and not _OF_PATTERNS.fullmatch(words[-2]))
        or _opens(name, words)
    )


def may_lock(name: str) -> bool:
    """Whether a name may be one of a key that locks, where what it names looks like one: ``Key``, ``acmeKey``."""
    words = words_of(name)
    if not words or words[-1] != "key" or name == "key":
        return False
    return len(words) == 1 or not _PLAIN_KEYS.fullmatch(words[-2])


def is_sure(name: str) -> bool:
    """Whether a name says so beyond doubt: a password, where a token or a key may be a word of a sentence."""
    return bool(_SURE.search(name.lower()))


def _opens(name: str, words: list[str]) -> bool:
    """Whether a name is one of a key that locks: ``SIGNING_KEY``, ``AccountKey``, ``apikey``; not ``cache_key``."""
    if not words[-1].endswith("key"):
        return False
    is_variable = name.isupper() and len(words) > 1 and not _PLAIN_KEYS.fullmatch(words[-2])
    return is_variable or bool(_OPENING_KEYS.search("_".join(words)))
