// Consumer groups: members, and how far they are behind.
import { get, path } from './api.js'
import { curl, definitions, fill, h, region, show } from './dom.js'
import { poll } from './poll.js'
import { link } from './router.js'
import { badge, command, failed, filterBox, number, setBadge } from './shared.js'
import { table } from './table.js'

const every = 5_000

// groupsView shows the list, or with an id one group.
export function groupsView(el, [id], parameters, signal) {
  if (id) oneView(el, id, signal)
  else listView(el, signal)
}

function stateKind(state) {
  return { stable: 'good', dead: 'bad', empty: '', unknown: '' }[state?.toLowerCase()] ?? 'warn'
}

function listView(el, signal) {
  let groups = []
  let wanted = ''
  const trouble = h('div')
  const list = table({
    caption: 'Groups', key: g => g.id,
    empty: [h('p', {}, 'There are no consumer groups yet. Reading as a member makes one:'),
      curl(command(`-N '${window.location.origin}/streams/orders/events?group=shop'`))],
    columns: [
      { label: 'Group', value: g => g.id, make: g => h('a', { href: link('groups', g.id) }, g.id === '' ? '(empty name)' : g.id) },
      { label: 'State', value: g => g.state, make: badge, update: (b, g) => setBadge(b, g.state, stateKind(g.state)) },
      { label: 'Members', number: true, value: g => g.members, show: g => number(g.members) },
      { label: 'Protocol', wide: true, value: g => g.protocol },
    ],
  })
  const refresh = () => list.update(groups.filter(g => g.id.toLowerCase().includes(wanted)))
  fill(el, h('h1', {}, 'Groups'), h('div', { class: 'tools' }, filterBox('Filter', text => {
    wanted = text
    refresh()
  })), trouble, list.el)
  poll(async () => {
    try {
      groups = (await get('/groups', signal)).groups
      fill(trouble)
      refresh()
    } catch (e) {
      if (!signal.aborted) failed(trouble, 'Groups')(e)
      throw e
    }
  }, every, signal)
}

function oneView(el, id, signal) {
  const trouble = h('div')
  const facts = h('div')
  const state = badge()
  const members = memberTable(id)
  const parts = partitionTable(id)
  fill(el, h('p', { class: 'crumbs' }, h('a', { href: '#/groups' }, 'Groups')), h('h1', {}, id), h('p', {}, state), trouble, facts,
    region('Members', members.el), region('Partitions', parts.el))
  poll(async () => {
    try {
      const g = await get(path`/groups/${id}`, signal)
      setBadge(state, g.state, stateKind(g.state))
      show(facts, definitions([['Lag', number(g.lag)], ['Protocol', g.protocol || 'none'], g.assignor ? ['Assignor', g.assignor] : null, ['Coordinator', `broker ${g.coordinator}`]]))
      members.update(g.members)
      parts.update(g.partitions)
      fill(trouble)
    } catch (e) {
      if (!signal.aborted) failed(trouble, 'Groups')(e)
      throw e
    }
  }, every, signal)
}

function memberTable(id) {
  return table({
    caption: `Members of ${id}`, key: m => m.id, empty: 'The group has no members now.',
    columns: [
      { label: 'Client', value: m => m.client_id }, { label: 'Host', value: m => m.host },
      { label: 'Partitions', number: true, value: m => (m.assignment?.length ?? 0) + (m.other_partitions ?? 0) },
      { label: 'Reads', wide: true, value: m => (m.assignment ?? []).map(a => `${a.stream}/${a.partition}`).join(', ') },
      { label: 'Member', wide: true, value: m => m.id },
    ],
  })
}

function partitionTable(id) {
  return table({
    caption: `Partitions that ${id} reads`, key: p => `${p.stream} ${p.partition}`, empty: 'The group has committed nothing yet.',
    columns: [
      { label: 'Stream', value: p => p.stream }, { label: 'Partition', number: true, value: p => p.partition },
      { label: 'Committed', number: true, value: p => p.committed, show: p => number(p.committed) },
      { label: 'End', number: true, value: p => p.end, show: p => number(p.end) },
      { label: 'Lag', number: true, value: p => p.lag, show: p => number(p.lag) },
      { label: 'Member', wide: true, value: p => p.member, show: p => p.member ?? '–' },
    ],
  })
}
