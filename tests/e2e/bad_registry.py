"""A registry of images that misbehaves. The name of the image says how: HOST:PORT/slow:1 is never answered."""

import http.server
import json
import threading
import time

from raw_image import CONFIG, LAYER, MANIFEST, digest

INDEX = "application/vnd.oci.image.index.v1+json"


class BadRegistry:
    """Serves on a port of the loopback address that the system chooses. Manifests of images with the name of a method
    `answer_NAME` are answered by it, blobs of those with a method `blob_NAME` too; everything else is answered well."""

    def __init__(self, layer):
        """`layer`: the bytes of the only layer, compressed, with the digest of the uncompressed ones."""
        self.layer, diff_id = layer
        self.config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/usr/bin:/bin"]},
                                  "rootfs": {"type": "layers", "diff_ids": [diff_id]}, "history": [{"created_by": "a test"}]}).encode()
        self.closing = threading.Event()
        self.calls = []  # (name, method, path, authorization), of all requests
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                registry.serve(self)

            do_HEAD = do_GET

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # clients that give up

        self.server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def manifest(self, **changes):
        return {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": CONFIG, "digest": digest(self.config), "size": len(self.config)},
                "layers": [{"mediaType": LAYER, "digest": digest(self.layer), "size": len(self.layer)}], **changes}

    def called(self, name):
        """The requests for one image, as (method, path, authorization)."""
        return [call[1:] for call in self.calls if call[0] == name]

    def serve(self, request):
        parts = request.path.split("/")
        name = parts[2] if len(parts) > 2 else ""
        self.calls.append((name, request.command, request.path, request.headers.get("Authorization", "")))
        if len(parts) < 5:
            return self.send(request, 200 if parts[1] == "v2" else 404)
        kind = {"manifests": "answer", "blobs": "blob"}.get(parts[3], "token")
        getattr(self, f"{kind}_{name}", getattr(self, f"{kind}_well"))(request, parts[4])

    def send(self, request, status, body=b"", **headers):
        request.send_response(status)
        for key, value in {"Content-Length": len(body), **headers}.items():
            request.send_header(key.replace("_", "-"), str(value))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def send_document(self, request, document, kind=MANIFEST, **headers):
        self.send(request, 200, json.dumps(document).encode(), Content_Type=kind, **headers)

    def answer_well(self, request, _):
        self.send_document(request, self.manifest())

    def blob_well(self, request, wanted):
        known = {digest(blob): blob for blob in (self.config, self.layer)}
        self.send(request, 200 if wanted in known else 404, known.get(wanted, b""))

    def token_well(self, request, _):
        self.send(request, 404)

    # Authorization.

    def answer_foreign(self, request, _):
        self.send(request, 401, WWW_Authenticate='Bearer realm="http://auth.example.org/token",service="s"')

    def answer_unwilling(self, request, _):
        self.send(request, 401, WWW_Authenticate=f'Bearer realm="http://{self.host}/v2/unwilling/token/it",service="s"')

    def token_unwilling(self, request, _):
        self.send(request, 403, b'{"details":"no"}')

    def answer_basic(self, request, _):
        self.send(request, 401, WWW_Authenticate='Basic realm="r"')

    # Status codes.

    def answer_forbidden(self, request, _):
        self.send(request, 403, b'{"errors":[{"code":"DENIED","message":"not for you"}]}')

    def answer_absent(self, request, _):
        self.send(request, 404)

    def answer_range(self, request, _):
        self.send(request, 416)

    def answer_busy(self, request, _):
        """Is busy for the first two requests."""
        if len(self.called("busy")) <= 2:
            return self.send(request, 429, Retry_After=1)
        return self.answer_well(request, _)

    def answer_limited(self, request, _):
        self.send(request, 429, Retry_After=1)

    def answer_closed(self, request, _):
        self.send(request, 429, Retry_After=3600)

    def answer_broken(self, request, _):
        self.send(request, 500, b"<html>a stack trace</html>")

    # Connections.

    def answer_slow(self, request, _):
        self.closing.wait(300)
        request.close_connection = True

    def drip(self, request, body, **headers):
        """Sends a byte per second."""
        request.send_response(200)
        for key, value in {"Content-Length": len(body), **headers}.items():
            request.send_header(key.replace("_", "-"), str(value))
        request.end_headers()
        for byte in body:
            request.wfile.write(bytes([byte]))
            if self.closing.wait(1):
                break
        request.close_connection = True

    def answer_drip(self, request, _):
        self.drip(request, json.dumps(self.manifest()).encode(), Content_Type=MANIFEST)

    def blob_config_drip(self, request, _):
        self.drip(request, self.config)

    def cut(self, request, body, length, **headers):
        """Promises more bytes than it sends."""
        request.send_response(200)
        for key, value in {"Content-Length": length, **headers}.items():
            request.send_header(key.replace("_", "-"), str(value))
        request.end_headers()
        request.wfile.write(body)
        request.close_connection = True

    def answer_cut(self, request, _):
        body = json.dumps(self.manifest()).encode()
        self.cut(request, body[:50], len(body), Content_Type=MANIFEST)

    # Redirects.

    def answer_circle(self, request, wanted):
        self.send(request, 302, Location=f"/v2/circle/manifests/{wanted}x")

    def answer_elsewhere(self, request, wanted):
        """Wants a password, and then sends the client to another host."""
        if not request.headers.get("Authorization"):
            return self.answer_basic(request, wanted)
        return self.send(request, 307, Location=f"http://{self.elsewhere}/v2/well/manifests/{wanted}")

    def answer_inside(self, request, _):
        """Sends the client to an address that it could not call itself."""
        self.send(request, 307, Location="http://127.0.0.1:1/v2/well/manifests/1")

    # Documents.

    def answer_huge(self, request, _):
        """A manifest of 100 MB."""
        request.send_response(200)
        request.send_header("Content-Type", MANIFEST)
        request.send_header("Content-Length", str(100 << 20))
        request.end_headers()
        for _ in range(100):
            request.wfile.write(b" " * (1 << 20))

    def answer_html(self, request, _):
        self.send(request, 200, b"<html>Sign in</html>", Content_Type="text/html")

    def answer_nonsense(self, request, _):
        self.send(request, 200, b"{not JSON", Content_Type=MANIFEST)

    def answer_other(self, request, _):
        """Another manifest than the digest says."""
        self.send_document(request, self.manifest(), Docker_Content_Digest="sha256:" + "1" * 64)

    def answer_platform(self, request, _):
        platform = {"os": "linux", "architecture": "s390x"}
        self.send_document(request, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": "sha256:" + "1" * 64, "size": 10, "platform": platform}]}, INDEX)

    def answer_urls(self, request, _):
        foreign = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": digest(self.layer),
                   "size": len(self.layer), "urls": ["http://169.254.169.254/latest"]}
        self.send_document(request, self.manifest(layers=[foreign]))

    def answer_links(self, request, _):
        """A layer of the usual kind that names other places all the same."""
        foreign = {"mediaType": LAYER, "digest": digest(self.layer), "size": len(self.layer), "urls": [f"http://{self.elsewhere}/v2/links/blobs/x"]}
        self.send_document(request, self.manifest(layers=[foreign]))

    # Layers: the client reads the configuration, and the build the layer.

    def of_layer(self, request, wanted, answer):
        return self.blob_well(request, wanted) if wanted == digest(self.config) else answer()

    def blob_layer_absent(self, request, wanted):
        self.of_layer(request, wanted, lambda: self.send(request, 404))

    def blob_layer_broken(self, request, wanted):
        self.of_layer(request, wanted, lambda: self.send(request, 500))

    def blob_layer_cut(self, request, wanted):
        self.of_layer(request, wanted, lambda: self.cut(request, self.layer[:1000], len(self.layer)))

    def blob_layer_other(self, request, wanted):
        self.of_layer(request, wanted, lambda: self.send(request, 200, bytes(len(self.layer))))
