// The brokers, as the gateway's own connections see them.
import { get, path } from './api.js'
import { definitions, fill, h, region, show } from './dom.js'
import { poll } from './poll.js'
import { link } from './router.js'
import { badge, bytes, failed, number, setBadge, when } from './shared.js'
import { table } from './table.js'

const every = 5_000

// brokersView shows all brokers, or with an id what one of them understands.
export function brokersView(el, [id], parameters, signal) {
  if (id) versionsView(el, id, signal)
  else listView(el, signal)
}

function listView(el, signal) {
  const trouble = h('div')
  const facts = h('div')
  const list = table({ caption: 'Brokers', key: b => b.id, columns: columns(), empty: 'No broker is known yet.' })
  fill(el, h('h1', {}, 'Brokers'), trouble, facts, list.el)
  poll(async () => {
    try {
      const c = await get('/cluster', signal)
      show(facts, definitions([['Cluster', c.id ?? 'unknown'], ['Kafka', c.kafka_version || 'of an unknown version'], ['Controller', (c.controller ?? -1) < 0 ? 'unknown' : `broker ${c.controller}`]]))
      list.update(c.brokers)
      fill(trouble)
    } catch (e) {
      if (!signal.aborted) failed(trouble, 'Brokers')(e)
      throw e
    }
  }, every, signal)
}

// kindOf: a broker that was never needed has no connection either.
function kindOf(b) {
  return { ready: 'good', connecting: 'warn' }[b.state] ?? (b.last_error ? 'bad' : '')
}

function columns() {
  return [
    { label: 'Broker', number: true, value: b => b.id, make: b => h('a', { href: link('brokers', String(b.id)) }, String(b.id)) },
    { label: 'State', value: b => b.state, make: badge, update: (el, b) => setBadge(el, b.state, kindOf(b)) },
    { label: 'Address', value: b => `${b.host}:${b.port}` },
    { label: 'Role', value: b => b.controller ? 'controller' : '', wide: true },
    { label: 'Rack', value: b => b.rack, show: b => b.rack ?? '–', wide: true },
    { label: 'Median', number: true, value: b => b.round_trip?.p50, show: b => b.round_trip?.p50 ?? '–' },
    { label: '99 %', number: true, value: b => b.round_trip?.p99, show: b => b.round_trip?.p99 ?? '–', wide: true },
    { label: 'Sent', number: true, value: b => b.bytes_sent, show: b => bytes(b.bytes_sent), wide: true },
    { label: 'Received', number: true, value: b => b.bytes_received, show: b => bytes(b.bytes_received), wide: true },
    { label: 'In flight', number: true, value: b => b.in_flight, show: b => number(b.in_flight), wide: true },
    { label: 'Last error', value: b => b.last_error ? `${when(b.last_error.at)}: ${b.last_error.detail}` : '–', wide: true },
  ]
}

function versionsView(el, id, signal) {
  const trouble = h('div')
  const list = table({
    caption: `Requests that broker ${id} understands`, key: v => v.key, empty: 'Nothing is known yet.',
    columns: [
      { label: 'Key', number: true, value: v => v.key }, { label: 'Request', value: v => v.name, show: v => v.name ?? 'unknown' },
      { label: 'From', number: true, value: v => v.min }, { label: 'To', number: true, value: v => v.max },
    ],
  })
  fill(el, h('p', { class: 'crumbs' }, h('a', { href: '#/brokers' }, 'Brokers')), h('h1', {}, `Broker ${id}`), trouble, region('Requests it understands', list.el))
  get(path`/cluster/brokers/${id}/api-versions`, signal).then(a => list.update(a.api_versions), e => {
    if (!signal.aborted) failed(trouble, 'This')(e)
  })
}
