"""The CA certificates that nodes behind https are verified with."""

from __future__ import annotations

import os
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from producer.contract.errors import InvalidSettings


def ca_file() -> str:
    """Return the certificates by which https nodes are judged.

    It is `$SSL_CERT_FILE` where set, as OpenSSL reads it: the clients look at no other variable,
    since those that name a certificate file come along with the ones that name a proxy.

    Raises:
        InvalidSettings: the variable names no file.
    """
    named = os.environ.get("SSL_CERT_FILE")
    if named and not Path(named).is_file():
        raise InvalidSettings(f"SSL_CERT_FILE names {named}, which is no file")
    return named or DEFAULT_CA_BUNDLE_PATH
