"""A web server for the outside of a test, for programs that run there."""

import http.server
import socket
import ssl
import threading


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6  # And IPv4.
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass


def start(handler, certificate, key):
    """Answers in threads on the ports 443, with that certificate, and 80."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secure = Server(("::", 443), handler)
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    for server in (secure, Server(("::", 80), handler)):
        threading.Thread(target=server.serve_forever, daemon=True).start()
