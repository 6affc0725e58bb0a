// One stream: what it is, its schema, its partitions.
import { get, may, path } from './api.js'
import { code, curl, definitions, fill, h, region } from './dom.js'
import { pretty } from './jsontext.js'
import { poll } from './poll.js'
import { perSecond, Rates, ratesAre } from './rates.js'
import { link } from './router.js'
import { schemaText } from './schemas.js'
import { badge, bytes, command, details, failed, number, preJSON, setBadge, when } from './shared.js'
import { table } from './table.js'

const every = 3_000

// streamView shows a stream.
export function streamView(el, id, signal) {
  const facts = h('div')
  const schema = h('div')
  const parts = h('div')
  fill(el, h('p', { class: 'crumbs' }, h('a', { href: '#/streams' }, 'Streams')), h('h1', {}, id),
    h('p', { class: 'tools' },
      may('subscribe', id) ? h('a', { class: 'button', href: link('tail', id) }, 'Tail') : null,
      may('publish', id) ? h('a', { class: 'button', href: link('streams', id, 'publish') }, 'Publish') : null),
    facts, region('Partitions', parts, h('p', { class: 'hint' }, ratesAre)), region('Schema', schema), settings(id, signal), readIt(id))
  describe(id, facts, schema, signal)
  partitions(id, parts, signal)
}

async function describe(id, facts, schema, signal) {
  let s
  try {
    s = await get(path`/streams/${id}`, signal)
  } catch (e) {
    if (!signal.aborted) failed(facts, 'Streams')(e)
    return
  }
  fill(facts, definitions([
    ['Schema', s.schema ? code(s.schema) : 'none: records are read only'],
    s.schema ? ['Stored', s.envelope ? 'with the schema’s name, in an envelope' : 'the data alone, the schema in a header'] : null,
    ['Partitions', number(s.partitions)], ['Replicas of each', number(s.replication_factor)],
    ['Retention', s.retention ?? 'the broker’s'], ['Cleanup', s.cleanup_policy ?? 'the broker’s'],
    ...Object.entries(s.config ?? {}).sort().map(([name, value]) => [name, code(value)]),
  ]))
  if (!s.schema) return void fill(schema, h('p', {}, 'The stream is bound to no schema, so nothing can be published to it here. Whoever may manage it binds it:'),
    curl(command(`-X PUT ${window.location.origin}${path`/streams/${id}`} -d '{"schema":"Order:1"}'`)))
  try {
    const v = await schemaText(s.schema, signal)
    fill(schema, h('p', {}, code(`${v.name}:${v.version}`), ` registered ${when(v.registered)}`), preJSON(`The schema ${v.name}:${v.version}`, pretty(v.text)))
  } catch (e) {
    if (!signal.aborted) failed(schema, 'Schemas')(e)
  }
}

function partitions(id, place, signal) {
  const rates = new Rates()
  const trouble = h('div')
  const rate = h('p', {})
  const list = table({
    caption: `Partitions of ${id}`, key: p => p.partition, empty: 'No partitions are known yet.',
    columns: [
      { label: 'Partition', number: true, value: p => p.partition },
      { label: 'From', number: true, value: p => p.begin, show: p => number(p.begin) },
      { label: 'End', number: true, value: p => p.end, show: p => number(p.end) },
      { label: 'Size', number: true, value: p => p.size_bytes, show: p => bytes(p.size_bytes) },
      { label: 'Leader', number: true, value: p => p.leader, show: p => (p.leader ?? -1) < 0 ? 'none' : String(p.leader) },
      { label: 'Replicas', sorts: false, value: replicaState, make: badge, update: showReplicas },
    ],
  })
  fill(place, trouble, rate, list.el)
  poll(async () => {
    try {
      list.update(await rates.look(id, signal))
      fill(trouble)
      fill(rate, h('strong', {}, perSecond(rates.rate(id))), ` now, ${number(rates.records(id))} records at most`)
    } catch (e) {
      if (!signal.aborted) failed(trouble, 'Partitions and rates')(e)
      throw e
    }
  }, every, signal)
}

function replicaState(p) {
  return `${p.in_sync_replicas?.length ?? 0} of ${p.replicas?.length ?? 0} in sync`
}

function showReplicas(el, p) {
  setBadge(el, replicaState(p), p.in_sync_replicas?.length === p.replicas?.length ? 'good' : 'warn')
}

// settings shows all settings that are in force, when somebody wants to see them.
function settings(id, signal) {
  const place = h('div')
  const list = table({
    caption: `Settings of ${id}`, key: s => s.name, empty: 'There are none.',
    columns: [
      { label: 'Setting', value: s => s.name }, { label: 'Value', value: s => s.value, show: s => s.sensitive ? 'kept secret' : s.value ?? 'none' },
      { label: 'From', value: s => s.source }, { label: 'Meaning', wide: true, value: s => s.documentation ?? '' },
    ],
  })
  const el = details('All settings', place, list.el)
  el.addEventListener('toggle', () => {
    if (el.open) get(path`/streams/${id}/config`, signal).then(a => list.update(a.config), failed(place, 'Settings'))
  })
  return el
}

// readIt shows the commands for the same without this page.
function readIt(id) {
  const at = window.location.origin
  return region('Without this page',
    curl(command(`-N '${at}${path`/streams/${id}/events`}?from=earliest'`)),
    curl(command(`'${at}${path`/streams/${id}/records`}?limit=10'`)))
}
