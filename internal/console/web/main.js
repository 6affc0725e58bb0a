// The page: who looks at it, the sections, and which of them is shown.
import { known, loadCaller, onUnauthenticated, token } from './api.js'
import { button, fill, h } from './dom.js'
import { brokersView } from './cluster.js'
import { groupsView } from './groups.js'
import { leave, route } from './router.js'
import { signInForm } from './signin.js'
import { streamsView } from './streams.js'
import { subscriptionsView } from './subscriptions.js'
import { tailView } from './tail.js'
import { problemNote } from './shared.js'

const sections = [
  ['streams', 'Streams', streamsView],
  ['tail', 'Tail', tailView],
  ['subscriptions', 'Subscriptions', subscriptionsView],
  ['groups', 'Groups', groupsView],
  ['brokers', 'Brokers', brokersView],
]

let asking = false // for a token: what was under way may still be refused
let reload = null // shows the current view anew; null before the first one

// begin asks who we are, and shows what there is, or the form for a token.
async function begin() {
  try {
    await loadCaller()
  } catch (e) {
    if (e.status !== 401) refused(e)
    return
  }
  showWho()
  navigation(true)
  if (reload) reload()
  else reload = route(Object.fromEntries(sections.map(([name, , view]) => [name, view])), mark)
}

// navigation shows the sections, or none to who may see nothing.
function navigation(shown) {
  fill(document.getElementById('sections'), shown
    ? h('ul', {}, sections.map(([name, label]) => h('li', {}, h('a', { href: `#/${name}`, 'data-section': name }, label)))) : null)
}

function mark(section) {
  for (const a of document.querySelectorAll('[data-section]')) {
    if (a.dataset.section === section) a.setAttribute('aria-current', 'page')
    else a.removeAttribute('aria-current')
  }
}

function showWho() {
  fill(document.getElementById('who'), h('span', { class: 'principal' }, known().principal),
    token.get() ? button('Sign out', () => {
      token.forget()
      window.location.reload() // nothing that was shown stays
    }) : null)
}

function askForToken() {
  if (asking) return
  asking = true
  leave()
  const wrong = token.get() !== ''
  token.forget()
  navigation(false)
  fill(document.getElementById('who'))
  document.title = 'Sign in · Sluice'
  signInForm(document.getElementById('main'), wrong, value => {
    asking = false
    token.set(value)
    begin()
  })
}

function refused(e) {
  const main = document.getElementById('main')
  document.title = 'Sluice'
  fill(main, h('h1', { tabindex: '-1' }, e.status === 403 ? 'Nothing here is for you yet' : 'The gateway cannot be used now'), problemNote(e),
    h('p', {}, button('Try again', begin), ' ', token.get() ? button('Use another token', askForToken) : null))
}

onUnauthenticated(askForToken)
begin()
