package browser_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"sluice/internal/kafkatest"
)

// list is short for JSON that tests make up.
type (
	list   = []any
	object = map[string]any
)

// cannedAnswers are what a cluster of some life answers, with a name in each
// place that would run a script if it were taken for HTML.
func cannedAnswers() map[string]any {
	var end atomic.Int64
	broker := func(id int, state string, lastError any) object {
		return object{
			"id": id, "host": "kafka-" + evil, "port": 9092, "rack": nil, "controller": id == 1, "state": state, "reconnect_delay": "0s", "in_flight": 2,
			"round_trip": object{"p50": "1.2ms", "p99": "4ms"}, "bytes_sent": 123456789, "bytes_received": 9876543, "connects": 1, "disconnects": 0,
			"throttle": "0s", "last_error": lastError, "least_loaded": id == 1,
		}
	}
	subscription := object{
		"id": "billing", "streams": "orders.*", "group": "billing", "from": "latest", "endpoint": object{"url": "https://app.example/" + evil, "headers": object{}},
		"view": "record", "filter": nil, "state": "active", "reason": nil, "owner": evil,
	}
	failure := object{"at": "2026-01-31T12:00:00.123Z", "took": "45ms", "outcome": "failed", "status": 500, "detail": "the endpoint answered " + evil}
	return map[string]any{
		"/cluster":                        object{"id": evil, "controller": 1, "kafka_version": "4.1", "brokers": list{broker(1, "ready", nil), broker(2, "disconnected", object{"at": "2026-01-31T12:00:00.123Z", "detail": evil})}},
		"/cluster/brokers/1/api-versions": object{"broker": 1, "version": "4.1", "api_versions": list{object{"key": 0, "name": "Produce", "min": 3, "max": 12}, object{"key": 1, "name": evil, "min": 4, "max": 17}}},
		"/groups":                         object{"groups": list{object{"id": evil, "state": "Stable", "protocol": "range", "members": 2}, object{"id": "shop", "state": "Empty", "protocol": "", "members": 0}}},
		"/groups/shop": object{
			"id": "shop", "state": "Stable", "protocol": "range", "coordinator": 1, "lag": 12,
			"members":    list{object{"id": "m-1", "client_id": evil, "host": "/10.0.0.1", "assignment": list{object{"stream": "orders.eu", "partition": 0}}}},
			"partitions": list{object{"stream": "orders.eu", "partition": 0, "committed": 30, "end": 42, "lag": 12, "member": "m-1"}, object{"stream": "orders.eu", "partition": 1, "committed": nil, "end": 7, "lag": nil, "member": nil}},
		},
		"/streams": object{"streams": list{
			object{"id": evil, "schema": nil, "envelope": nil, "partitions": 1, "replication_factor": 3},
			object{"id": "orders.eu", "schema": "Order:1", "envelope": true, "partitions": 6, "replication_factor": 3, "retention": "7d"},
			object{"id": "orders.us", "schema": "Order", "envelope": false, "partitions": 12, "replication_factor": 3, "retention": "forever"},
		}},
		"/streams/" + evil + "/partitions": object{"partitions": list{object{"partition": 0, "leader": -1, "replicas": list{1}, "in_sync_replicas": list{}, "begin": 0, "end": 0, "size_bytes": 0}}},
		"/streams/orders.us/partitions":    object{"partitions": list{object{"partition": 0, "leader": 1, "replicas": list{1}, "in_sync_replicas": list{1}, "begin": 0, "end": 7, "size_bytes": 0}}},
		"/streams/orders.eu":               object{"id": "orders.eu", "schema": "Order:1", "envelope": true, "partitions": 2, "replication_factor": 3, "retention": "7d", "config": object{"max.message.bytes": evil}},
		"/streams/orders.eu/partitions": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, object{"partitions": list{
				object{"partition": 0, "leader": 1, "replicas": list{1, 2, 3}, "in_sync_replicas": list{1, 2, 3}, "begin": 10, "end": 100 + end.Add(300), "size_bytes": 1 << 30},
				object{"partition": 1, "leader": 2, "replicas": list{1, 2, 3}, "in_sync_replicas": list{2}, "begin": 0, "end": 50, "size_bytes": 12345},
			}})
		}),
		"/schemas/Order/versions/1": object{"name": "Order", "version": 1, "registered": "2026-01-31T12:00:00.123Z", "schema": object{"type": "object", "title": evil, "description": evil, "properties": object{evil: object{"type": "string", "description": evil}}}},
		"/subscriptions":            object{"subscriptions": list{subscription}},
		"/subscriptions/billing":    subscription,
		"/subscriptions/billing/status": object{
			"id": "billing", "state": "active", "reason": nil, "lag": 1234, "dead_letters": 3, "reported": "2026-01-31T12:00:00.123Z", "in_flight": 1, "waiting": 2, "slowed": true,
			"partitions":   list{object{"stream": "orders.eu", "partition": 0, "next": 30, "end": 42, "lag": 12}},
			"last_success": nil, "last_error": failure, "attempts": list{failure},
		},
		"/streams/busy/events": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for n := range 700 {
				fmt.Fprintf(w, "id: p1.%d\ndata: {\"stream\":\"busy\",\"partition\":0,\"offset\":%d,\"key\":%q,\"headers\":{\"h\":%q},\"data\":%q}\n\n", n, n, evil, evil, evil)
			}
			fmt.Fprintf(w, "event: gap\ndata: {\"stream\":%q,\"partition\":3,\"from\":42,\"to\":1000}\n\n", evil)
			fmt.Fprintf(w, "event: problem\ndata: {\"detail\":%q}\n\n", evil)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}),
		"/subscriptions/billing/pause": object{"id": "billing", "state": "paused"},
		"/subscriptions/billing/test":  failure,
	}
}

