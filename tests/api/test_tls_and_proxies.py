"""What lies between here and the API: private certificate authorities and proxies, as the environment names them."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.errors import TransportError

from .conftest import KEY
from .scripted import ScriptedServer, reply


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody else vouches for, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "deepset on our premises")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return paths


def serve(listener: socket.socket, context: ssl.SSLContext, heard: list[bytes]) -> None:
    """Answer connections, one after the other, until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            try:
                with context.wrap_socket(connection, server_side=True) as tls:
                    heard.append(tls.recv(65536))
                    tls.sendall(reply([{"name": "w"}]))
            except OSError:
                heard.append(b"")


def test_a_private_authority_is_trusted_once_the_environment_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = own_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, context, heard))
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/api"
        with DeepsetClient(KEY, url) as client, pytest.raises(TransportError, match="SSL_CERT_FILE"):
            client.workspaces()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with DeepsetClient(KEY, url) as client:
            assert [workspace.name for workspace in client.workspaces()] == ["w"]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert KEY.encode() not in heard[0]
    assert KEY.encode() in heard[1]


def test_a_proxy_of_the_environment_carries_requests_and_sees_no_key(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers(reply(b"<h1>No way out</h1>", 502, "text/html"))
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "")
    with DeepsetClient(KEY, "https://api.example") as client, pytest.raises(TransportError, match=r"api\.example.*502"):
        client.workspaces()
    assert [asked.target for asked in server.asked] == ["api.example:443"]
    assert KEY not in str(server.asked)


def test_this_machine_is_never_asked_through_a_proxy(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers(reply([]))
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with DeepsetClient(KEY, server.url) as client:
        assert client.workspaces() == []
