#!/usr/bin/env node
// follow.mjs [PATTERN [FROM]]: prints the records of streams as they come, with
// the fetch of Node 20; after a cut it goes on where it was.
const [pattern = 'readings', from = 'latest'] = process.argv.slice(2)
const gateway = process.env.SLUICE_URL ?? 'http://127.0.0.1:8080'
const url = `${gateway}/streams/${encodeURIComponent(pattern)}/events?${new URLSearchParams({ from })}`
let last // the id of the last event that was printed; it is the position after it
let retry = 2000

function handle(block) {
  const event = {}
  for (const line of block.split('\n')) {
    const [, field, value] = /^(\w*): ?(.*)$/.exec(line) ?? []
    if (field === 'data' && 'data' in event) event.data += '\n' + value
    else if (field) event[field] = value
  }
  if (event.event) console.error(event.event, event.data)
  else if ('data' in event) console.log(event.data)
  last = event.id ?? last
  retry = Number(event.retry ?? retry)
}

for (;;) {
  try {
    const quiet = new AbortController() // a gateway that lives sends something every 15 seconds
    let timer = setTimeout(() => quiet.abort(), 45_000)
    const answer = await fetch(url, { headers: last ? { 'Last-Event-ID': last } : {}, signal: quiet.signal })
    if (answer.status >= 400 && answer.status < 500) {
      console.error(answer.status, await answer.text())
      process.exit(1) // it will not do better another time
    }
    let rest = ''
    for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
      timer.refresh()
      const blocks = (rest + text).split('\n\n')
      rest = blocks.pop()
      if (answer.ok) blocks.forEach(handle)
    }
    clearTimeout(timer)
  } catch {} // cut off, or nobody there
  await new Promise((done) => setTimeout(done, retry))
}
