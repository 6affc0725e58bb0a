package main

import (
	"context"
	"fmt"
	"net/http"
)

// payload is the record of all publishing: 200 bytes of JSON.
const payload = `{"id":1234567,"name":"A customer's name, not short","amount":1299.95,"currency":"EUR","paid":true,"items":[{"sku":"AB-1","n":2},{"sku":"CD-2","n":1}],"note":"what people write into such a field..."}`

// schema is what Sluice checks it against.
const schema = `{"type":"object","required":["id","name","items"],"properties":{"id":{"type":"integer"},"name":{"type":"string","maxLength":100},"amount":{"type":"number","minimum":0},"currency":{"enum":["EUR","USD"]},"paid":{"type":"boolean"},"items":{"type":"array","items":{"type":"object","required":["sku","n"],"properties":{"sku":{"type":"string"},"n":{"type":"integer","minimum":1}}}},"note":{"type":"string"}}}`

// prepare starts a party and makes what it publishes to.
func (p *party) prepare(ctx context.Context, k *broker, o options) error {
	if err := p.start(ctx); err != nil {
		return err
	}
	if p.Name == "sluice" {
		if err := call(ctx, http.MethodPost, p.Base+"/schemas/Bench/versions", fmt.Sprintf(`{"schema":%s}`, schema)); err != nil {
			return err
		}
		return call(ctx, http.MethodPut, p.Base+"/streams/"+p.Topic, `{"schema":"Bench:1","partitions":6}`)
	}
	if !p.Kafka {
		return nil
	}
	_, err := k.topic(ctx, "publish-"+p.Name, 6)
	return err
}
