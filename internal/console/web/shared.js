// What several views show alike.
import { credentials } from './api.js'
import { h, newID, show } from './dom.js'

// problemNote shows in words what did not work.
export function problemNote(problem) {
  const words = {
    401: 'The gateway wants to know who you are.',
    403: 'You may not do this.',
    429: 'The gateway is asked too much; it will be tried again.',
  }[problem.status]
  return h('div', { class: 'note bad', role: 'alert' },
    h('strong', {}, words ?? problem.title ?? 'It did not work'), ' ', problem.message,
    problem.outcome === 'unknown' ? ' The record may be stored all the same: look before you send it again.' : null)
}

// notOffered stands where a gateway has no such route.
export function notOffered(what) {
  return h('div', { class: 'note' }, `${what}: not offered by this gateway.`)
}

// failed shows a failure in its place: a region of the page that is empty while
// all is well.
export function failed(place, what) {
  return e => show(place, e.missing ? notOffered(what) : problemNote(e))
}

// command gives a line of curl, with credentials where they are needed: as a
// variable, so that they are not copied around.
export function command(rest) {
  return `curl${credentials.get() ? ' -H "Authorization: $CREDENTIALS"' : ''} ${rest}`
}

// filterBox makes a search field for a list.
export function filterBox(label, changed) {
  const input = h('input', { type: 'search', id: newID('filter'), autocomplete: 'off', spellcheck: 'false', on: { input: () => changed(input.value.trim().toLowerCase()) } })
  return h('div', { class: 'field inline' }, h('label', { for: input.id }, label), input)
}

// badge shows a state in a word; the word says it, the colour only helps.
export function badge() {
  return h('span', { class: 'badge' })
}

// setBadge sets a state; kind is good, warn, bad or none.
export function setBadge(el, text, kind = '') {
  if (el.textContent !== text) el.textContent = text
  el.className = `badge ${kind}`
}

// number writes a number for people.
export function number(n) {
  return n === null || n === undefined ? '–' : n.toLocaleString('en')
}

// bytes writes a size for people.
export function bytes(n) {
  if (n === null || n === undefined) return '–'
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let i = 0
  while (n >= 1024 && i < units.length - 1) {
    n /= 1024
    i++
  }
  return `${n.toFixed(i && n < 100 ? 1 : 0)} ${units[i]}`
}

// when writes a time for people, in their zone.
export function when(text) {
  if (!text) return '–'
  const t = new Date(text)
  return Number.isNaN(t.getTime()) ? text : t.toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })
}

// preJSON shows JSON, already text.
export function preJSON(label, text) {
  return h('pre', { class: 'json', tabindex: '0', role: 'region', 'aria-label': label }, text)
}

// details makes a region that opens.
export function details(title, ...children) {
  return h('details', {}, h('summary', {}, title), ...children)
}
