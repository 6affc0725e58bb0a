// Webhook subscriptions: how far they are, what failed last, and the buttons of
// those who may use them.
import { get, inTurn, may, path, post } from './api.js'
import { announce, button, code, curl, definitions, fill, h, region, setText, show } from './dom.js'
import { poll } from './poll.js'
import { link } from './router.js'
import { badge, command, details, failed, filterBox, number, preJSON, problemNote, setBadge, when } from './shared.js'
import { table } from './table.js'

const every = 5_000
const statuses = 100 // that are asked for one by one, of those that the filter leaves

// subscriptionsView shows the list, or with an id one subscription.
export function subscriptionsView(el, [id], parameters, signal) {
  if (id) oneView(el, id, signal)
  else listView(el, signal)
}

function listView(el, signal) {
  const status = new Map()
  let subscriptions = []
  let wanted = ''
  const trouble = h('div')
  const list = table({
    caption: 'Subscriptions', key: s => s.id, empty: nothing(),
    columns: [
      { label: 'Subscription', value: s => s.id, make: s => h('a', { href: link('subscriptions', s.id) }, s.id) },
      { label: 'State', value: s => stateOf(s, status.get(s.id)), make: badge, update: (b, s) => showState(b, s, status.get(s.id)) },
      { label: 'Lag', number: true, value: s => status.get(s.id)?.lag, show: s => number(status.get(s.id)?.lag) },
      { label: 'Streams', wide: true, value: s => s.streams },
      { label: 'Endpoint', wide: true, value: s => s.endpoint.url },
      { label: 'Last error', wide: true, value: s => lastError(status.get(s.id)) },
    ],
  })
  const shown = () => subscriptions.filter(s => `${s.id} ${s.streams} ${s.endpoint.url}`.toLowerCase().includes(wanted))
  const refresh = () => list.update(shown())
  fill(el, h('h1', {}, 'Subscriptions'), h('div', { class: 'tools' }, filterBox('Filter', text => {
    wanted = text
    refresh()
  })), trouble, list.el)
  poll(async () => {
    try {
      subscriptions = (await get('/subscriptions', signal)).subscriptions
      refresh()
      await inTurn(shown().slice(0, statuses), async s => {
        status.set(s.id, await get(path`/subscriptions/${s.id}/status`, signal).catch(() => status.get(s.id)))
      })
      if (signal.aborted) return
      fill(trouble)
      refresh()
    } catch (e) {
      if (!signal.aborted) failed(trouble, 'Subscriptions')(e)
      throw e
    }
  }, every, signal)
}

function nothing() {
  return [h('p', {}, 'There are no subscriptions that you may see. One pushes the records of streams to an endpoint:'),
    curl(command(`${window.location.origin}/subscriptions -d '{"id":"billing","streams":"orders.*","endpoint":{"url":"https://app.example/hooks"}}'`))]
}

function stateOf(s, status) {
  const state = status?.state ?? s.state
  const reason = status?.reason ?? s.reason
  return reason ? `${state}: ${reason}` : state
}

function showState(el, s, status) {
  const kind = { active: 'good', paused: 'warn', blocked: 'bad' }[status?.state ?? s.state]
  setBadge(el, stateOf(s, status) + (status?.slowed ? ', slowed' : ''), status?.slowed ? 'warn' : kind)
}

function lastError(status) {
  const e = status?.last_error
  return e ? `${when(e.at)}: ${e.detail ?? e.outcome}` : '–'
}

function oneView(el, id, signal) {
  const trouble = h('div')
  const acted = h('div')
  const facts = h('div')
  const all = preJSON('The whole subscription', '')
  const state = badge()
  const parts = partitionTable(id)
  const attempts = attemptTable(id)
  const again = () => Promise.all([get(path`/subscriptions/${id}`, signal), get(path`/subscriptions/${id}/status`, signal)])
  const refresh = async () => {
    try {
      const [s, status] = await again()
      showState(state, s, status)
      actions.update(s)
      show(facts, about(s, status))
      setText(all, JSON.stringify(s, null, 2))
      parts.update(status.partitions)
      attempts.update(status.attempts)
      fill(trouble)
    } catch (e) {
      if (!signal.aborted) failed(trouble, 'Subscriptions')(e)
      throw e
    }
  }
  const actions = buttons(id, acted, () => refresh().catch(() => {}))
  fill(el, h('p', { class: 'crumbs' }, h('a', { href: '#/subscriptions' }, 'Subscriptions')), h('h1', {}, id),
    h('p', { class: 'tools' }, state, actions.el), acted, trouble, facts, details('All of it', all),
    region('Partitions', parts.el), region('Last attempts', attempts.el))
  poll(refresh, every, signal)
}

function about(s, status) {
  return definitions([
    ['Streams', code(s.streams)], ['Endpoint', code(s.endpoint.url)], ['Lag', number(status.lag)], ['Dead letters', number(status.dead_letters)],
    ['Attempts under way', number(status.in_flight)], ['Waiting for another attempt', number(status.waiting)],
    ['Last success', when(status.last_success)], ['Last error', lastError(status)],
    s.filter ? ['Filter', code(s.filter)] : null, s.owner ? ['Owner', s.owner] : null,
    status.detail ? ['What to do', status.detail] : null,
  ])
}

// buttons are there for who may use them, as far as rights tell: whose the
// subscription is, the gateway decides.
function buttons(id, acted, changed) {
  const act = (name, done) => async () => {
    try {
      const answer = await post(path`/subscriptions/${id}/` + name)
      const text = done(answer)
      fill(acted, h('div', { class: 'note' }, text))
      announce(text)
    } catch (e) {
      fill(acted, problemNote(e))
    }
    changed()
  }
  const pause = button('Pause', act('pause', () => 'Deliveries are paused; the position stays.'))
  const resume = button('Resume', act('resume', () => 'Deliveries go on where they stopped.'))
  const test = button('Send a test', act('test', a => `The test delivery: ${a.outcome}${a.detail ? `, ${a.detail}` : ''} (${a.took}).`))
  const el = h('span', { class: 'tools' }, may('subscribe') ? [pause, resume, test] : null)
  const update = s => {
    pause.hidden = s.state !== 'active'
    resume.hidden = s.state === 'active'
  }
  return { el, update }
}

function partitionTable(id) {
  return table({
    caption: `Partitions of ${id}`, key: p => `${p.stream} ${p.partition}`, empty: 'No partitions yet.',
    columns: [
      { label: 'Stream', value: p => p.stream }, { label: 'Partition', number: true, value: p => p.partition },
      { label: 'Next', number: true, value: p => p.next, show: p => number(p.next) },
      { label: 'End', number: true, value: p => p.end, show: p => number(p.end) },
      { label: 'Lag', number: true, value: p => p.lag, show: p => number(p.lag) },
    ],
  })
}

function attemptTable(id) {
  return table({
    caption: `Last attempts of ${id}`, key: a => `${a.at} ${a.took} ${a.detail}`, empty: 'Nothing was delivered lately.', down: true,
    columns: [
      { label: 'Time', value: a => a.at, show: a => when(a.at) },
      { label: 'Outcome', value: a => a.outcome, make: badge, update: (b, a) => setBadge(b, a.outcome, a.outcome === 'delivered' ? 'good' : 'bad') },
      { label: 'Status', number: true, value: a => a.status, show: a => a.status ?? '–' },
      { label: 'Took', number: true, value: a => a.took }, { label: 'Detail', wide: true, value: a => a.detail, show: a => a.detail ?? '' },
    ],
  })
}
