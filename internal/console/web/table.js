// Tables that sort, and that change in place: rows keep their elements, so that
// the focus and a selection outlive the next answer of the gateway.
import { h, newID, setText, show } from './dom.js'

// table makes a table. columns: `label`, `value` (row to text or number, which
// sorts), and for what is not the value's text `show` (row to text), or `make`
// (row to an element, once) with `update` (element and row, each time);
// `number` aligns right but in the first column, `wide` is left out where the page is narrow. key gives
// what tells rows apart. What is shown while there is no row is `empty`. Rows are
// sorted by the first column, with `down` the other way round.
export function table({ caption, columns, key, empty, down = false }) {
  const order = { column: columns[0], down }
  const body = h('tbody')
  const heads = columns.map((c, i) => head(c, i, order, () => arrange()))
  const id = newID('caption')
  const grid = h('table', {}, h('caption', { id, class: 'visually-hidden' }, caption), h('thead', {}, h('tr', {}, heads.map(x => x.el))), body)
  const scroll = h('div', { class: 'scroll', role: 'region', 'aria-labelledby': id, tabindex: '0' }, grid)
  const nothing = h('div', { class: 'empty' }, empty)
  const el = h('div', { class: 'table' }, scroll, nothing)
  const made = new Map() // key to {tr, cells, row}

  function arrange() {
    heads.forEach(x => x.mark())
    const { column, down } = order
    const sorted = [...made.values()].sort((a, b) => compare(column.value(a.row), column.value(b.row)) * (down ? -1 : 1))
    sorted.forEach(({ tr }, i) => {
      if (body.children[i] !== tr) body.insertBefore(tr, body.children[i] ?? null)
    })
  }

  function update(rows) {
    const keys = new Set()
    for (const row of rows) {
      const k = key(row)
      keys.add(k)
      if (!made.has(k)) made.set(k, newRow(columns, row))
      const entry = made.get(k)
      entry.row = row
      columns.forEach((c, i) => refresh(c, entry.cells[i], row))
    }
    for (const [k, { tr }] of made) {
      if (keys.has(k)) continue
      tr.remove()
      made.delete(k)
    }
    arrange()
    scroll.hidden = made.size === 0
    nothing.hidden = made.size > 0
  }

  scroll.hidden = true
  nothing.hidden = true
  return { el, update, rowOf: k => made.get(k)?.tr, setEmpty: content => show(nothing, h('div', {}, content)) }
}

function head(column, i, order, arrange) {
  const arrow = h('span', { 'aria-hidden': 'true', class: 'arrow' })
  const sort = () => {
    order.down = order.column === column && !order.down
    order.column = column
    arrange()
  }
  const content = column.sorts === false ? column.label : h('button', { type: 'button', on: { click: sort } }, column.label, arrow)
  const el = h('th', { scope: 'col', class: classOf(column, i) }, content)
  const mark = () => {
    const here = order.column === column
    if (here) el.setAttribute('aria-sort', order.down ? 'descending' : 'ascending')
    else el.removeAttribute('aria-sort')
    setText(arrow, here ? (order.down ? '▼' : '▲') : '')
  }
  return { el, mark }
}

function classOf(column, i) {
  return [column.number && i > 0 && 'number', column.wide && 'wide'].filter(Boolean).join(' ') || null
}

function newRow(columns, row) {
  const cells = columns.map((c, i) => {
    const made = c.make?.(row) ?? null
    return { td: h(i === 0 ? 'th' : 'td', { class: classOf(c, i), scope: i === 0 ? 'row' : null }, made), made }
  })
  return { tr: h('tr', {}, cells.map(c => c.td)), cells, row }
}

function refresh(column, { td, made }, row) {
  if (made) column.update?.(made, row)
  else setText(td, String((column.show ?? column.value)(row) ?? ''))
}

// compare sorts numbers as numbers and texts as people do; what is not there
// comes first.
function compare(a, b) {
  if (a === b) return 0
  if (a === null || a === undefined) return -1
  if (b === null || b === undefined) return 1
  if (typeof a === 'number' && typeof b === 'number') return a - b
  return String(a).localeCompare(String(b), 'en', { numeric: true })
}
