"""What the requests are about: streams, schemas, subscriptions and groups.

seed() makes what is not there, and may be called as often as one likes: hooks
calls it at the beginning, and again when something was deleted.
"""

import json
import os
from urllib.error import HTTPError
from urllib.request import Request, urlopen

URL = os.environ["CONFORMANCE_URL"]
TOKEN = os.environ.get("CONFORMANCE_TOKEN")

# Nobody listens there: deliveries fail at once.
RECEIVER = "http://127.0.0.1:1/hooks"

ORDER = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "integer"}, "total": {"type": "number", "minimum": 0}},
}


def call(method, path, body=None, content_type="application/json"):
    """One request. Gives the answer's JSON, or None where it was refused."""
    headers = {"Content-Type": content_type}
    if TOKEN:
        headers["Authorization"] = "Bearer " + TOKEN
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(URL + path, data, headers, method=method), timeout=60) as answer:
            text = answer.read()
    except HTTPError as refused:
        refused.close()
        return None
    return json.loads(text) if text else {}


def need(*request):
    answer = call(*request)
    if answer is None:
        raise RuntimeError(f"the gateway refused {request}")
    return answer


def seed():
    for name, schema in (("Order", ORDER), ("Free", True)):
        call("POST", f"/schemas/{name}/versions", {"schema": schema})
    call("PUT", "/streams/orders.eu", {"schema": "Order:1", "partitions": 2, "replication_factor": 1})
    call("PUT", "/streams/orders.us", {"schema": "Order", "partitions": 1, "replication_factor": 1})
    call("PUT", "/streams/plain", {"schema": "Free:1", "partitions": 1, "replication_factor": 1})
    call("PUT", "/streams/events", {"schema": "Free:1", "envelope": False, "partitions": 1, "replication_factor": 1})
    for partition in (0, 1):
        for number in range(2):
            call("POST", f"/streams/orders.eu?key=k{number}&partition={partition}", {"id": number, "total": 12.5})
    call("POST", "/streams/plain?key=k1", ["free"])
    hook = {"streams": "orders.*", "group": "hooks.billing", "endpoint": {"url": RECEIVER}}
    call("PUT", "/subscriptions/billing", hook)
    call("PUT", "/subscriptions/paused", {"streams": "plain", "endpoint": {"url": RECEIVER}, "state": "paused"})
    for group in ("billing", "shop.readers"):
        call("POST", f"/groups/{group}/position", {"from": "earliest", "streams": "orders.eu"})


def known():
    """What examples of the description stand for, by their text in it."""
    return {
        "p1.u3SZ0h8BKyVb": need("GET", "/streams/orders.eu/records?limit=1")["next"],
        "https://app.example/hooks": RECEIVER,
        "20s": "100ms",  # the wait of a page
        '"3"': "*",  # the ETag of a condition
    }


def broker():
    """The id of a broker that is there."""
    return need("GET", "/cluster/brokers")["brokers"][0]["id"]
