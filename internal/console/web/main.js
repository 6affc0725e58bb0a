// The page: who looks at it, the sections, and which of them is shown.
import { credentials, known, loadCaller, onUnauthenticated } from './api.js'
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

let asking = false // who somebody is: what was under way may still be refused
let reload = null // shows the current view anew; null before the first one

// begin asks who we are, and shows what there is, or the form to sign in.
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
    credentials.get() ? button('Sign out', () => {
      credentials.forget()
      window.location.reload() // nothing that was shown stays
    }) : null)
}

function askWho(passwords) {
  if (asking) return
  asking = true
  leave()
  const wrong = credentials.get() !== ''
  credentials.forget()
  navigation(false)
  fill(document.getElementById('who'))
  document.title = 'Sign in · Sluice'
  signInForm(document.getElementById('main'), { wrong, passwords }, () => {
    asking = false
    begin()
  })
}

function refused(e) {
  const main = document.getElementById('main')
  document.title = 'Sluice'
  fill(main, h('h1', { tabindex: '-1' }, e.status === 403 ? 'Nothing here is for you yet' : 'The gateway cannot be used now'), problemNote(e),
    h('p', {}, button('Try again', begin), ' ', credentials.get() ? button('Sign in as somebody else', () => askWho(false)) : null))
}

onUnauthenticated(askWho)
begin()
