// Signing in, where the gateway asks callers who they are.
import { credentials } from './api.js'
import { field, fill, h, newID } from './dom.js'

// signInForm shows the form; done is called when there are credentials, good or
// not. wrong says that there were bad ones, passwords that they are taken.
export function signInForm(main, { wrong, passwords }, done) {
  const place = h('div', {}, wrong ? complaint('The gateway does not take these credentials: they are unknown, expired or not for this gateway.') : null)
  const token = tokenForm(done, place)
  fill(main, h('h1', { tabindex: '-1' }, 'Sign in'),
    h('p', {}, 'This gateway wants to know who you are. Paste the token that you got from whoever runs it, or one of its issuer.'),
    place, token.el, passwords ? passwordForm(done) : null,
    h('p', { class: 'hint' }, 'What you enter is kept in this tab alone, and sent to this gateway alone.'))
  token.input.focus()
}

function complaint(text) {
  return h('p', { class: 'note bad', role: 'alert' }, text)
}

function tokenForm(done, place) {
  const input = h('input', { type: 'password', autocomplete: 'off', spellcheck: 'false', required: true, id: newID('token') })
  const submit = event => {
    event.preventDefault()
    const value = input.value.trim().replace(/^bearer\s+/i, '')
    if (!/^[A-Za-z0-9\-._~+/=]+$/.test(value)) {
      fill(place, complaint('A token has letters, digits and - . _ ~ + / = alone. Paste it whole, without quotes.'))
      input.focus()
      return
    }
    credentials.setToken(value)
    done()
  }
  return { input, el: form(submit, field('Token', input)) }
}

function passwordForm(done) {
  const user = h('input', { autocomplete: 'username', spellcheck: 'false', required: true })
  const password = h('input', { type: 'password', autocomplete: 'current-password', required: true })
  const submit = event => {
    event.preventDefault()
    credentials.setPassword(user.value, password.value)
    done()
  }
  return [h('h2', {}, 'Or with a password'), form(submit, field('User name', user), field('Password', password))]
}

function form(submit, ...fields) {
  return h('form', { class: 'narrow', on: { submit } }, fields, h('p', {}, h('button', { type: 'submit', class: 'primary' }, 'Sign in')))
}
