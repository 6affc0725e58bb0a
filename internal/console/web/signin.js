// Asking for a token, where the gateway asks callers who they are.
import { field, fill, h } from './dom.js'

// signInForm shows the form; done gets the token.
export function signInForm(main, wrong, done) {
  const input = h('input', { type: 'password', autocomplete: 'off', spellcheck: 'false', required: true, id: 'token' })
  const note = wrong ? h('p', { class: 'note bad', role: 'alert' }, 'The gateway does not take that token: it is unknown, expired or not for this gateway.') : null
  const submit = event => {
    event.preventDefault()
    const value = input.value.trim().replace(/^bearer\s+/i, '')
    if (/^[A-Za-z0-9\-._~+/=]+$/.test(value)) return done(value)
    fill(place, h('p', { class: 'note bad', role: 'alert' }, 'A token has letters, digits and - . _ ~ + / = alone. Paste it whole, without quotes.'))
    input.focus()
  }
  const place = h('div', {}, note)
  fill(main, h('h1', { tabindex: '-1' }, 'Sign in'),
    h('p', {}, 'This gateway wants to know who you are. Paste the token that you got from whoever runs it, or one of its issuer.'),
    place,
    h('form', { class: 'narrow', on: { submit } },
      field('Token', input, 'It is kept in this tab alone, and sent to this gateway alone.'),
      h('p', {}, h('button', { type: 'submit', class: 'primary' }, 'Sign in'))))
  input.focus()
}
