"""The outside of test_downloads.py, as a program: a name server, and registries of apt, pip, npm and cargo.

    download_servers.py ADDRESS NEIGHBOUR CERTIFICATE KEY ROOT NAMES LOG

NAMES are the hosts, with commas; each has its files below ROOT/HOST. A package takes as many seconds as
ROOT/seconds says. Paths with the text in ROOT/silent get no answer. The requests are lines in LOG.
"""

import hashlib
import http.server
import pathlib
import sys
import threading
import time

import name_server
import web_server

ADDRESS, NEIGHBOUR, CERTIFICATE, KEY, ROOT, NAMES, LOG = sys.argv[1:]
ROOT = pathlib.Path(ROOT)
PIECES = 20
PACKAGES = (".deb", ".whl", ".tgz")


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        host = self.headers["Host"].partition(":")[0]
        words = [self.command, host, self.path, self.headers.get("User-Agent", "none")]
        with open(LOG, "a", encoding="utf-8") as log:
            print("\t".join(words), file=log, flush=True)
        silent = (ROOT / "silent").read_text()
        if silent and silent in self.path:
            threading.Event().wait()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = (ROOT / host / self.path.lstrip("/")).resolve()
        if found.is_dir():
            found = next(iter(sorted(found.glob("index.*"))), found / "none")
        if self.command == "POST" or not found.is_relative_to(ROOT) or not found.exists():
            return self.answer(404, b"not there\n" + body)
        content = found.read_bytes()
        tag = '"' + hashlib.sha256(content).hexdigest()[:16] + '"'
        if self.headers.get("If-None-Match") == tag:
            return self.answer(304, b"", ETag=tag)
        kind = {".html": "text/html", ".json": "application/json"}.get(found.suffix, "application/octet-stream")
        return self.answer(200, content, Content_Type=kind, ETag=tag, slow=found.suffix in PACKAGES)

    do_POST = do_GET
    do_HEAD = do_GET

    def answer(self, status, body, slow=False, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        seconds = float((ROOT / "seconds").read_text()) if slow else 0
        size = max(1, len(body) // PIECES)
        for at in range(0, len(body), size):
            self.wfile.write(body[at:at + size])
            time.sleep(seconds / PIECES)


web_server.start(Registry, CERTIFICATE, KEY)
name_server.serve(NEIGHBOUR, dict.fromkeys(NAMES.split(","), ADDRESS))
