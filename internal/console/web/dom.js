// Making the page's elements. What the gateway sends is whatever somebody
// published, so everything here becomes text or a plain attribute: there is no
// way to make an element out of a string.

const svgNames = new Set(['svg', 'polyline'])

// h makes an element. Attributes: `class`, `on` (listeners by event), `props`
// (set as properties), false and null are left out. Children are nodes, texts,
// and lists of both; false and null are left out.
export function h(tag, attributes = {}, ...children) {
  const el = svgNames.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue
    if (name === 'on') for (const [event, listener] of Object.entries(value)) el.addEventListener(event, listener)
    else if (name === 'props') Object.assign(el, value)
    else el.setAttribute(allowed(name, value), value === true ? '' : value)
  }
  append(el, children)
  return el
}

// allowed refuses attributes that could hold a script: listeners as text, and
// addresses outside the gateway.
function allowed(name, value) {
  if (/^on|^style$|^srcdoc$/i.test(name)) throw new Error(`the attribute ${name} is not for this page`)
  if (/^(href|src)$/i.test(name) && !/^(#|\/(?!\/))/.test(value)) throw new Error('an address of this page begins with # or /')
  return name
}

function append(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) el.append(child)
  }
}

// fill puts children in the place of what an element has.
export function fill(el, ...children) {
  el.replaceChildren()
  append(el, children)
  return el
}

// show puts an element in the place of what another one has, unless both say the
// same: what is asked for again and again shall not take away a selection, nor
// be read aloud each time.
export function show(el, child) {
  if (el.textContent !== child.textContent || !el.firstChild) el.replaceChildren(child)
}

// setText changes a text only where it differs, so that selections and screen
// readers are left alone.
export function setText(el, text) {
  if (el.textContent !== text) el.textContent = text
}

// announce tells screen readers a short text, for what is seen without focus.
export function announce(text) {
  setText(document.getElementById('announcements'), text)
}

let ids = 0

// newID gives an id that no other element has.
export function newID(prefix) {
  ids += 1
  return `${prefix}-${ids}`
}

// field makes a labelled control with a hint.
export function field(label, control, hint) {
  control.id ||= newID('field')
  const note = hint ? h('p', { class: 'hint', id: `${control.id}-hint` }, hint) : null
  if (note) control.setAttribute('aria-describedby', note.id)
  return h('div', { class: 'field' }, h('label', { for: control.id }, label), control, note)
}

// code shows text of others as it is: isolated, so that characters that turn
// the direction of writing cannot rearrange what stands beside it.
export function code(text) {
  return h('code', {}, text)
}

// curl shows a command to copy.
export function curl(text) {
  const note = h('span', { class: 'hint', role: 'status' })
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      note.textContent = 'copied'
    } catch { // no permission, or plain HTTP
      note.textContent = 'select the text and copy it'
    }
  }
  return h('div', { class: 'command' }, h('pre', { tabindex: '0', 'aria-label': 'Command' }, text),
    h('button', { type: 'button', on: { click: copy } }, 'Copy'), note)
}

// button makes a button.
export function button(text, click, attributes = {}) {
  return h('button', { type: 'button', on: { click }, ...attributes }, text)
}

// definitions makes a list of names and what they are.
export function definitions(pairs) {
  return h('dl', { class: 'facts' }, pairs.filter(Boolean).map(([name, value]) =>
    h('div', {}, h('dt', {}, name), h('dd', {}, value))))
}

// region makes a part of the page with a heading.
export function region(title, ...children) {
  const id = newID('heading')
  return h('section', { 'aria-labelledby': id }, h('h2', { id, tabindex: '-1' }, title), ...children)
}
