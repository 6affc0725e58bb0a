"""Requests that no HTTP library sends: hostile.py DESCRIPTION.

Each operation of the description is asked with its examples, of which one part
is replaced: the method, a part of the path, the query, a header, the body.
Every answer has to be one that the description has for the operation, none may
be 5xx, refusals are problems with an X-Request-Id, and what is certainly wrong
is refused. What fails is printed with a line of curl. What net/http refuses
before any handler has the request (MALFORMED) only has to be refused.
"""

import http.client
import json
import re
import shlex
import socket
import sys
from urllib.parse import quote, urlsplit

import yaml

import seed

HOST = urlsplit(seed.URL).netloc
LONG = "a" * 5000

# Texts for a part of the path or a parameter, escaped. Nothing is called so.
TEXTS = [
    "%00", "a%00b", "%2F", "..%2F..%2Fetc%2Fpasswd", "%2e%2e", "%FF", "%C0%AF", "%ED%A0%80", "%0D%0AX:%20y",
    "%25", "%2500",
    "%F0%9F%92%A9", "%E2%80%AE", "a%20b", "%3Cscript%3E", "%22", "%5C", "__proto__", "_sluice.schemas",
    "-1", "1e3", "0x10",
    "99999999999999999999", "NaN", "%2B1", "%5B", "%5Ba-", LONG,
]
METHODS = ["OPTIONS", "TRACE", "PATCH", "PROPFIND", "get", "PUT", "POST", "DELETE"]
ACCEPTS = [
    "text/html", "image/png", "*/*;q=0", "application/json;q=0, */*;q=0.1", "application/x-ndjson", ";",
    "text/event-stream", ",",
]
TYPES = [
    "text/html", "application/xml", "multipart/form-data", "garbage", ";", "application/json; charset=utf-16",
    "application/json;;", "a/b/c",
]
CODINGS = ["br", "gzip", "zstd", "gzip, zstd", "chunked", "\xff", ","]
BODIES = [  # none is a JSON text of UTF-8
    b"", b"{", b"{]", b'{"a":1}}', b"nul", b"\x00", b'"\xff"', b'"\xed\xa0\x80"', b'"\x00"',
    b"\xff\xfe{\x00}\x00", b"01", b"+1", b"NaN",
    b'{"a":1,"a":2}', b'"\\ud800"', b'"\\x"', b"'a'", b"[" * 200_000, b'{"a":' * 50_000, b"1 2", b"\x1f\x8b",
]
ODD_BODIES = [
    b"null", b"[]", b"{}", b"1e400", b"-0", b'"\\u0000"', b'{"":{}}', b"9" * 500,
    b'{"__proto__":null}', b" \n\t1", b'{"a":"%s"}' % (b"x" * 70_000),
]
ODD_HEADERS = [
    ("X-Request-Id", '\xff"{'), ("Host", "evil.example"), ("Origin", "https://evil.example"),
    ("Range", "bytes=0-0"), ("Range", "bytes=9999999-"), ("If-Match", '"x"'),
    ("Cookie", "\xff=;;"), ("Authorization", "Bearer"), ("Authorization", "Basic !"),
    ("Upgrade", "h2c"), ("If-None-Match", "W/"),
    ("If-Modified-Since", "never"), ("Forwarded", "for=;"), ("X-Forwarded-For", "::::"), ("Prefer", ";;=,"),
    ("traceparent", "\xff"),
]
MALFORMED = [
    b"GET\r\n\r\n", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", b"\x00\x01\x02\r\n\r\n",
    b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\na b: c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: \x7f\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: more\r\n\r\n",
    b"POST /streams/plain HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /streams/plain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1",
    b"POST /streams/plain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
    b"POST /streams/plain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n1\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 2_000_000 + b"\r\n\r\n",
]


class Answer:
    def __init__(self, connection, method):
        self.parsed = http.client.HTTPResponse(connection, method=method)
        self.parsed.begin()
        self.status, self.headers = self.parsed.status, self.parsed.headers
        self.type = (self.headers["Content-Type"] or "").split(";")[0]
        self.body = b"" if self.type == "text/event-stream" else self.read()

    def read(self):
        """net/http's own refusals end with the connection, which breaks where more was sent than it read."""
        try:
            return self.parsed.read()
        except ConnectionResetError:
            if self.headers["Content-Length"]:
                raise
            return b""


