// Publishing a record: a form made of the stream's schema, or JSON as it is
// written.
import { get, known, may, path, post, Problem } from './api.js'
import { announce, button, code, curl, field, fill, h, newID } from './dom.js'
import { compact, fault, pretty } from './jsontext.js'
import { link } from './router.js'
import { FieldError, schemaForm } from './schemaform.js'
import { schemaText } from './schemas.js'
import { command, details, failed, problemNote } from './shared.js'

// publishView shows the form of a stream.
export async function publishView(el, id, signal) {
  const place = h('div')
  fill(el, h('p', { class: 'crumbs' }, h('a', { href: '#/streams' }, 'Streams'), ' / ', h('a', { href: link('streams', id) }, id)),
    h('h1', {}, `Publish to ${id}`), place)
  if (!may('publish', id)) {
    fill(place, problemNote({ status: 403, message: `No rule of the gateway allows ${known().principal} to publish to this stream. Ask whoever runs the gateway for one.` }))
    return
  }
  try {
    const stream = await get(path`/streams/${id}`, signal)
    const schema = stream.schema ? await schemaText(stream.schema, signal) : null
    if (!signal.aborted) fill(place, publishForm(id, schema))
  } catch (e) {
    if (!signal.aborted) failed(place, 'Publishing')(e)
  }
}

function publishForm(id, schema) {
  const data = dataFields(schema)
  const key = h('input', { autocomplete: 'off' })
  const noKey = h('input', { type: 'checkbox', id: newID('no-key'), checked: true })
  key.addEventListener('input', () => { noKey.checked = key.value === '' })
  const partition = h('input', { autocomplete: 'off', inputmode: 'numeric', class: 'mono' })
  const headers = headerFields()
  const result = h('div', { class: 'result' })
  const envelope = () => ({ key: noKey.checked ? null : key.value, partition: partition.value.trim(), headers: headers.read() })

  const attempt = async f => {
    data.clear()
    fill(result)
    try {
      fill(result, await f(data.text()))
    } catch (e) {
      if (!(e instanceof FieldError) && !(e instanceof Problem)) throw e
      fill(result, e instanceof Problem ? refusal(e, data) : fieldNote(e))
    }
    result.firstElementChild?.focus()
  }
  const send = event => {
    event.preventDefault()
    attempt(text => publish(id, text, envelope()))
  }
  return h('form', { on: { submit: send } },
    schema ? h('p', {}, 'Checked against ', code(`${schema.name}:${schema.version}`), '.') : h('p', { class: 'note' }, 'The stream is bound to no schema: the gateway refuses what is published to it until it is.'),
    data.el,
    h('div', { class: 'fields' }, field('Key', key, 'Records of one key stay in order'),
      h('div', { class: 'field check' }, noKey, h('label', { for: noKey.id }, 'No key'))),
    details('Headers and partition', headers.el, field('Partition', partition, 'Empty: the key decides')),
    h('p', { class: 'tools' }, h('button', { type: 'submit', class: 'primary' }, 'Publish'),
      schema ? button('Check only', () => attempt(text => check(schema, text))) : null),
    result,
    details('The same with curl', curl(example(id))))
}

function example(id) {
  return command(`'${window.location.origin}${path`/streams/${id}`}?key=k1' -d '{…}'`)
}

