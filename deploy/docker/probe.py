"""Health check of a container: `probe.py PORT [PATH]` succeeds when the answer is 200.

Spoken by hand on a socket, because it runs every few seconds: importing an HTTP client would cost
more than everything else here.
"""

import socket
import sys

TIMEOUT_S = 4.0

port, path = int(sys.argv[1]), (sys.argv[2:] or ["/readyz"])[0]
try:
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = connection.makefile("rb").read(4096).decode(errors="replace")
except OSError as error:
    sys.exit(f"no answer: {error}")
status, _, rest = answer.partition("\r\n")
print(rest.rpartition("\r\n\r\n")[2].strip())
sys.exit(" 200 " not in status)
