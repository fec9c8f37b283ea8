"""A signature holds for the manifest's bytes and one key only."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.archive.manifest import Manifest, Source, TimeSpan
from prefect_deepset.archive.signing import check_signature, sign

KEY = "a long random key"
MANIFEST = Manifest(source=Source(host="h", workspace="w", pipeline="p"), dt="2026-03-14", revision=1, status="sealed",
                    span=TimeSpan(start="2026-03-14T00:00:00Z", end="2026-03-15T00:00:00Z"),
                    read_at="2026-03-15T01:00:00Z", rows=3)


def test_a_signed_manifest_checks_with_its_key_only():
    body = sign(MANIFEST, KEY).to_bytes()
    assert check_signature(body, KEY)
    assert check_signature(body, KEY.encode())
    assert not check_signature(body, "another key")
    assert not check_signature(MANIFEST.to_bytes(), KEY)


def test_any_change_breaks_the_signature():
    body = sign(MANIFEST, KEY).to_bytes()
    assert not check_signature(body.replace(b'"rows": 3', b'"rows": 4'), KEY)
    assert not check_signature(body + b" ", KEY)
    signature = json.loads(body)["signature"]
    assert not check_signature(body.replace(b'"rows": 3', b'"rows": 3, "signature": "%s"' % signature.encode()), KEY)


def test_signing_again_gives_the_same_signature():
    assert sign(sign(MANIFEST, KEY), KEY) == sign(MANIFEST, KEY)


def test_the_signature_is_what_the_docs_say():
    body = sign(MANIFEST, KEY).to_bytes()
    signature = json.loads(body)["signature"]
    unsigned = body.replace(f'"signature": "{signature}"'.encode(), b'"signature": null')
    assert hmac.new(KEY.encode(), unsigned, hashlib.sha256).hexdigest() == signature


def test_an_empty_key_is_refused():
    with pytest.raises(InvalidInputError, match="empty"):
        sign(MANIFEST, "")