// dataFields makes the two ways to write the data. JSON is always there; what
// the form has is taken over when it is chosen.
function dataFields(schema) {
  const form = schema && typeof schema.schema === 'object' ? schemaForm(schema.schema, schema.name) : null
  const json = h('textarea', { class: 'mono', rows: '10', spellcheck: 'false', autocomplete: 'off' })
  const jsonField = h('div', {}, field('Data as JSON', json, 'It is sent as it is written'))
  const name = newID('way')
  let asForm = form !== null
  const choose = formChosen => {
    if (!formChosen && asForm) {
      try {
        json.value ||= pretty(form.text())
      } catch { /* what is no JSON stays in the form */ }
    }
    asForm = formChosen
    form.el.hidden = !formChosen
    jsonField.hidden = formChosen
  }
  const way = (text, value) => {
    const id = newID('way')
    return [h('input', { type: 'radio', name, id, checked: value === asForm, on: { change: () => choose(value) } }), h('label', { for: id }, text)]
  }
  const el = h('div', {}, form ? h('fieldset', { class: 'ways' }, h('legend', {}, 'Write it as'), way('Form', true), way('JSON', false)) : null, form?.el, jsonField)
  if (form) choose(true)

  const text = () => {
    if (asForm) return form.text()
    const wrong = fault(json.value)
    if (wrong) throw Object.assign(new FieldError(`The data is no JSON: ${wrong}`), { control: json })
    return compact(json.value)
  }
  const clear = () => {
    for (const control of el.querySelectorAll('[aria-invalid]')) control.removeAttribute('aria-invalid')
    for (const note of el.querySelectorAll('.wrong')) note.textContent = ''
  }
  // mark shows a violation at its field, and gives the control.
  const mark = violation => {
    const at = asForm ? form.at(violation.pointer) : { control: json }
    at.control.setAttribute('aria-invalid', 'true')
    if (at.wrong) at.wrong.textContent = [at.wrong.textContent, violation.detail].filter(Boolean).join('; ')
    return at.control
  }
  return { el, text, clear, mark }
}

function headerFields() {
  const list = h('div')
  const rows = []
  const add = button('Add a header', () => {
    const name = h('input', { autocomplete: 'off' })
    const value = h('input', { autocomplete: 'off' })
    rows.push({ name, value })
    list.append(h('div', { class: 'fields' }, field('Header name', name), field('Header value', value)))
    name.focus()
  })
  const read = () => {
    const out = Object.create(null) // a header may be named __proto__
    for (const { name, value } of rows) {
      if (name.value === '') continue
      out[name.value] = name.value in out ? [out[name.value], value.value].flat() : value.value
    }
    return out
  }
  return { el: h('div', {}, list, add), read }
}

// publish sends one line of NDJSON: it takes keys and headers of any text, as
// they are written.
async function publish(id, data, { key, partition, headers }) {
  if (partition !== '' && !/^\d+$/.test(partition)) throw new FieldError('Partition: it is a whole number from 0, or empty')
  const line = `{"key":${JSON.stringify(key)},"headers":${JSON.stringify(headers)},${partition === '' ? '' : `"partition":${partition},`}"data":${data}}`
  let r
  try {
    r = (await post(path`/streams/${id}`, line, { type: 'application/x-ndjson' })).results[0]
  } catch (e) {
    const own = e.body?.results?.[0]
    throw own ? new Problem(own.status, own) : e
  }
  announce(`Stored in partition ${r.partition} at offset ${r.offset}`)
  return h('div', { class: 'note good', tabindex: '-1' }, h('strong', {}, 'Stored'), ` in partition ${r.partition} at offset ${r.offset}. `,
    may('subscribe', id) ? h('a', { href: `${link('tail', id)}?from=earliest` }, 'Tail the stream') : null)
}

async function check(schema, text) {
  await post(path`/schemas/${schema.name}/versions/${String(schema.version)}/validate`, text)
  announce('The data matches the schema')
  return h('div', { class: 'note good', tabindex: '-1' }, h('strong', {}, 'It matches'), ` ${schema.name}:${schema.version}. Nothing was stored.`)
}

function fieldNote(e) {
  e.control?.setAttribute('aria-invalid', 'true')
  return h('div', { class: 'note bad', role: 'alert', tabindex: '-1' }, h('strong', {}, 'Not sent.'), ' ', e.message)
}

// refusal says what is wrong, and where: each violation leads to its field.
function refusal(problem, data) {
  const list = problem.errors.map(v => {
    const control = data.mark(v)
    return h('li', {}, button(v.pointer || '#', () => control.focus(), { class: 'link mono' }), ' ', v.detail)
  })
  const note = problemNote(problem)
  note.tabIndex = -1
  note.append(h('ul', {}, list))
  return note
}
