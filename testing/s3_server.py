"""An S3-compatible server on loopback, for tests and the demo: ministack, started in a process of its own.

ministack checks signatures, IAM policies, checksums and conditional writes. It pins botocore exactly, so it lives in a virtual
environment of its own: ``.venv-s3`` (``make .venv-s3/.installed``), or the one that ``PREFECT_DEEPSET_S3_VENV`` names.

::

    with EmbeddedS3() as s3:
        s3.create_bucket("logs")
        s3.client().list_objects_v2(Bucket="logs")     # also: s3.endpoint_url, s3.access_key, s3.secret_key
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"
START_ATTEMPTS = 3
READY_SECONDS = 30.0
EVERYTHING: Mapping[str, Any] = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


class AccessKey(NamedTuple):
    """The key pair of one IAM user."""

    access_key: str
    secret_key: str


def find_ministack() -> Path:
    """The path of the ministack executable.

    Raises:
        FileNotFoundError: when there is none; says how to get it.
    """
    told = os.environ.get("PREFECT_DEEPSET_S3_VENV")
    venvs = [Path(told)] if told else [Path.cwd() / ".venv-s3", Path(__file__).resolve().parent.parent / ".venv-s3"]
    for venv in venvs:
        # Not resolved: a venv moved with its folder still works through its own interpreter.
        if (venv / "bin" / "ministack").exists():
            return venv / "bin" / "ministack"
    on_path = None if told else shutil.which("ministack")
    if on_path:
        return Path(on_path)
    looked = ", ".join(map(str, venvs))
    raise FileNotFoundError(f"ministack is not in {looked}. Run `make .venv-s3/.installed`, or install it in a "
                            "virtual environment of its own (`pip install ministack==1.5.33`) and name that in "
                            "PREFECT_DEEPSET_S3_VENV.")


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class EmbeddedS3:
    """One S3 server. Objects lie under `directory`; without one they are in a temporary folder that goes with the server.

    Args:
        directory: where objects are kept; made when missing.
        executable: ministack; by default it is looked for (see `find_ministack`).
        port: 0 takes a free one.
    """

    def __init__(self, directory: Path | None = None, *, executable: Path | None = None, port: int = 0) -> None:
        self._own_directory = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="embedded-s3-"))
        self._executable = executable
        self._port = port
        self._root_key = f"root-{secrets.token_hex(8)}"
        self._process: subprocess.Popen[bytes] | None = None
        self._shared_session: Session | None = None
        self.endpoint_url = ""
        self.access_key = ""
        self.secret_key = ""
        self.region = REGION

    def __enter__(self) -> Self:
        """Starts the server."""
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends the server."""
        self.stop()

    def __repr__(self) -> str:
        return f"EmbeddedS3({self.endpoint_url!r})"

    def start(self) -> Self:
        """Starts the server and makes a user who may do everything in S3.

        Raises:
            FileNotFoundError: ministack is not installed.
            RuntimeError: the server did not start; holds the end of its log.
        """
        executable = self._executable or find_ministack()
        self.directory.mkdir(parents=True, exist_ok=True)
        for _ in range(1 if self._port else START_ATTEMPTS):  # a free port may be taken before it is used
            try:
                if self._launch(executable, self._port or free_port()):
                    # Not the same name again: users of an earlier server may have been kept with the directory.
                    self.access_key, self.secret_key = self.add_user(f"archivist-{secrets.token_hex(4)}", EVERYTHING)
                    return self
            except BaseException:
                self.stop()
                raise
            self._end_process()
        log = (self.directory / "server.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"The S3 server did not start:\n{log}")

    def stop(self) -> None:
        """Ends the server; may be called again."""
        self._end_process()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def add_user(self, name: str, policy: Mapping[str, Any]) -> AccessKey:
        """Makes an IAM user with this one policy; users are gone when the server ends."""
        from botocore.config import Config  # noqa: PLC0415 - only who starts an S3 server needs boto3

        # The server accepts its root key whatever the signature, so the secret does not matter.
        iam = self._session().client(
            "iam", endpoint_url=self.endpoint_url, region_name=REGION, config=Config(proxies={}),
            aws_access_key_id=self._root_key, aws_secret_access_key="unchecked")  # noqa: S106 - as said
        try:
            iam.create_user(UserName=name)
            iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
            made = iam.create_access_key(UserName=name)["AccessKey"]
            return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])
        finally:
            iam.close()

    def client(self, key: AccessKey | None = None, *, endpoint_url: str | None = None, base: Config | None = None,
               **config: Any) -> S3Client:
        """A boto3 S3 client; `config` are botocore `Config` arguments, which win over those of `base`."""
        from botocore.config import Config  # noqa: PLC0415 - as above

        who = key or AccessKey(self.access_key, self.secret_key)
        return self._session().client(
            "s3", endpoint_url=endpoint_url or self.endpoint_url, region_name=REGION, aws_access_key_id=who.access_key,
            aws_secret_access_key=who.secret_key,
            config=(base or Config()).merge(Config(**{"s3": {"addressing_style": "path"}, "proxies": {}, **config})))

    def create_bucket(self, name: str, **options: Any) -> str:
        """Makes a bucket and returns its name; `options` are those of boto3's `create_bucket`."""
        client = self.client()
        try:
            client.create_bucket(Bucket=name, **options)
        finally:
            client.close()
        return name

    def _session(self) -> Session:
        """One session for all clients: it keeps the service's description, which takes longer to read than a client to make."""
        import boto3  # noqa: PLC0415 - as above

        if self._shared_session is None:
            self._shared_session = boto3.session.Session()
        return self._shared_session

    def _launch(self, executable: Path, port: int) -> bool:
        """Whether a server of ours answers on `port`."""
        inherited = {"PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH"}  # no AWS_..., which would steer the server
        kept = {name: value for name, value in os.environ.items() if name in inherited}
        settings = {
            "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "s3,iam,sts", "AUTH": "true",
            "AWS_ACCESS_KEY_ID": self._root_key, "AWS_SECRET_ACCESS_KEY": "unchecked", "HOME": str(self.directory),
            "S3_PERSIST": "1", "S3_DATA_DIR": str(self.directory / "s3"),
            "PERSIST_STATE": "1", "STATE_DIR": str(self.directory / "state"),
            "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "LOG_LEVEL": "WARNING",
        }
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a path we found or were told
                [str(executable)], env=kept | settings, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT)
        self.endpoint_url = f"http://127.0.0.1:{port}"
        return self._wait_until_ready(self._process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy for the world is none for loopback
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(OSError), opener.open(f"{self.endpoint_url}/_ministack/health", timeout=1):
                # When another server had taken the port meanwhile, ours ends; that one would not know our root key.
                return process.poll() is None
            time.sleep(0.03)
        return False

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
