// A record as it came, read without losing what JavaScript's numbers cannot hold.
import { code, definitions, h } from './dom.js'
import { members, pretty } from './jsontext.js'
import { preJSON, when } from './shared.js'

// readRecord reads a record object's text.
export function readRecord(text) {
  const m = members(text)
  const plain = name => m.has(name) ? JSON.parse(m.get(name)) : null
  return {
    raw: text,
    stream: plain('stream') ?? '', partition: m.get('partition') ?? '', offset: m.get('offset') ?? '',
    timestamp: plain('timestamp'), schema: plain('schema'), key: plain('key'), headers: plain('headers') ?? {},
    body: m.get('data') ?? m.get('value') ?? text,
    kind: m.has('data') ? 'data' : m.get('value') === 'null' ? 'tombstone' : m.has('value') ? 'bytes' : 'text',
  }
}

// partOfRecord is a record of which the view shows its data or its stored bytes
// alone.
export function partOfRecord(text, view) {
  return { raw: text, stream: '', partition: '', offset: '', timestamp: null, schema: null, key: null, headers: {}, body: text, kind: view === 'data' ? 'data' : 'text' }
}

// bytesText writes a key or a header's value: a text, bytes, or none.
export function bytesText(value) {
  if (value === null) return 'none'
  if (Array.isArray(value)) return value.map(bytesText).join(', ')
  return typeof value === 'string' ? value : `base64:${value.base64}`
}

// recordDetails shows all of a record.
export function recordDetails(r) {
  const headers = Object.entries(r.headers)
  return [r.kind === 'tombstone' ? h('p', {}, 'A tombstone: it deletes the earlier records of its key.')
    : preJSON('The data', r.kind === 'text' ? r.body : pretty(r.body)),
  r.offset === '' ? null : definitions([
    ['Stream', code(r.stream)], ['Partition and offset', code(`${r.partition} / ${r.offset}`)], ['Time', when(r.timestamp)],
    ['Key', r.key === null ? 'none' : code(bytesText(r.key))], ['Schema', r.schema === null ? 'none' : code(r.schema)],
    ...headers.map(([name, value]) => [h('span', {}, 'Header ', code(name)), code(bytesText(value))]),
  ])]
}
