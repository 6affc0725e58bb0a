// Asking again and again, as long as anybody looks.
import { Problem } from './api.js'

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
      if (!(e instanceof Problem)) reportError(e) // a fault of this page
      slower = Math.min(slower * 2, 8)
    }
    await pause(every * slower, signal)
  }
}

// shown waits until the tab is shown.
const shown = signal => until(signal, (end, stopped) => document.addEventListener('visibilitychange', end, { signal: stopped }))

const pause = (ms, signal) => until(signal, (end, stopped) => {
  const timer = setTimeout(end, ms)
  stopped.addEventListener('abort', () => clearTimeout(timer))
})

// until waits until what begin sets up calls end, or the signal aborts; it
// leaves no listener behind.
function until(signal, begin) {
  return new Promise(done => {
    const stop = new AbortController()
    const end = () => {
      stop.abort()
      done()
    }
    signal.addEventListener('abort', end, { signal: stop.signal })
    begin(end, stop.signal)
  })
}
