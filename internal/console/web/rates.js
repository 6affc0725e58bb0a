// How fast streams grow: how far the end offsets of all partitions moved
// between two looks. Markers of transactions have offsets too, so it is a
// little more than the records where producers use transactions.
import { get, path } from './api.js'

const kept = 30 // looks that a line shows

export const ratesAre = 'Rates: how far the end offsets of all partitions moved between two looks, a few seconds apart, in records per second. Markers of transactions count too. Nothing is asked while this tab is hidden.'

export class Rates {
  #last = new Map() // stream to {ends, at, rate, rates, records}

  // look asks for a stream's offsets; it gives its partitions.
  async look(stream, signal) {
    const { partitions } = await get(path`/streams/${stream}/partitions`, signal)
    const at = performance.now()
    const ends = new Map(partitions.map(p => [p.partition, p.end]))
    const before = this.#last.get(stream)
    const moved = before ? movement(before.ends, ends) : null
    const rate = moved === null ? null : moved / (at - before.at) * 1000
    const rates = [...(before?.rates ?? []), ...(rate === null ? [] : [rate])].slice(-kept)
    this.#last.set(stream, { ends, at, rate, rates, records: records(partitions) })
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

// movement gives how far the ends moved; null where that is not known: a
// partition has no leader that tells its end, or the stream was made anew.
function movement(before, now) {
  let moved = 0
  for (const [partition, end] of now) {
    const was = before.get(partition) ?? (before.has(partition) ? null : 0) // partitions are added empty
    if (end === null || was === null || end < was) return null
    moved += end - was
  }
  return moved
}

// records gives how many records there are at most; null where a partition does
// not tell.
function records(partitions) {
  if (partitions.some(p => p.begin === null || p.end === null)) return null
  return partitions.reduce((n, p) => n + p.end - p.begin, 0)
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
