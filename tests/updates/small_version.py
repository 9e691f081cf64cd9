#!@PYTHON@
"""A version of very little: says at /readyz which one it is, and has a database with migrations."""

import http.server
import pathlib
import sqlite3
import ssl
import sys
import time

SOURCE = pathlib.Path("@SOURCE@")
verb, port, databases, certificate, key = sys.argv[1], int(sys.argv[2]), *map(pathlib.Path, sys.argv[3:])


def told(name: str) -> str:
    file = SOURCE / name
    return file.read_text() if file.exists() else ""


if verb == "try-out":
    sys.exit(told("unfit") or 0)

database = sqlite3.connect(databases / "node.sqlite", isolation_level=None)
database.execute("CREATE TABLE IF NOT EXISTS migration (room TEXT, number INTEGER)")
database.execute("CREATE TABLE IF NOT EXISTS instance (uid TEXT)")
if told("migrates"):
    database.execute("INSERT INTO migration VALUES ('index', 2)")
    database.execute("ALTER TABLE instance RENAME COLUMN uid TO instance_uid")
    database.execute("DELETE FROM instance")
    (databases / "new-folder").mkdir()
elif told("stores"):
    database.execute("INSERT INTO instance VALUES ('2.25.7')")
if told("ends"):
    sys.exit(told("ends"))
if told("never"):
    time.sleep(3600)
# what an earlier version cannot read
columns = [row[1] for row in database.execute("PRAGMA table_info(instance)")]
if columns != ["uid"] and not told("migrates"):
    sys.exit(f"a table of another shape: {columns}")


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(told("name").encode())


server = http.server.HTTPServer(("127.0.0.1", port), Answers)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
