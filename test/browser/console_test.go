package browser_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"sluice/internal/kafkatest"
)

// evil is what runs where it is taken for HTML, and is harmless as text.
const evil = `<img src=x onerror=window.hacked=1>`

// orders is the schema of the tests, with one field of each kind.
const orders = `{"schema":{"type":"object","required":["id"],"properties":{
	"id":{"type":"integer"},"note":{"type":"string"},"express":{"type":"boolean"},"size":{"enum":["small","large"]},
	"total":{"type":["number","null"]},"tags":{"type":"array","items":{"type":"string"}},
	"customer":{"$ref":"#/$defs/customer"}},
	"$defs":{"customer":{"type":"object","required":["name"],"properties":{"name":{"type":"string","minLength":2}}}}},
	"streams":["orders","other"]}`

// unhacked fails where something published was taken for more than text.
func (l *looker) unhacked(t *testing.T) {
	t.Helper()
	if evaluate[bool](t, l.tab, `'hacked' in window || document.querySelector('main img, main script, main iframe') !== null`) {
		t.Error("what was published became an element")
	}
}

// What is published by the form arrives in the tail as it was typed, and as
// text, whatever it is.
func TestConsolePublishesAndTails(t *testing.T) {
	tab, b := browser(t), kafkatest.Embedded(t)
	g := start(t, b, "127.0.0.1:0", "")
	send(t, "POST", g.url+"/schemas/Order/versions", orders)
	l := look(t, tab, g.url)
	l.sees(t, "orders", "other", "2 streams", "Order:1")
	l.fills(t, "Filter by name", "ord")
	l.sees(t, "1 of 2 streams")

	l.clicks(t, "orders")
	l.sees(t, "in an envelope", "\"minLength\": 2")
	l.clicks(t, "Publish")
	l.sees(t, "Checked against Order:1")
	l.fills(t, "id", "1.5")
	l.fills(t, "name", "x")
	l.clicks(t, "Check only")
	l.await(t, fmt.Sprintf(`['id', 'name'].every(label => %s(label).getAttribute('aria-invalid') === 'true' && document.getElementById(%[1]s(label).id + '-wrong').textContent !== '')`, control))
	l.shoot(t, "publish-violations")

	const big = "123456789012345678901234567890"
	l.fills(t, "id", big)
	l.fills(t, "name", "Ada")
	l.fills(t, "total", "1.50")
	l.fills(t, "express", "true")
	l.fills(t, "size", `"large"`)
	l.fills(t, "note", evil)
	l.clicks(t, "Add to tags")
	l.fills(t, "tags item", "a")
	l.clicks(t, "Check only")
	l.sees(t, "It matches")
	l.fills(t, "Key", evil)
	l.clicks(t, "Publish")
	l.sees(t, "Stored in partition 0 at offset 0")

	l.clicks(t, "Tail the stream")
	l.sees(t, "orders 0/0", "following", "1 came")
	l.clicks(t, "orders 0/0")
	l.sees(t, evil, `"id": `+big, `"total": 1.50`, `"express": true`, `"size": "large"`, `"name": "Ada"`)
	l.unhacked(t)
	l.shoot(t, "tail-record")
	for _, want := range b.Consume(t, b.Prefix()+"orders", 1) {
		data := `{"id":` + big + `,"note":"` + evil + `","express":true,"size":"large","total":1.50,"tags":["a"],"customer":{"name":"Ada"}}`
		if got := string(want.Value); !strings.Contains(got, data) || string(want.Key) != evil {
			t.Errorf("stored %s with the key %s", got, want.Key)
		}
	}
	l.everybodyCanUse(t, "tail")
}

// A pause leaves nothing out, and what is wrong with a filter is told.
func TestConsoleTailPauses(t *testing.T) {
	tab, b := browser(t), kafkatest.Embedded(t)
	g := start(t, b, "127.0.0.1:0", "")
	send(t, "POST", g.url+"/schemas/N/versions", `{"schema":true,"streams":["numbers"]}`)
	l := look(t, tab, g.url)
	l.opens(t, "#/tail/numbers", "Tail of numbers")
	l.sees(t, "following")
	l.clicks(t, "Pause")
	l.sees(t, "paused")
	for n := range 3 {
		send(t, "POST", g.url+"/streams/numbers", fmt.Sprintf(`{"n":%d}`, n), "Content-Type: application/json")
	}
	l.clicks(t, "Resume")
	l.sees(t, "3 came", "numbers 0/0", "numbers 0/2")

	l.opens(t, "#/tail/num%2A?from=earliest&filter=record.data.n+%3E+1.0", "Tail of num*")
	l.sees(t, "1 came", "numbers 0/2")
	l.opens(t, "#/tail/numbers?from=earliest&view=data", "Tail of numbers")
	l.sees(t, "3 came", `{"n":2}`)
	l.fills(t, "Filter", "record.data.n >")
	l.clicks(t, "Follow")
	l.sees(t, "the filter is wrong at character", "not following")
	l.shoot(t, "tail-filter-error")
	l.opens(t, "#/tail/nothing", "Tail of nothing")
	l.sees(t, "not following", "No such stream")
}

