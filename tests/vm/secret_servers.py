"""The outside of test_secrets.py, as a program: a name server, and one HTTPS server with many names.

    secret_servers.py ADDRESS ADDRESS6 NEIGHBOUR NEIGHBOUR6 CERTIFICATE KEY ROOT TOKEN LOG

six.example has ADDRESS6 alone, and near.example NEIGHBOUR6. It answers for TOKEN alone where a real service would, and writes what it saw of credentials to LOG.
"""

import base64
import gzip
import hashlib
import http.server
import json
import pathlib
import sys

import name_server
import web_server

ADDRESS, ADDRESS6, NEIGHBOUR, NEIGHBOUR6, CERTIFICATE, KEY, ROOT, TOKEN, LOG = sys.argv[1:]
ROOT = pathlib.Path(ROOT)
NAMES = ("api", "git", "pypi", "npm", "other")


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def credential(self):
        given = self.headers.get("Authorization", "")
        if given.startswith("Basic "):
            given = base64.b64decode(given[6:]).decode()
            return given.partition(":")[2] or given.partition(":")[0]
        return given.removeprefix("Bearer ").removeprefix("token ")

    def answer(self, status, body, kind="text/plain", **fields):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        host = self.headers["Host"].split(".")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = self.credential() == TOKEN
        with open(LOG, "a", encoding="utf-8") as log:
            print(self.command, self.headers["Host"], self.path, "right" if known else "wrong", file=log, flush=True)
        if self.path == "/echo":
            head = "".join(f"{name}: {value}\n" for name, value in self.headers.items())
            return self.answer(200, head.encode() + body, X_Given=self.headers.get("Authorization", "none"))
        if self.path == "/pieces":
            return self.in_pieces(self.headers.get("Authorization", ""))
        if self.path == "/gzip":
            text = gzip.compress(self.headers.get("Authorization", "").encode())
            return self.answer(200, text, Content_Encoding="gzip")
        if self.path == "/who":
            return self.answer(200 if known else 401, b"known\n" if known else b"unknown\n",
                               Accept_Encoding_Was=self.headers.get("Accept-Encoding", "none"))
        if not known:
            return self.answer(401, b"who are you\n", WWW_Authenticate='Basic realm="test"')
        return self.file(host)

    do_POST = do_GET
    do_HEAD = do_GET

    def in_pieces(self, text):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for character in text:
            self.wfile.write(b"1\r\n" + character.encode() + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def file(self, host):
        path = self.path.partition("?")[0]
        if host == "npm" and path == "/a-package":
            tarball = (ROOT / "npm/a-package-1.0.0.tgz").read_bytes()
            integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
            dist = {"tarball": "https://npm.example/a-package-1.0.0.tgz", "integrity": integrity}
            package = {"name": "a-package", "dist-tags": {"latest": "1.0.0"},
                       "versions": {"1.0.0": {"name": "a-package", "version": "1.0.0", "dist": dist}}}
            return self.answer(200, json.dumps(package).encode(), "application/json")
        found = (ROOT / host / path.lstrip("/")).resolve()
        if not found.is_relative_to(ROOT) or not found.exists():
            return self.answer(404, b"not there\n")
        if found.is_dir():
            links = "".join(f'<a href="{entry.name}">{entry.name}</a>' for entry in sorted(found.iterdir()))
            return self.answer(200, f"<html><body>{links}</body></html>".encode(), "text/html")
        return self.answer(200, found.read_bytes(), "application/octet-stream")


web_server.start(Service, CERTIFICATE, KEY)
name_server.serve(NEIGHBOUR, {**{f"{name}.example": ADDRESS for name in NAMES},
                              "six.example": ADDRESS6, "near.example": NEIGHBOUR6})
