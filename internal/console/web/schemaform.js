// A form made of a JSON Schema, that gives JSON text: numbers stay as they are
// typed. It knows objects, arrays, strings, numbers, booleans and enums, and
// references inside the schema; for what it does not know there is a field for
// JSON. It checks nothing: the gateway does, and shows where.
import { button, fill, h, newID } from './dom.js'
import { compact, fault, isNumber } from './jsontext.js'

const deepest = 8 // levels of objects and arrays; schemas may contain themselves

// A FieldError is a field that makes no JSON.
export class FieldError extends Error {}

// schemaForm makes the form of a schema that has a name. `text` gives the data as JSON, or throws a
// FieldError; `at` gives the control that a violation's pointer is about, or
// the nearest one around it.
export function schemaForm(schema, name) {
  const root = node({ schema, root: schema, name, required: true, depth: 0 })
  return { el: root.el, text: () => root.read() ?? 'null', at: pointer => nearest(root, pointer) }
}

// node makes the control of one place. It has `el`, `read` (JSON text; undefined
// where it is left out), `filled`, `control` and `child` (by name or index).
function node(place) {
  const schema = resolve(place.schema, place.root)
  const named = { ...place, schema, title: schema.title ?? place.name }
  if (place.depth > deepest) return jsonNode(named)
  if (Array.isArray(schema.enum) || 'const' in schema) return choiceNode(named, schema.enum ?? [schema.const])
  const types = [schema.type ?? (schema.properties ? 'object' : '')].flat().filter(t => t !== 'null')
  const make = { object: objectNode, array: arrayNode, string: textNode, number: numberNode, integer: numberNode, boolean: booleanNode }[types[0]]
  return make && types.length === 1 ? make(named) : jsonNode(named)
}

// resolve follows references within the schema.
function resolve(schema, root) {
  for (let i = 0; i < 20 && typeof schema?.$ref === 'string' && schema.$ref.startsWith('#'); i++) {
    schema = parts(schema.$ref).reduce((s, name) => s?.[name], root)
  }
  return schema !== null && typeof schema === 'object' ? schema : {}
}

// parts gives the names of a JSON Pointer that is written as a URI fragment.
function parts(pointer) {
  const text = pointer.replace(/^#/, '').split('/').slice(1)
  return text.map(p => {
    try {
      p = decodeURIComponent(p)
    } catch { /* it stays as it is */ }
    return p.replaceAll('~1', '/').replaceAll('~0', '~')
  })
}

function nearest(root, pointer) {
  let at = root
  for (const name of parts(pointer)) {
    const next = at.child?.(name)
    if (!next) break
    at = next
  }
  return at
}

// labelled makes a control's surroundings: label, hint, and where violations go.
function labelled(place, control, hint) {
  const id = newID('data')
  control.id = id
  const wrong = h('p', { class: 'wrong', id: `${id}-wrong` })
  const note = h('p', { class: 'hint', id: `${id}-hint` }, [place.schema.description, hint, place.required ? 'required' : 'left out while empty'].filter(Boolean).join(' · '))
  control.setAttribute('aria-describedby', `${note.id} ${wrong.id}`)
  return { el: h('div', { class: 'field' }, h('label', { for: id }, place.title), control, note, wrong), control, wrong }
}

function inputNode(place, control, hint, read) {
  const made = labelled(place, control, hint)
  return { ...made, filled: () => control.value !== '', read: () => read(control.value) }
}

function textNode(place) {
  const long = (place.schema.maxLength ?? 0) > 200
  const control = h(long ? 'textarea' : 'input', { autocomplete: 'off' })
  return inputNode(place, control, ['text', place.schema.format].filter(Boolean).join(', '),
    value => value !== '' || place.required ? JSON.stringify(value) : undefined)
}

function numberNode(place) {
  const control = h('input', { autocomplete: 'off', inputmode: 'decimal', class: 'mono' })
  return inputNode(place, control, place.schema.type === 'integer' ? 'whole number' : 'number', value => {
    const text = value.trim()
    if (text === '') return undefined
    if (!isNumber(text)) throw fieldError(control, `${place.title}: ${text} is not a number as JSON writes it, such as 12 or -0.5`)
    return text
  })
}

function fieldError(control, message) {
  const e = new FieldError(message)
  e.control = control
  return e
}

function choiceNode(place, values) {
  const texts = values.map(v => JSON.stringify(v))
  const control = h('select', {}, h('option', { value: '' }, place.required ? 'choose' : 'left out'),
    texts.map((t, i) => h('option', { value: t }, typeof values[i] === 'string' ? values[i] : t)))
  return inputNode(place, control, '', value => value === '' ? undefined : value)
}

const booleanNode = place => choiceNode(place, [true, false])

function jsonNode(place) {
  const control = h('textarea', { class: 'mono', spellcheck: 'false', rows: '3' })
  return inputNode(place, control, 'JSON', value => {
    if (value.trim() === '') return undefined
    const wrong = fault(value)
    if (wrong) throw fieldError(control, `${place.title} is no JSON: ${wrong}`)
    return compact(value)
  })
}

// group makes the surroundings of what has several controls.
function group(place, ...children) {
  const id = newID('data')
  const wrong = h('p', { class: 'wrong', id: `${id}-wrong` })
  const el = h('fieldset', { id, tabindex: '-1', 'aria-describedby': wrong.id }, h('legend', {}, place.title),
    place.schema.description ? h('p', { class: 'hint' }, place.schema.description) : null, wrong, ...children)
  return { el, control: el, wrong }
}

function objectNode(place) {
  const { schema } = place
  const properties = Object.entries(schema.properties ?? {})
  if (!properties.length) return jsonNode(place)
  const needed = new Set(schema.required ?? [])
  const fields = properties.map(([name, s]) => [name, node({
    ...place, schema: s, name, required: needed.has(name), depth: place.depth + 1,
  })])
  const filled = () => fields.some(([, f]) => f.filled())
  const read = () => {
    if (!place.required && !filled()) return undefined
    const list = fields.map(([name, f]) => [name, f.read()]).filter(([, text]) => text !== undefined)
    return `{${list.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`
  }
  const byName = new Map(fields)
  return { ...group(place, fields.map(([, f]) => f.el)), filled, read, child: name => byName.get(name) }
}

function arrayNode(place) {
  if (place.schema.prefixItems || typeof place.schema.items !== 'object') return jsonNode(place)
  const list = h('div')
  let items = []
  const draw = () => fill(list, items.map((item, i) => h('div', { class: 'item' }, item.el, button(`Remove ${place.title} ${i + 1}`, () => {
    items = items.filter(x => x !== item)
    draw()
    add.focus()
  }))))
  const add = button(`Add to ${place.title}`, () => {
    const item = node({ ...place, schema: place.schema.items, name: `${place.title} item`, required: true, depth: place.depth + 1 })
    items.push(item)
    draw()
    item.el.querySelector('input, select, textarea, button')?.focus()
  })
  const read = () => {
    if (!place.required && !items.length) return undefined
    return `[${items.map(item => item.read()).filter(text => text !== undefined).join(',')}]`
  }
  return { ...group(place, list, add), filled: () => items.length > 0, read, child: index => items[index] }
}