// Each view shows what the gateway answers, as text, in both colour schemes and
// on a narrow screen, and everybody can use it.
func TestConsoleViews(t *testing.T) {
	tab, b := browser(t), kafkatest.Embedded(t)
	g := start(t, b, "127.0.0.1:0", "")
	l := look(t, tab, front(t, g, cannedAnswers()))
	for _, view := range []struct {
		name, hash, heading string
		texts               []string
	}{
		{"streams", "#/streams", "Streams", []string{evil, "orders.eu", "3 streams", "/s"}},
		{"stream", "#/streams/orders.eu", "orders.eu", []string{"1 of 3 in sync", "1.0 GiB", "max.message.bytes", "/s now"}},
		{"publish", "#/streams/orders.eu/publish", "Publish to orders.eu", []string{"Checked against Order:1", evil}},
		{"tail", "#/tail", "Tail", []string{"Streams"}},
		{"subscriptions", "#/subscriptions", "Subscriptions", []string{"billing", "active, slowed", "1,234"}},
		{"subscription", "#/subscriptions/billing", "billing", []string{"Dead letters", "failed", "Pause", "Send a test"}},
		{"groups", "#/groups", "Groups", []string{evil, "shop", "Stable"}},
		{"group", "#/groups/shop", "shop", []string{"orders.eu", "broker 1"}},
		{"brokers", "#/brokers", "Brokers", []string{evil, "disconnected", "1.2ms"}},
		{"broker", "#/brokers/1", "Broker 1", []string{"Produce", evil}},
	} {
		l.appearance(t, "light", 1280)
		l.opens(t, view.hash, view.heading)
		l.sees(t, view.texts...)
		l.everybodyCanUse(t, view.name+", light")
		l.shoot(t, view.name+"-light")
		l.appearance(t, "dark", 1280)
		l.everybodyCanUse(t, view.name+", dark", "color-contrast") // all else is the same
		l.shoot(t, view.name+"-dark")
		l.appearance(t, "light", 360)
		l.fits(t, view.name+", narrow")
		l.shoot(t, view.name+"-narrow")
		l.unhacked(t)
	}
	l.appearance(t, "light", 1280)
	l.opens(t, "#/tail/busy?from=earliest", "Tail of busy")
	l.sees(t, "702 came, the newest 500 are kept", "busy 0/699", "Gap: of "+evil+", partition 3, the offsets from 42 to 1000")
	if rows := evaluate[int](t, tab, `document.querySelectorAll('.tail tbody tr').length`); rows != 500 {
		t.Errorf("%d rows are kept", rows)
	}
	l.clicks(t, "busy 0/699")
	l.sees(t, `"`+evil+`"`)
	l.shoot(t, "tail-many")
	l.unhacked(t)

	l.opens(t, "#/subscriptions/billing", "billing")
	l.clicks(t, "Send a test")
	l.sees(t, "The test delivery: failed, the endpoint answered "+evil)
	l.clicks(t, "Pause")
	l.sees(t, "Deliveries are paused")
	l.unhacked(t)
}

