#!/usr/bin/env node
// receiver.mjs: takes a subscription's deliveries, verifies who signed them
// (Standard Webhooks), and prints each record once. Node 20, nothing installed.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

const tolerance = 300 // seconds a delivery may be old, so that nobody sends it again later
const remember = 10_000 // ids, the oldest of which are forgotten
const maxBody = 16 << 20

const [, text = ''] = /^whsec_(.*)$/.exec(process.env.WEBHOOK_SECRET) ?? []
const key = Buffer.from(text, 'base64')
if (key.length < 24) { // with an empty one everybody could sign
  console.error("WEBHOOK_SECRET has to be the subscription's secret, whsec_…")
  process.exit(1)
}
const seen = new Set() // it keeps the order: the oldest id is the first

// signed says whether somebody who has the secret signed, a short while ago.
function signed(headers, body) {
  const id = headers['webhook-id'] ?? '', timestamp = headers['webhook-timestamp'] ?? ''
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= tolerance)) return false
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body) // the bytes as they came
  const want = Buffer.from('v1,' + mac.digest('base64'))
  return (headers['webhook-signature'] ?? '').split(' ').some((text) => { // two while a secret is changed
    const given = Buffer.from(text)
    return given.length === want.length && timingSafeEqual(given, want)
  })
}

// handle is where your work goes; it is not asynchronous, so that a repeat
// cannot come in between. An exception has the delivery repeated.
function handle(body) {
  const content = JSON.parse(body)
  for (const record of content.records ?? [content]) console.log(JSON.stringify(record)) // a record, or with max_records a batch
}

async function receive(request) {
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    chunks.push(chunk)
    if ((size += chunk.length) > maxBody) return 413
  }
  const body = Buffer.concat(chunks), id = request.headers['webhook-id']
  if (!signed(request.headers, body)) return 401 // a dead letter at once; 5xx is tried again
  if (seen.has(id)) return 204
  handle(body)
  seen.add(id)
  if (seen.size > remember) seen.delete(seen.values().next().value)
  return 204
}

createServer((request, response) => {
  receive(request).catch((error) => (console.error(error), 500))
    .then((status) => response.writeHead(status).end())
}).listen(Number(process.env.PORT ?? 9000), '127.0.0.1')
