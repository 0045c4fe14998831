"""The outside of test_network.py, as a program: a name server, pages, and what leaked to it.

    page_servers.py ADDRESS OTHER NEIGHBOUR PAGE [NAME ADDRESS]...

Every address has PAGE at its port 8080, and a NAME has those addresses that follow it each time. /elsewhere leads to another name, and /leaked tells which words `leak-…` came
in by any frame.
"""

import http.server
import json
import re
import socket
import sys
import threading

import name_server

ADDRESS, OTHER, NEIGHBOUR, PAGE = sys.argv[1:5]
NAMES = {"page.example": [ADDRESS], "other.example": [OTHER], "lan.example": [NEIGHBOUR]}
for name, address in zip(sys.argv[5::2], sys.argv[6::2]):
    NAMES.setdefault(name, []).append(address)
leaked = set()


def watch():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as all_frames:
        while True:
            leaked.update(word.decode() for word in re.findall(b"leak-([a-z-]+)", all_frames.recv(65536)))


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "http://other.example:8080/")
            self.end_headers()
            return
        text = json.dumps(sorted(leaked)) if self.path == "/leaked" else PAGE
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


class Pages(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6  # And IPv4, as the kernel's own setting is.
    request_queue_size = 1024


threading.Thread(target=watch, daemon=True).start()
web = Pages(("::", 8080), Page)
threading.Thread(target=web.serve_forever, daemon=True).start()
name_server.serve(NEIGHBOUR, NAMES)
