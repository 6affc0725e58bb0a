// Which view an address shows. Addresses are hashes, #/streams/orders, so that
// the gateway sees none of them and a reload shows the same view again.
import { fill, h } from './dom.js'

let current = null // AbortController of the view that is shown
let left = false // no view is shown, whatever the address

// leave ends the view that is shown: what it still asks for is given up.
export function leave() {
  current?.abort()
  left = true
}

// location gives the parts of an address, unescaped, and its parameters.
export function location() {
  const [path, search = ''] = window.location.hash.replace(/^#\/?/, '').split('?')
  return { parts: path.split('/').filter(Boolean).map(unescape), parameters: new URLSearchParams(search) }
}

function unescape(part) {
  try {
    return decodeURIComponent(part)
  } catch { // typed by hand
    return part
  }
}

// link makes the address of a view.
export function link(...parts) {
  return `#/${parts.map(encodeURIComponent).join('/')}`
}

// route shows the view of the address, now and whenever that changes. views are
// functions by name: they get an element to fill, the parts after the name, the
// parameters and a signal that aborts when the view is left. A view has one h1.
export function route(views, changed) {
  const show = first => {
    left = false
    const { parts, parameters } = location()
    const known = Object.hasOwn(views, parts[0] ?? '')
    const name = known ? parts[0] : Object.keys(views)[0]
    current?.abort()
    current = new AbortController()
    const main = document.getElementById('main')
    const view = h('div', { class: 'view' })
    fill(main, view)
    views[name](view, known ? parts.slice(1) : [], parameters, current.signal)
    const heading = view.querySelector('h1')
    document.title = heading ? `${heading.textContent} · Sluice` : 'Sluice'
    changed(name)
    // Who navigates by keyboard or listens goes on where the new view begins.
    if (!first && heading) {
      heading.tabIndex = -1
      heading.focus({ preventScroll: true })
      window.scrollTo(0, 0)
    }
  }
  window.addEventListener('hashchange', () => {
    if (!left && window.location.hash !== '#main') show(false) // #main is the link that skips to the content
  })
  show(true)
  return () => show(false)
}