def exchange(data, method="GET"):
    """Sends bytes and reads an answer. A gateway that hangs up early still answered."""
    host, port = HOST.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        try:
            connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return Answer(connection, method)


class Request:
    """A request to one operation, and what the description says of it."""

    def __init__(self, operation, method, path, headers, body):
        self.operation, self.method, self.path, self.headers, self.body = operation, method, path, headers, body

    def but(self, **parts):
        return Request(**{**vars(self), **parts})

    def with_query(self, query):
        return self.but(path=self.path + ("&" if "?" in self.path else "?") + query)

    def with_header(self, name, value):
        return self.but(headers=[h for h in self.headers if h[0] != name] + [(name, value)])

    def send(self):
        headers = [("Connection", "close"), *self.headers]
        if "Host" not in dict(headers):
            headers.append(("Host", HOST))
        if seed.TOKEN:
            headers.append(("Authorization", "Bearer " + seed.TOKEN))
        if self.body is not None:
            headers.append(("Content-Length", str(len(self.body))))
        head = f"{self.method} {self.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
        return exchange(head.encode("latin-1") + b"\r\n" + (self.body or b""), self.method)

    def curl(self):
        words = ["curl", "-i", "--path-as-is", "-g", "-X", self.method, seed.URL + self.path]
        for name, value in self.headers:
            words += ["-H", f"{name}: {value}"]
        line = " ".join(shlex.quote(word) for word in words)
        if self.body is not None:
            text = self.body[:300].decode("latin-1").encode("unicode_escape").decode()
            line = f"printf {shlex.quote(text.replace('%', '%%'))} | {line} --data-binary @-"
        return line


class Checker:
    def __init__(self):
        self.asked, self.failures = 0, 0

    def check(self, request, refused=False):
        """One request; the answer has to be described, and a refusal if it is known to be wrong."""
        self.asked += 1
        try:
            answer = request.send()
        except (OSError, http.client.HTTPException) as broken:
            return self.fail(request, f"no answer: {broken!r}")
        described = request.operation["responses"].get(str(answer.status))
        if answer.status >= 500:
            return self.fail(request, f"answered {answer.status}: {answer.body[:300]}")
        if refused and answer.status < 400:
            return self.fail(request, f"was not refused: {answer.status}")
        if not answer.headers["X-Request-Id"]:
            return self.fail(request, f"answered {answer.status} without X-Request-Id")
        if answer.status >= 400 and request.method != "HEAD":
            self.problem(request, answer)
        if answer.status in (404, 405, 403):  # any path answers so
            return answer
        if described is None:
            return self.fail(request, f"answered {answer.status}, which is not described: {answer.body[:300]}")
        if described.get("content") and answer.type not in described["content"]:
            return self.fail(request, f"answered {answer.status} as {answer.type!r}, which is not described")
        return answer

    def problem(self, request, answer):
        try:
            problem = json.loads(answer.body)
            named = problem["type"].startswith("/problems/") and problem["title"] and problem["detail"]
            fine = named and problem["status"] == answer.status
        except (ValueError, LookupError, AttributeError, TypeError):
            fine = False
        if not fine or answer.type != "application/problem+json":
            self.fail(request, f"answered {answer.status}, which is no problem: {answer.type} {answer.body[:300]}")

    def fail(self, request, what):
        self.failures += 1
        print(f"FAILED {request.method} {request.path[:200]}: {what}\n    {request.curl()[:2000]}")


def resolve(description, node):
    while "$ref" in node:
        target = description
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def operations(description):
    """Each operation with a request of its examples, and its parameters. What deletes is sent where nothing is."""
    known = seed.known()
    for path, item in description["paths"].items():
        for method in item.keys() & {"get", "put", "post", "delete"}:
            operation = item[method]
            operation["responses"] = {s: resolve(description, r) for s, r in operation["responses"].items()}
            operation["methods"] = sorted(item.keys() & {"get", "put", "post", "delete"})
            parameters = [resolve(description, p) for p in item.get("parameters", []) + operation.get("parameters", [])]
            values = {p["name"]: p.get("example", "1") for p in parameters if p["in"] == "path"}
            if method == "delete":
                values = {name: "0" if str(value).isdigit() else "absent" for name, value in values.items()}
            plain = re.sub(r"\{(\w+)\}", lambda name: quote(str(values[name[1]])), path)
            needed = [p for p in parameters if p["in"] == "query" and p.get("required")]
            query = "&".join(f"{p['name']}={quote(str(p['example']))}" for p in needed)
            body, headers = None, []
            for media, content in list(operation.get("requestBody", {}).get("content", {}).items())[:1]:
                example = content.get("example", {"streams": "orders.*", "endpoint": {"url": seed.RECEIVER}})
                text = json.dumps(example)
                for shown, real in known.items():
                    text = text.replace(shown, real)
                body, headers = text.encode(), [("Content-Type", media)]
            target = plain + ("?" + query if query else "")
            yield path, parameters, Request(operation, method.upper(), target, headers, body)


