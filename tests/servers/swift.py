"""OpenStack Swift with its S3 interface: real storage, as a second opinion beside the emulator.

It lives in a virtual environment of its own: ``.venv-swift`` (``make .venv-swift/.installed``), or the one
that ``PREFECT_DEEPSET_SWIFT_VENV`` names. It has no tags, no SSE and no object lock, and its `If-None-Match` is checked, but
not atomic.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from prefect_deepset.testing.s3_server import REGION, AccessKey, free_port

from .ministack import S3Handle

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READY_SECONDS = 60.0
PIPELINE = ("catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes "
            "symlink proxy-server")
ENTRY_POINTS = {"cache": "memcache"}
# Ten keys to a page: a listing of several pages needs few objects.
FILTERS = {
    "s3api": {"location": REGION, "s3_acl": "false", "storage_domain": "localhost", "max_bucket_listing": "10"},
    "tempauth": {"user_test_tester": "testing .admin"},
    "versioned_writes": {"allow_versioned_writes": "true", "allow_object_versioning": "true"},
}


def find_swift() -> Path | None:
    """The `bin` folder of the virtual environment that holds Swift, or None."""
    told = os.environ.get("PREFECT_DEEPSET_SWIFT_VENV")
    venv = Path(told) if told else Path(__file__).resolve().parents[2] / ".venv-swift"
    return venv / "bin" if (venv / "bin" / "swift-proxy-server").exists() else None


class EmbeddedSwift:
    """The four servers, each a process of its own. Speaks to `S3Handle` as `EmbeddedS3` does, but knows one user only."""

    access_key = "test:tester"
    secret_key = "testing"

    def __init__(self, directory: Path, commands: Path) -> None:
        self.directory, self.commands = directory, commands
        self.processes: list[subprocess.Popen[bytes]] = []
        self.endpoint_url = ""
        self._session = boto3.session.Session()

    def start(self) -> EmbeddedSwift:
        """Writes rings and configuration, starts the servers and waits until a bucket can be made."""
        (self.directory / "srv" / "sdb1").mkdir(parents=True)
        self._write("swift.conf", {"swift-hash": {"swift_hash_path_suffix": "suffix", "swift_hash_path_prefix": "prefix"},
                                   "storage-policy:0": {"name": "default", "default": "yes"}})
        for name in ("account", "container", "object"):
            port = free_port()
            self._make_ring(name, port)
            self._write(f"{name}-server.conf", {
                "DEFAULT": {**self._common(port), "devices": str(self.directory / "srv"), "mount_check": "false"},
                "pipeline:main": {"pipeline": f"{name}-server"},
                f"app:{name}-server": {"use": f"egg:swift#{name}"},
            })
        port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self._write("proxy-server.conf", {
            "DEFAULT": self._common(port), "pipeline:main": {"pipeline": PIPELINE},
            "app:proxy-server": {"use": "egg:swift#proxy", "account_autocreate": "true"},
            **{f"filter:{name}": {"use": f"egg:swift#{ENTRY_POINTS.get(name, name)}", **FILTERS.get(name, {})}
               for name in PIPELINE.split()[:-1]},
        })
        for name in ("account", "container", "object", "proxy"):
            self._launch(name)
        self._wait_until_ready()
        return self

    def stop(self) -> None:
        """Ends the servers."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def client(self, key: AccessKey | None = None, *, endpoint_url: str | None = None, base: Config | None = None,
               **config: Any) -> S3Client:
        """A boto3 S3 client; `config` are botocore `Config` arguments, which win over those of `base`."""
        who = key or AccessKey(self.access_key, self.secret_key)
        return self._session.client(
            "s3", endpoint_url=endpoint_url or self.endpoint_url, region_name=REGION, aws_access_key_id=who.access_key,
            aws_secret_access_key=who.secret_key,
            config=(base or Config()).merge(Config(**{"s3": {"addressing_style": "path"}, "proxies": {}, **config})))

    def _common(self, port: int) -> dict[str, str]:
        return {"bind_ip": "127.0.0.1", "bind_port": str(port), "workers": "0", "user": pwd.getpwuid(os.getuid()).pw_name,
                "swift_dir": str(self.directory)}

    def _write(self, name: str, sections: dict[str, dict[str, str]]) -> None:
        lines = [line for section, settings in sections.items()
                 for line in (f"[{section}]", *(f"{key} = {value}" for key, value in settings.items()), "")]
        (self.directory / name).write_text("\n".join(lines))

    def _make_ring(self, name: str, port: int) -> None:
        builder = [str(self.commands / "swift-ring-builder"), str(self.directory / f"{name}.builder")]
        for step in (["create", "4", "1", "1"], ["add", f"r1z1-127.0.0.1:{port}/sdb1", "1"], ["rebalance"]):
            subprocess.run([*builder, *step], check=True, capture_output=True)

    def _launch(self, name: str) -> None:
        environment = {"PATH": f"{self.commands}:{os.environ.get('PATH', '')}", "HOME": str(self.directory)}
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes.append(subprocess.Popen(
                [str(self.commands / f"swift-{name}-server"), str(self.directory / f"{name}-server.conf")],
                env=environment, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT))

    def _wait_until_ready(self) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        client = self.client(retries={"total_max_attempts": 1})
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and all(process.poll() is None for process in self.processes):
            with contextlib.suppress(OSError):
                opener.open(f"{self.endpoint_url}/healthcheck", timeout=5).close()
                with contextlib.suppress(client.exceptions.ClientError):  # 503 while the storage servers start
                    client.list_buckets()
                    client.close()
                    return
            time.sleep(0.1)
        logs = "\n".join(path.read_text(errors="replace")[-500:] for path in sorted(self.directory.glob("*.log")))
        self.stop()
        raise RuntimeError(f"Swift did not start:\n{logs}")


def start_swift(directory: Path, commands: Path) -> S3Handle:
    """Starts Swift; the caller ends it with ``handle.server.stop()``."""
    return S3Handle(EmbeddedSwift(directory, commands).start())
