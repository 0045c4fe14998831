"""Debian's docker-registry on loopback, and pushes of documents made by hand."""

from __future__ import annotations

import base64
import contextlib
import http.client
import pathlib
import shutil
import socket
import ssl
import subprocess
import time
import urllib.parse

from images.image import Document

CONFIG = """\
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {root}
  maintenance:
    uploadpurging:
      enabled: false
http:
  addr: 127.0.0.1:{port}
  secret: not-a-secret
"""
TLS = """\
  tls:
    certificate: {certificate}
    key: {key}
"""
AUTH = """\
auth:
  htpasswd:
    realm: pyro-tests
    path: {htpasswd}
"""
USER, PASSWORD = "robot", "open sesame"
START_SECONDS = 30


class Missing(Exception):
    """A program of the system that tests of images need."""


def program(name: str, package: str = "") -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed: apt install {package or name}")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Registry:
    """A process of docker-registry with a store of its own. With `password`, only USER may push or pull. With `tls` it speaks
    HTTPS, with a certificate of its own in `certificate`."""

    def __init__(self, directory: pathlib.Path, password: bool = False, tls: bool = False):
        self.program = program("docker-registry")
        self.directory = directory
        self.headers = {}
        self.process: subprocess.Popen | None = None
        directory.mkdir(parents=True)
        self.htpasswd = None
        self.certificate = None
        if tls:
            self.certificate = directory / "certificate.pem"
            subprocess.run([program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                            "-keyout", directory / "key.pem", "-out", self.certificate, "-days", "2", "-subj", "/CN=registry",
                            "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        if password:
            self.htpasswd = directory / "htpasswd"
            hashed = subprocess.run([program("htpasswd", "apache2-utils"), "-inB", USER], input=PASSWORD.encode(), stdout=subprocess.PIPE, check=True)
            self.htpasswd.write_bytes(hashed.stdout)
            self.headers["Authorization"] = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        self.port = 0
        self._pushed: set[tuple[str, str]] = set()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """On the port that it had, if it was started before."""
        for _ in range(3):  # Another process may take the free port before the registry does.
            self.port = self.port or free_port()
            config = self.directory / "config.yml"
            text = CONFIG.format(root=self.directory / "store", port=self.port)
            if self.certificate:
                text += TLS.format(certificate=self.certificate, key=self.directory / "key.pem")
            config.write_text(text + (AUTH.format(htpasswd=self.htpasswd) if self.htpasswd else ""))
            with (self.directory / "log").open("ab") as log:
                self.process = subprocess.Popen([self.program, "serve", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            if self._answers():
                return
            self.stop()
            self.port = 0
        raise AssertionError((self.directory / "log").read_text()[-2000:])

    def _answers(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                connection = self._connect(5)
                connection.request("GET", "/v2/", headers=self.headers)
                return connection.getresponse().status == 200
            time.sleep(0.02)
        return False

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        if self.certificate is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        trusted = ssl.create_default_context(cafile=str(self.certificate))
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=trusted)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def push(self, name: str, document: Document, tag: str = "") -> str:
        """Uploads what the registry lacks; returns the document's digest. Without a tag it is there by digest alone."""
        connection = self._connect(60)
        try:
            self._push(connection, name, document, tag)
        finally:
            connection.close()
        return document.digest

    def _push(self, connection: http.client.HTTPConnection, name: str, document: Document, tag: str = "") -> None:
        for manifest in document.manifests:
            self._push(connection, name, manifest)
        for digest, data in document.blobs.items():
            if (name, digest) not in self._pushed:
                place = self._call(connection, "POST", f"/v2/{name}/blobs/uploads/", 202)["Location"]
                parts = urllib.parse.urlsplit(place)
                query = f"{parts.query}&" if parts.query else ""
                self._call(connection, "PUT", f"{parts.path}?{query}digest={digest}", 201, data, "application/octet-stream")
                self._pushed.add((name, digest))
        self._call(connection, "PUT", f"/v2/{name}/manifests/{tag or document.digest}", 201, document.data, document.media_type)

    def _call(self, connection: http.client.HTTPConnection, method: str, path: str, wanted: int, data: bytes | None = None,
              media_type: str | None = None) -> http.client.HTTPMessage:
        headers = {**self.headers, **({"Content-Type": media_type} if media_type else {})}
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == wanted, (method, path, answer.status, said)
        return answer.headers

    def blob_path(self, digest: str) -> pathlib.Path:
        """Where its store has the bytes, to change them behind its back."""
        return self.directory / f"store/docker/registry/v2/blobs/sha256/{digest[7:9]}/{digest[7:]}/data"

    def write_authfile(self, path: pathlib.Path, password: str = PASSWORD, host: str = "") -> pathlib.Path:
        """In the form that `skopeo login` writes."""
        secret = base64.b64encode(f"{USER}:{password}".encode()).decode()
        path.write_text('{"auths": {"%s": {"auth": "%s"}}}\n' % (host or self.host, secret))
        path.chmod(0o600)
        return path
