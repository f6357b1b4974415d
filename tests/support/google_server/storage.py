"""Cloud Storage's JSON API, as far as a lock needs it: objects with generations and preconditions, over HTTP.

The client library is pointed at it by STORAGE_EMULATOR_HOST, as at Google's own emulators.
"""

import http.server
import itertools
import json
import threading
import urllib.parse


class Storage:
    """Objects by name, of any bucket. `address` is http://localhost:PORT; `log` has each (method, status)."""

    def __init__(self):
        self.objects: dict[str, dict] = {}
        self.log: list[tuple[str, int]] = []
        self._generations = itertools.count(1_700_000_000_000_001)
        self._lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with outer._lock:
                    status, answer = outer._do(self.command, urllib.parse.urlsplit(self.path), self.headers, body)
                outer.log.append((self.command, status))
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = _answer

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
        self.address = f"http://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def _do(self, method, url, headers, body):
        query = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
        if method == "POST":  # multipart: the first part is the object's metadata
            boundary = headers["Content-Type"].partition("boundary=")[2].strip("'\"").encode()
            name = json.loads(body.split(b"--" + boundary)[1].partition(b"\r\n\r\n")[2])["name"]
        else:
            name = urllib.parse.unquote(url.path.rpartition("/o/")[2])
        there = self.objects.get(name)
        wanted = query.get("ifGenerationMatch")
        if wanted is not None and wanted != (there or {}).get("generation", "0"):
            return 412, _error(412, "conditionNotMet")
        wanted = query.get("ifMetagenerationMatch")
        if wanted is not None and wanted != (there or {}).get("metageneration"):
            return 412, _error(412, "conditionNotMet")
        if method == "POST":
            self.objects[name] = {"name": name, "generation": str(next(self._generations)), "metageneration": "1"}
        elif there is None:
            return 404, _error(404, "notFound")
        elif method == "PATCH":
            there["metageneration"] = str(int(there["metageneration"]) + 1)
        elif method == "DELETE":
            del self.objects[name]
            return 204, None
        return 200, self.objects[name]


def _error(code, reason):
    return {"error": {"code": code, "message": reason, "errors": [{"reason": reason}]}}
