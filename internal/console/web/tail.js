// Records as they come, by EventSource.
import { may, path, query } from './api.js'
import { announce, button, field, fill, h, region, setText } from './dom.js'
import { Follower } from './follower.js'
import { link } from './router.js'
import { bytesText, partOfRecord, readRecord, recordDetails } from './record.js'
import { notOffered, number, problemNote } from './shared.js'

const most = 500 // rows that are kept

// tailView follows the streams of a pattern, or asks for one.
export function tailView(el, [pattern = ''], parameters, signal) {
  const form = tailForm(pattern, parameters)
  fill(el, h('h1', {}, pattern ? `Tail of ${pattern}` : 'Tail'), form)
  if (!may('subscribe')) {
    form.replaceWith(problemNote({ status: 403, message: 'No rule of the gateway allows you to read a stream.' }))
  } else if (pattern) {
    follow(el, pattern, parameters, signal)
  }
}

// tailForm asks what to follow. It is an address like any other view: a tail
// can be kept as a bookmark.
function tailForm(pattern, parameters) {
  const streams = h('input', { required: true, autocomplete: 'off', spellcheck: 'false', props: { value: pattern } })
  const from = h('input', { autocomplete: 'off', spellcheck: 'false', list: 'beginnings', props: { value: parameters.get('from') ?? 'latest' } })
  const filter = h('input', { autocomplete: 'off', spellcheck: 'false', class: 'mono', placeholder: 'record.data.total > 100.0', props: { value: parameters.get('filter') ?? '' } })
  const view = h('select', {}, ['record', 'data', 'value'].map(v => h('option', { value: v, selected: v === parameters.get('view') }, v)))
  const submit = event => {
    event.preventDefault()
    const to = link('tail', streams.value.trim()) + query({ from: from.value.trim(), filter: filter.value.trim(), view: view.value === 'record' ? '' : view.value })
    if (to === window.location.hash) window.dispatchEvent(new HashChangeEvent('hashchange'))
    else window.location.hash = to
  }
  return h('form', { class: 'fields', on: { submit } },
    field('Streams', streams, 'A stream, or a pattern such as orders.*'),
    field('From', from, 'latest, earliest, or a time such as 2026-01-31T12:00:00Z'),
    h('datalist', { id: 'beginnings' }, ['latest', 'earliest'].map(v => h('option', { value: v }))),
    field('Filter', filter, 'CEL over record; empty for every record'),
    field('View', view, 'The whole record, its data, or the stored bytes'),
    h('div', { class: 'field' }, h('button', { type: 'submit', class: 'primary' }, 'Follow')))
}

function follow(el, pattern, parameters, signal) {
  const state = h('span', { role: 'status' }, 'connecting')
  const counts = h('span', { class: 'hint' })
  const trouble = h('div')
  const view = parameters.get('view') ?? 'record'
  const read = (text, type) => () => view === 'record' || type === 'record' ? readRecord(text) : partOfRecord(text, view)
  const rows = new Rows(h('tbody'), counts, r => showRecord(detail, r))
  const detail = h('div', { class: 'detail', hidden: true })
  const follower = new Follower({
    streams: pattern, url: path`/streams/${pattern}/events`, parameters: Object.fromEntries(parameters),
    page: path`/streams/${pattern}/records`,
    record: (text, type) => rows.add({ record: read(text, type) }),
    notice: (kind, text) => {
      rows.add({ kind, text })
      announce(text)
    },
    state: text => {
      setText(state, text)
      setText(pause, follower.running ? 'Pause' : 'Resume')
      if (text === 'following') fill(trouble)
    },
    problem: e => {
      fill(trouble, e.missing ? notOffered('Following streams') : problemNote(e))
    },
  })
  const pause = button('Pause', () => {
    if (follower.running) follower.pause()
    else follower.start()
  })
  el.append(trouble,
    h('div', { class: 'tools' }, pause, button('Clear', () => rows.clear()), state, counts),
    h('div', { class: 'split' },
      h('div', { class: 'scroll', role: 'region', 'aria-label': 'Records, the newest first', tabindex: '0' },
        h('table', { class: 'tail' }, h('caption', { class: 'visually-hidden' }, 'Records, the newest first'),
          h('thead', {}, h('tr', {}, ['Place', 'Time (UTC)', 'Key', 'Data'].map(t => h('th', { scope: 'col' }, t)))), rows.body)), detail))
  signal.addEventListener('abort', () => {
    follower.pause()
    rows.stop()
  })
  follower.start()
}

// showRecord shows a record beside the list, and moves the focus there and back.
function showRecord(detail, { record, from }) {
  const close = () => {
    detail.hidden = true
    if (from.isConnected) from.focus()
    else document.querySelector('h1').focus()
  }
  const part = region(`${record.stream || 'Record'} ${record.partition} / ${record.offset}`,
    h('p', { class: 'tools' }, button('Close', close)), recordDetails(record))
  fill(detail, part)
  detail.hidden = false
  detail.onkeydown = event => {
    if (event.key === 'Escape') close()
  }
  part.querySelector('h2').focus()
}

// Rows are the newest records. They are made once a frame, and only those that
// will be kept: a fast stream cannot make the page do more than that.
class Rows {
  #waiting = []
  #passed = 0
  #frame = 0
  #total = 0

  constructor(body, counts, open) {
    this.body = body
    this.counts = counts
    this.open = open
    this.#count()
  }

  add(item) {
    this.#total++
    this.#waiting.push(item)
    if (this.#waiting.length > most) {
      this.#waiting.shift()
      this.#passed++
    }
    this.#frame ||= setTimeout(() => this.#draw(), 50)
  }

  clear() {
    this.#waiting = []
    this.#passed = 0
    this.#total = 0
    this.body.replaceChildren()
    this.#count()
  }

  stop() {
    clearTimeout(this.#frame)
  }

  #draw() {
    this.#frame = 0
    const fresh = this.#waiting.map(item => this.#row(item)).reverse()
    this.#waiting = []
    this.body.prepend(...fresh)
    while (this.body.rows.length > most) {
      const last = this.body.lastElementChild
      if (last.contains(document.activeElement)) break
      last.remove()
    }
    this.#count()
  }

  #count() {
    const gone = this.#total - this.body.rows.length
    setText(this.counts, this.#total === 0 ? 'nothing came yet' : `${number(this.#total)} came${gone > 0 ? `, the newest ${number(this.body.rows.length)} are kept` : ''}${this.#passed ? `, ${number(this.#passed)} were too fast to be shown` : ''}`)
  }

  #row({ kind, text, record: read }) {
    if (kind) return h('tr', { class: kind }, h('td', { colspan: '4' }, text))
    const record = read()
    const from = button(record.offset === '' ? 'Show' : `${record.stream} ${record.partition}/${record.offset}`, () => this.open({ record, from }), { class: 'link' })
    return h('tr', {}, h('td', {}, from), h('td', { class: 'time' }, record.timestamp ? record.timestamp.slice(11, 23) : '–'),
      h('td', { class: 'mono cut' }, record.key === null ? '–' : bytesText(record.key)),
      h('td', { class: 'mono cut data' }, record.kind === 'tombstone' ? 'tombstone' : record.body.slice(0, 300)))
  }
}
