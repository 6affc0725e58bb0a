// How fast streams grow: how far the end offsets of all partitions moved
// between two looks. Markers of transactions have offsets too, so it is a
// little more than the records where producers use transactions.
import { get, path } from './api.js'

const kept = 30 // looks that a line shows

export const ratesAre = 'Rates: how far the end offsets of all partitions moved between two looks, a few seconds apart, in records per second. Markers of transactions count too. Nothing is asked while this tab is hidden.'

export class Rates {
  #last = new Map() // stream to {end, at, rate, rates, records}

  // look asks for a stream's offsets; it gives its partitions.
  async look(stream, signal) {
    const { partitions } = await get(path`/streams/${stream}/partitions`, signal)
    const at = performance.now()
    const end = sum(partitions, 'end')
    const before = this.#last.get(stream)
    const rates = before?.rates ?? []
    let rate = null
    if (before && end >= before.end && at > before.at) { // below it, the stream was made anew
      rate = (end - before.end) / (at - before.at) * 1000
      rates.push(rate)
      if (rates.length > kept) rates.shift()
    }
    this.#last.set(stream, { end, at, rate, rates, records: end - sum(partitions, 'begin') })
    return partitions
  }

  rate(stream) {
    return this.#last.get(stream)?.rate ?? null
  }

  history(stream) {
    return this.#last.get(stream)?.rates ?? []
  }

  records(stream) {
    return this.#last.get(stream)?.records ?? null
  }
}

function sum(partitions, member) {
  return partitions.reduce((n, p) => n + (p[member] ?? 0), 0)
}

// perSecond writes a rate.
export function perSecond(rate) {
  if (rate === null) return '–'
  return `${rate >= 100 || rate === 0 ? Math.round(rate).toLocaleString('en') : rate.toPrecision(2)}/s`
}

// line gives the points of a small drawing of rates, 60 by 16.
export function line(rates) {
  const most = Math.max(...rates, 0.001)
  return rates.map((r, i) => `${(60 - (rates.length - 1 - i) * 2).toFixed(0)},${(15 - r / most * 13).toFixed(1)}`).join(' ')
}
