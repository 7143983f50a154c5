"""The NATS protocol, as far as an attacker needs it: publish, request, and what JetStream answers. Nothing here uses the key of an index."""

import base64
import json
import queue
import secrets
import socket
import threading


class Nats:
    """One connection. Requests are answered one at a time."""

    def __init__(self, address):
        self.socket = socket.create_connection(address)
        self.file = self.socket.makefile("rb")
        self.answers = queue.Queue()
        self.lock = threading.Lock()
        self.inbox = "_INBOX." + secrets.token_hex(8)
        self.file.readline()
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "raw"}
        self.send(f"CONNECT {json.dumps(options)}\r\nSUB {self.inbox}.* 1\r\n".encode())
        threading.Thread(target=self.read, daemon=True).start()

    def send(self, data):
        self.socket.sendall(data)

    def read(self):
        while line := self.file.readline():
            words = line.split()
            if words and words[0] == b"PING":
                self.send(b"PONG\r\n")
            elif words and words[0] in (b"MSG", b"HMSG"):
                body = self.file.read(int(words[-1]) + 2)[:-2]
                headers = int(words[-2]) if words[0] == b"HMSG" else 0
                self.answers.put((words[1].decode(), body[:headers], body[headers:]))

    def request(self, subject, payload=b""):
        with self.lock:
            reply = f"{self.inbox}.{secrets.token_hex(4)}"
            self.send(f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n")
            while True:
                answered, headers, body = self.answers.get(timeout=20)
                if answered == reply:
                    break
        if headers.startswith(b"NATS/1.0 503"):
            raise RuntimeError(f"nobody listens on {subject}")
        answer = json.loads(body)
        if "error" in answer:
            raise RuntimeError(f"{subject}: {answer['error']}")
        return answer

    def api(self, verb, stream, **arguments):
        return self.request(f"$JS.API.STREAM.{verb}.{stream}", json.dumps(arguments).encode() if arguments else b"")


BUCKETS = ("text_index_v1", "tag_index_v1", "type_index_v1", "metadata_cache_v1", "catalog_v1")


class Store:
    """The five streams of one index."""

    def __init__(self, nats, name):
        self.nats, self.name = nats, name

    def stream(self, bucket):
        return f"KV_{self.name}_{bucket}"

    def subject(self, key, bucket="catalog_v1"):
        return f"$KV.{self.name}_{bucket}.{key}"

    def put(self, key, value, bucket="catalog_v1"):
        return self.nats.request(self.subject(key, bucket), value)["seq"]

    def messages(self, bucket="catalog_v1"):
        """What is there now: (sequence, key, value), oldest first."""
        state = self.nats.api("INFO", self.stream(bucket))["state"]
        found = []
        for sequence in range(state["first_seq"], state["last_seq"] + 1):
            try:
                message = self.nats.api("MSG.GET", self.stream(bucket), seq=sequence)["message"]
            except RuntimeError:
                continue
            key = message["subject"][len(self.subject("", bucket)):]
            found.append((sequence, key, base64.b64decode(message.get("data", ""))))
        return found

    def value(self, key):
        return [value for _, found, value in self.messages() if found == key][-1]

    def records(self):
        return [(key, value) for _, key, value in self.messages() if key.startswith("journal.")]

    def purge(self, bucket="catalog_v1"):
        self.nats.api("PURGE", self.stream(bucket))

    def copy(self):
        config = {bucket: self.nats.api("INFO", self.stream(bucket))["config"] for bucket in BUCKETS}
        return {bucket: (config[bucket], self.messages(bucket)) for bucket in BUCKETS}

    def replace_by(self, copy):
        """Makes every stream anew with what a copy holds, under the same sequence numbers."""
        for bucket, (config, messages) in copy.items():
            self.nats.api("DELETE", self.stream(bucket))
            self.nats.api("CREATE", self.stream(bucket), **config)
            last = 0
            for sequence, key, value in messages:
                while last + 1 < sequence:
                    last = self.put("padding", b"", bucket)
                last = self.put(key, value, bucket)
            self.nats.api("PURGE", self.stream(bucket), filter=self.subject("padding", bucket))


class LyingProxy:
    """Relays between clients and the server.

    Once `lie` is set, it withholds the next record and acknowledges it with the number that `lie` returns.
    """

    def __init__(self, server):
        self.server = server
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lie = None
        self.taken = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(self.server)
            threading.Thread(target=self.downwards, args=(client, server), daemon=True).start()
            threading.Thread(target=self.upwards, args=(client, server), daemon=True).start()

    @staticmethod
    def downwards(client, server):
        try:
            while data := server.recv(65536):
                client.sendall(data)
        except OSError:
            pass
        client.close()

    def upwards(self, client, server):
        try:
            self.pass_on(client, server)
        except OSError:
            pass
        # This wakes the thread that reads from the server.
        server.shutdown(socket.SHUT_RDWR)

    def pass_on(self, client, server):
        inboxes, file = {}, client.makefile("rb")
        while line := file.readline():
            words = line.split()
            body = b""
            if words and words[0] in (b"PUB", b"HPUB"):
                body = file.read(int(words[-1]) + 2)
            elif words and words[0] == b"SUB":
                inboxes[words[1].rsplit(b".", 1)[0]] = words[-1]
            is_record = len(words) > 2 and b".journal." in words[1] and body
            lie = self.lie if is_record else None
            if lie is None:
                server.sendall(line + body)
                continue
            self.lie = None
            headers = int(words[-2]) if words[0] == b"HPUB" else 0
            self.taken.append((words[1].decode().split("catalog_v1.", 1)[1], body[headers:-2]))
            reply = words[2]
            stream = words[1].split(b".")[1].decode()
            answer = json.dumps({"stream": f"KV_{stream}", "seq": lie()}).encode()
            sid = inboxes[reply.rsplit(b".", 1)[0]]
            client.sendall(b"MSG %s %s %d\r\n%s\r\n" % (reply, sid, len(answer), answer))
