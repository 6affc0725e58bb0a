#!/usr/bin/env node
// follow.mjs [PATTERN [FROM]]: prints the records of streams as they come, with
// the fetch of Node 20; after a cut it goes on where it was.
const [pattern = 'readings', from = 'latest'] = process.argv.slice(2)
const gateway = process.env.SLUICE_URL ?? 'http://127.0.0.1:8080'
const url = `${gateway}/streams/${encodeURIComponent(pattern)}/events?${new URLSearchParams({ from })}`
const headers = {} // with the id of the last event that was printed; it is the position after it

for (;; await new Promise((done) => setTimeout(done, 2000))) {
  try {
    const quiet = new AbortController() // a gateway that lives sends something every 15 seconds
    const timer = setTimeout(() => quiet.abort(), 45_000)
    const answer = await fetch(url, { headers, signal: quiet.signal })
    if (answer.status >= 400 && answer.status < 500) {
      console.error(await answer.text())
      process.exit(1) // it will not do better another time
    }
    let rest = ''
    for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
      timer.refresh()
      const blocks = (rest + text).split('\n\n') // an empty line ends an event
      rest = blocks.pop()
      for (const block of answer.ok ? blocks : []) {
        const { id, event = 'record', data } = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s, 2)))
        if (data) console.log(event, data) // one without data tells a position
        if (id) headers['Last-Event-ID'] = id
      }
    }
  } catch {} // cut off, or nobody there
}