def variants(path, parameters, plain):
    """Requests with one part replaced, and whether each is certainly wrong."""
    for accept in ACCEPTS:
        yield plain.with_header("Accept", accept), False
    for p in parameters:
        name = p["name"]
        if p["in"] == "path":
            for text in TEXTS:
                at = path.split("/").index("{" + name + "}")
                parts = plain.path.split("?")
                segments = parts[0].split("/")
                segments[at] = text
                parts[0] = "/".join(segments)
                yield plain.but(path="?".join(parts)), False
        elif p["in"] == "query":
            for text in TEXTS:
                yield plain.with_query(f"{name}={text}"), False
            yield plain.with_query(f"{name}=1&{name}=2"), True
            if p["schema"].get("type") in ("boolean", "integer"):
                yield plain.with_query(f"{name}="), True
                yield plain.with_query(f"{name}=yes"), True
        else:
            for text in ("", "\xff", "\x80\x81", '"', ",", LONG, "-1", "é"):
                yield plain.with_header(name, text), False
    probe = path.startswith(("/health", "/openapi", "/problems", "/console", "/metrics")) or path == "/"
    yield plain.with_query("no_such_parameter=1"), not probe
    for query in ("%zz", "a=%", ";", "&&&", "=", "%00=%00", "a;b=c"):
        yield plain.with_query(query), False
    for name, value in ODD_HEADERS:
        if not (name == "Authorization" and seed.TOKEN):
            foreign = name == "Origin" or name == "Host" and not seed.TOKEN
            yield plain.with_header(name, value), foreign and plain.method != "GET"
    if plain.body is None:
        yield plain.but(body=b"{}"), False
        return
    data = path.endswith(("/validate", "/streams/{stream}")) and plain.method == "POST"
    for body in BODIES:
        yield plain.but(body=body), not (body == b"" and path.endswith("/secret"))
    for body in ODD_BODIES:
        yield plain.but(body=body), False
    for media in TYPES:
        yield plain.with_header("Content-Type", media), not data and media != ";"
    for coding in CODINGS:
        yield plain.with_header("Content-Encoding", coding), coding not in (",", "chunked")


def methods(checker, path, request):
    """What the path does not have is refused, with what it has; HEAD answers as GET does."""
    has = request.operation["methods"]
    allowed = [method.upper() for method in has] + ["HEAD"] * ("get" in has)
    for method in METHODS:
        if method in allowed:
            continue
        answer = checker.check(request.but(method=method, body=None, headers=[]))
        named = re.split(", *", answer.headers["Allow"] or "") if answer else []
        if answer and answer.status == 405 and sorted(named) != sorted(allowed):
            checker.fail(request.but(method=method), f"allows {named}, and the description has {allowed}")
        if answer and answer.status not in (405, 403):
            checker.fail(request.but(method=method), f"answered {answer.status} for a method that it does not have")
    if request.method == "GET":
        got, head = checker.check(request), checker.check(request.but(method="HEAD"))
        if got and head and (got.status, got.type) != (head.status, head.type):
            what = f"answers {head.status} {head.type}, and GET {got.status} {got.type}"
            checker.fail(request.but(method="HEAD"), what)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        description = yaml.safe_load(file)
    seed.seed()
    checker = Checker()
    for path, parameters, request in operations(description):
        methods(checker, path, request)
        for variant, wrong in variants(path, parameters, request):
            checker.check(variant, wrong)
    for data in MALFORMED:
        status = exchange(data).status
        if not (400 <= status < 500 or status in (501, 505)):
            checker.failures += 1
            print(f"FAILED {data[:100]}: answered {status}")
    print(f"hostile: {checker.asked} requests, {checker.failures} failures")
    return checker.failures > 0


if __name__ == "__main__":
    sys.exit(main())
