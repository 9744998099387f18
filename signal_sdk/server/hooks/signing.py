"""The signature of what a backend is sent, as Standard Webhooks has it (standardwebhooks.com).

Owns: what is signed, and the headers. Must not know what is sent, or how.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"


def headers(keys: Sequence[bytes], name: str, now: float, body: bytes) -> Mapping[str, str]:
    """The headers of a request of this `name`, made `now` (Unix seconds): there is a signature with
    each key, the first of which is the one in force.
    """
    timestamp = str(int(now))
    return {
        ID: name,
        TIMESTAMP: timestamp,
        SIGNATURE: " ".join(signature(key, name, timestamp, body) for key in keys),
    }


def signature(key: bytes, name: str, timestamp: str, body: bytes) -> str:
    """One signature, with the version of its form."""
    signed = b".".join((name.encode(), timestamp.encode(), body))
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"
