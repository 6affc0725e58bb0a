// Asking again and again, as long as anybody looks.

// poll calls f now and `every` milliseconds after it ended, until the signal
// aborts. While the tab is hidden it asks nothing, and at once when it is shown
// again. A failure makes the pauses longer, up to eight times; f tells of it
// itself.
export async function poll(f, every, signal) {
  let slower = 1
  while (!signal.aborted) {
    if (document.hidden) {
      await shown(signal)
      continue
    }
    try {
      await f(signal)
      slower = 1
    } catch (e) {
      if (signal.aborted) return
      slower = Math.min(slower * 2, 8)
    }
    await pause(every * slower, signal)
  }
}

function shown(signal) {
  return new Promise(done => {
    const stop = new AbortController()
    const end = () => {
      stop.abort()
      done()
    }
    document.addEventListener('visibilitychange', end, { signal: stop.signal })
    signal.addEventListener('abort', end, { signal: stop.signal })
  })
}

function pause(ms, signal) {
  return new Promise(done => {
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      done()
    }, { once: true })
  })
}