// What a gateway does not have is said, and an empty one says what to do next.
func TestConsoleOfLittle(t *testing.T) {
	tab, b := browser(t), kafkatest.Embedded(t)
	g := start(t, b, "127.0.0.1:0", "")
	none := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		writeJSON(w, object{"type": "/problems/not-found", "title": "Nothing here", "status": 404, "detail": "there is nothing at this path"})
	})
	asksWho := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user == "ada" && password == "pässword" {
			writeJSON(w, object{"principal": "user:ada", "publish": list{}, "subscribe": list{"*"}, "manage": list{"*"}, "schemas": list{}})
			return
		}
		w.Header().Add("WWW-Authenticate", `Bearer realm="sluice"`)
		w.WriteHeader(http.StatusUnauthorized)
		writeJSON(w, object{"type": "/problems/unauthenticated", "title": "Authentication is needed", "status": 401, "detail": "send the header Authorization with the value Bearer and your token, or Basic and your user name and password of Kafka"})
	})
	l := look(t, tab, front(t, g, map[string]any{"/caller": asksWho, "/cluster": none, "/groups": none}))
	l.fills(t, "User name", "ada")
	l.fills(t, "Password", "pässword")
	l.shoot(t, "sign-in-password")
	evaluate[bool](t, tab, control+`('Password').form.requestSubmit() ?? true`)
	l.sees(t, "There are no streams yet", `curl -H "Authorization: $CREDENTIALS" http://127.0.0.1:`)
	l.shoot(t, "empty")
	l.opens(t, "#/groups", "Groups")
	l.sees(t, "Groups: not offered by this gateway")
	l.opens(t, "#/brokers", "Brokers")
	l.sees(t, "Brokers: not offered by this gateway")
	l.opens(t, "#/subscriptions", "Subscriptions")
	l.sees(t, "There are no subscriptions", "curl ")
	l.opens(t, "#/nonsense/%zz", "Streams")
	l.modules(t)
}

// modules checks that the page makes of JSON and patterns what the gateway makes
// of them.
func (l *looker) modules(t *testing.T) {
	t.Helper()
	for script, want := range map[string]string{
		`json.pretty('{"a":[1.00,{"b":{}},[]],"c":"x,\\"{"}')`:                                             "{\n  \"a\": [\n    1.00,\n    {\n      \"b\": {}\n    },\n    []\n  ],\n  \"c\": \"x,\\\"{\"\n}",
		`json.compact(' { "a" : [ 1 , 12345678901234567890 ] , "b" : " x " } ')`:                           `{"a":[1,12345678901234567890],"b":" x "}`,
		`json.members('{"data":{"data":1,"x":[2]},"a b":"}","n":1.0}').get('data')`:                        `{"data":1,"x":[2]}`,
		`json.members('{"data":{"data":1,"x":[2]},"a b":"}","n":1.0}').get('a b')`:                         `"}"`,
		`json.members('{"data":{"data":1,"x":[2]},"a b":"}","n":1.0}').get('n')`:                           `1.0`,
		`String(json.members('[1,2]').size)`:                                                               "0",
		`['-0', '1e400', '12.50'].map(json.isNumber).join()`:                                               "true,true,true",
		`['01', '+1', '1.', '.5', 'NaN', '', '1 '].map(json.isNumber).join()`:                              "false,false,false,false,false,false,false",
		`['orders', 'orders.eu', 'ordersXeu'].map(s => pattern.matches(['orders', 'orders.*'], s)).join()`: "true,true,false",
		`['a1', 'b1', 'c1', 'a12', 'a'].map(s => pattern.matches(['[ab]?'], s)).join()`:                    "true,true,false,false,false",
		`['a', 'b', ']', '[!'].map(s => pattern.matches(['[!a]'], s)).join()`:                              "false,true,true,false",
		`['[', '[x', 'x'].map(s => pattern.matches(['[', '[z-a]'], s)).join()`:                             "true,false,false",
	} {
		got := evaluate[string](t, l.tab, `Promise.all([import('/console/jsontext.js'), import('/console/pattern.js')]).then(([json, pattern]) => `+script+`)`)
		if got != want {
			t.Errorf("%s: got %s, want %s", script, got, want)
		}
	}
}