// All of it can be done without a mouse.
func TestConsoleByKeyboard(t *testing.T) {
	tab, b := browser(t), kafkatest.Embedded(t)
	g := start(t, b, "127.0.0.1:0", "")
	send(t, "POST", g.url+"/schemas/Order/versions", orders)
	l := look(t, tab, g.url)
	l.sees(t, "orders")
	focused := func() string {
		return evaluate[string](t, tab, `(e => e.labels?.[0]?.textContent ?? e.textContent)(document.activeElement).trim()`)
	}
	// to presses Tab until something has the focus, which is always visible.
	to := func(text string) {
		t.Helper()
		for range 60 {
			l.presses(t, kb.Tab)
			if evaluate[bool](t, tab, `document.activeElement === document.body`) {
				continue // the browser's own part of the round
			}
			if outline := evaluate[string](t, tab, `getComputedStyle(document.activeElement).outlineStyle`); outline == "none" {
				t.Errorf("%q has the focus, and nothing shows it", focused())
			}
			if focused() == text {
				return
			}
		}
		t.Fatalf("Tab does not lead to %q; the focus is on %q", text, focused())
	}
	heading := func(text string) {
		t.Helper()
		l.await(t, fmt.Sprintf(`document.activeElement.localName === 'h1' && document.activeElement.textContent === %q`, text))
	}
	to("Skip to the content")
	to("orders")
	l.presses(t, kb.Enter)
	heading("orders")
	to("Publish")
	l.presses(t, kb.Enter)
	heading("Publish to orders")
	l.sees(t, "Checked against")
	to("id")
	l.presses(t, "abc"+kb.Enter)
	l.sees(t, "is not a number")
	to("id") // from the message, all the way round
	evaluate[bool](t, tab, `(document.activeElement.select(), true)`)
	l.presses(t, "7"+kb.Enter)
	l.sees(t, "Stored in partition 0 at offset 0")
	to("Tail the stream")
	l.presses(t, kb.Enter)
	heading("Tail of orders")
	l.sees(t, "orders 0/0")
	to("orders 0/0")
	l.presses(t, kb.Enter)
	l.await(t, `document.activeElement.localName === 'h2'`)
	l.sees(t, `"id": 7`)
	l.presses(t, kb.Escape)
	if got := focused(); got != "orders 0/0" {
		t.Errorf("after Escape the focus is on %q", got)
	}
}

// Who may only read is offered only that; who is nobody sees nothing.
func TestConsoleRights(t *testing.T) {
	tab, b := browser(t), kafkatest.Embedded(t)
	sum := func(token string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(token))) }
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	err := os.WriteFile(path, []byte(`auth:
  tokens:
    - {name: reader, sha256: `+sum("reads")+`}
    - {name: owner, sha256: `+sum("owns")+`}
    - {name: stranger, sha256: `+sum("strange")+`}
  rules:
    - {principals: ["token:reader"], actions: [subscribe], streams: ["ord*"]}
    - {principals: ["token:owner"], actions: [publish, subscribe, manage], streams: ["*"], schemas: ["*"]}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, b, "127.0.0.1:0", "", "--config", path)
	owner := "Authorization: Bearer owns"
	send(t, "POST", g.url+"/schemas/Order/versions", orders, owner)
	send(t, "POST", g.url+"/streams/orders", `{"id":1}`, owner)

	l := look(t, tab, g.url)
	l.sees(t, "Sign in")
	l.shoot(t, "sign-in")
	l.fills(t, "Token", "wrong")
	l.presses(t, kb.Enter)
	l.sees(t, "does not take these credentials")
	l.fills(t, "Token", "strange")
	l.clicks(t, "Sign in")
	l.sees(t, "Nothing here is for you yet", "token:stranger may do nothing")
	l.clicks(t, "Sign in as somebody else")
	l.fills(t, "Token", "reads")
	l.clicks(t, "Sign in")
	l.sees(t, "orders", "1 stream")
	l.await(t, `document.getElementById('who').textContent.includes('token:reader')`)
	if text := evaluate[string](t, tab, `document.body.innerText`); strings.Contains(text, "other") {
		t.Error("the reader sees a stream of others")
	}
	l.clicks(t, "orders")
	l.sees(t, "Order:1")
	if l.shows(t, "Publish") || !l.shows(t, "Tail") {
		t.Error("the reader is offered to publish, or not to read")
	}
	l.opens(t, "#/streams/orders/publish", "Publish to orders")
	l.sees(t, "You may not do this")
	if evaluate[bool](t, tab, `document.querySelector('main form') !== null`) {
		t.Error("the reader is given the form")
	}
	l.shoot(t, "publish-forbidden")
	l.opens(t, "#/tail/orders?from=earliest", "Tail of orders")
	l.sees(t, "orders 0/0", "following")
	l.opens(t, "#/tail/other", "Tail of other")
	l.sees(t, "You may not do this", "token:reader")
	if stored := evaluate[string](t, tab, `document.cookie + JSON.stringify(localStorage) + window.location.href`); strings.Contains(stored, "reads") {
		t.Errorf("the token is kept where it outlives the tab, or is shown: %s", stored)
	}
	l.clicks(t, "Sign out")
	l.sees(t, "Paste the token")
}
