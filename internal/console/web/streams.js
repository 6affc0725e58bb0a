// The list of streams, with live rates; a stream; publishing to it.
import { get, inTurn, may } from './api.js'
import { curl, fill, h, setText, show } from './dom.js'
import { poll } from './poll.js'
import { publishView } from './publish.js'
import { line, perSecond, Rates, ratesAre } from './rates.js'
import { link } from './router.js'
import { command, failed, filterBox, notOffered, number } from './shared.js'
import { streamView } from './stream.js'
import { table } from './table.js'

const listEvery = 15_000
const ratesEvery = 3_000

// streamsView shows the list, or with an id one stream.
export function streamsView(el, [id, part], parameters, signal) {
  if (id && part === 'publish') return publishView(el, id, signal)
  if (id) return streamView(el, id, signal)
  listView(el, signal)
}

function listView(el, signal) {
  const rates = new Rates()
  const visible = new Set()
  let streams = []
  let wanted = ''
  const list = table({ caption: 'Streams', key: s => s.id, columns: columns(rates), empty: [] })
  const askRates = once(() => poll(() => lookAt(rates, visible, rateTrouble, signal).then(refresh), ratesEvery, signal))
  const sight = watchSight(list, visible, signal, askRates)
  const trouble = h('div')
  const rateTrouble = h('div')
  const count = h('p', { class: 'hint', role: 'status' })
  const refresh = () => {
    const shown = streams.filter(s => s.id.toLowerCase().includes(wanted))
    list.setEmpty(nothing(streams.length > 0))
    list.update(shown)
    setText(count, `${shown.length === streams.length ? '' : `${shown.length} of `}${streams.length} ${streams.length === 1 ? 'stream' : 'streams'}`)
    sight(shown)
  }
  fill(el, h('h1', {}, 'Streams'),
    h('div', { class: 'tools' }, filterBox('Filter by name', text => {
      wanted = text
      refresh()
    }), count),
    trouble, list.el, rateTrouble, h('p', { class: 'hint' }, ratesAre))

  poll(async () => {
    try {
      streams = (await get('/streams', signal)).streams
      fill(trouble)
      refresh()
    } catch (e) {
      if (!signal.aborted) failed(trouble, 'The list of streams')(e)
      throw e
    }
  }, listEvery, signal)
}

function once(f) {
  let done = false
  return () => {
    if (!done) f()
    done = true
  }
}

function columns(rates) {
  return [
    { label: 'Stream', value: s => s.id, make: s => h('a', { href: link('streams', s.id) }, s.id) },
    { label: 'Rate', number: true, value: s => rates.rate(s.id), show: s => perSecond(rates.rate(s.id)) },
    { label: 'Lately', sorts: false, wide: true, value: () => 0, make: spark, update: (svg, s) => svg.firstChild.setAttribute('points', line(rates.history(s.id))) },
    { label: 'Records, at most', number: true, wide: true, value: s => rates.records(s.id), show: s => number(rates.records(s.id)) },
    { label: 'Schema', value: s => s.schema, show: s => s.schema ?? 'none' },
    { label: 'Partitions', number: true, wide: true, value: s => s.partitions, show: s => number(s.partitions) },
    { label: 'Retention', wide: true, value: s => s.retention, show: s => s.retention ?? 'the broker’s' },
  ]
}

function spark() {
  return h('svg', { class: 'spark', viewBox: '0 0 60 16', 'aria-hidden': 'true' }, h('polyline', { points: '' }))
}

// watchSight keeps which rows are in sight: only their rates are asked for.
function watchSight(list, visible, signal, changed) {
  const ids = new WeakMap()
  const observer = new IntersectionObserver(entries => {
    for (const e of entries) {
      if (e.isIntersecting) visible.add(ids.get(e.target))
      else visible.delete(ids.get(e.target))
    }
    changed()
  })
  signal.addEventListener('abort', () => observer.disconnect())
  return shown => {
    for (const s of shown) {
      const tr = list.rowOf(s.id)
      if (ids.has(tr)) continue
      ids.set(tr, s.id)
      observer.observe(tr)
    }
  }
}

async function lookAt(rates, visible, trouble, signal) {
  await inTurn(visible, async id => {
    try {
      await rates.look(id, signal)
      fill(trouble)
    } catch (e) {
      if (e.missing) {
        show(trouble, notOffered('Rates'))
        throw e
      }
      if (![400, 403, 404].includes(e.status)) throw e // those are about this stream alone
    }
  })
}

function nothing(filtered) {
  if (filtered) {
    return h('p', {}, 'No stream has this in its name.')
  }
  const at = window.location.origin
  if (!may('manage')) return h('p', {}, 'There is no stream here that you may see.')
  return [h('p', {}, 'There are no streams yet. Register a schema and make one with it:'),
    curl(command(`${at}/schemas/Order/versions -d '{"schema":{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}}},"streams":["orders"]}'`)),
    h('p', {}, 'Then publish a record:'),
    curl(command(`${at}/streams/orders -d '{"id":1}'`))]
}
