// The gateway's public API, with the rights of whoever looks at this page.
import { matches } from './pattern.js'

// What the header Authorization has is kept for this tab, and forgotten with it.
const credentialsKey = 'sluice-authorization'

// Problem is an answer that is none of what was asked for, in the gateway's
// words.
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? `the gateway answered ${status}`)
    this.status = status
    this.type = body.type ?? ''
    this.title = body.title ?? 'It did not work'
    this.errors = body.errors ?? []
    this.outcome = body.outcome ?? ''
    this.body = body
  }

  // missing says that the gateway has no such route.
  get missing() {
    return this.status === 404 && this.type === '/problems/not-found' || this.status === 405
  }
}

let caller = null

export const credentials = {
  get: () => sessionStorage.getItem(credentialsKey) ?? '',
  setToken: token => sessionStorage.setItem(credentialsKey, `Bearer ${token}`),
  setPassword: (user, password) => {
    const bytes = new TextEncoder().encode(`${user}:${password}`)
    sessionStorage.setItem(credentialsKey, `Basic ${btoa(String.fromCharCode(...bytes))}`)
  },
  forget: () => sessionStorage.removeItem(credentialsKey),
}

// headers gives those of every request.
function headers(more = {}) {
  const Authorization = credentials.get()
  return Authorization ? { ...more, Authorization } : more
}

// send is fetch with who we are.
export const send = (url, options) => fetch(url, { ...options, headers: headers(options.headers) })

let signIn = () => {}

// onUnauthenticated sets what is called when the gateway wants to know who asks;
// it gets whether passwords are taken, too.
export function onUnauthenticated(f) {
  signIn = f
}

// request sends a request and gives the answer's JSON; null for none. It throws
// a Problem. The path is made by path.
export async function request(method, url, { body, type = 'application/json', signal } = {}) {
  let answer
  try {
    answer = await send(url, { method, body, signal, headers: { Accept: 'application/json', ...(body === undefined ? {} : { 'Content-Type': type }) } })
  } catch (e) {
    if (signal?.aborted) throw e
    throw new Problem(0, { title: 'The gateway does not answer', detail: 'The gateway does not answer: it may be stopped, or the network is down.' })
  }
  return read(answer)
}

async function read(answer) {
  const text = await answer.text()
  let value = null
  try {
    value = text === '' ? null : JSON.parse(text)
  } catch {
    value = { detail: `the answer is no JSON (status ${answer.status}): something between this page and the gateway may have answered` }
    throw new Problem(answer.status, value)
  }
  if (answer.ok) return value
  // The challenge is not a place to look: browsers answer one of Basic
  // themselves, so a gateway does best to keep it from pages.
  if (answer.status === 401) signIn(/\bBasic\b/.test(value?.detail ?? ''))
  throw new Problem(answer.status, value ?? {})
}

export const get = (url, signal) => request('GET', url, { signal })
export const post = (url, body, options = {}) => request('POST', url, { body, ...options })

// path joins parts to a path; a text in it is escaped, whatever it is.
export function path(strings, ...values) {
  return strings.reduce((out, s, i) => out + encodeURIComponent(values[i - 1]) + s)
}

// query gives parameters that have a value.
export function query(parameters) {
  const q = new URLSearchParams(Object.entries(parameters).filter(([, v]) => v !== '' && v !== null && v !== undefined))
  return q.size ? `?${q}` : ''
}

// loadCaller asks who the gateway takes us for, and what we may do.
export async function loadCaller() {
  caller = await get('/caller')
  return caller
}

// known gives the caller as it was loaded.
export function known() {
  return caller ?? { principal: '', publish: [], subscribe: [], manage: [], schemas: [] }
}

// may says whether the caller may do an action (publish, subscribe, manage) on
// a stream; without a stream, on any. The gateway decides: this is only for
// what the page offers.
export function may(action, stream) {
  const patterns = known()[action]
  return stream === undefined ? patterns.length > 0 : matches(patterns, stream)
}

// why asks an address that EventSource could not open what is wrong with it;
// null where nothing is. EventSource itself does not tell.
export async function why(url) {
  const stop = new AbortController()
  try {
    const answer = await send(url, { headers: { Accept: 'text/event-stream' }, signal: stop.signal })
    if (!answer.ok) await read(answer)
    return null
  } catch (e) {
    return e instanceof Problem ? e : new Problem(0, { detail: 'the gateway does not answer' })
  } finally {
    stop.abort()
  }
}

// eventToken gives a token for EventSource; '' where the gateway asks nobody
// who they are.
export async function eventToken(streams) {
  if (!credentials.get()) return ''
  try {
    return (await post('/event-tokens', JSON.stringify({ streams, expires_in: '15m' }))).token
  } catch (e) {
    if (e.missing) return ''
    throw e
  }
}

// inTurn calls f for each item, some at once, and gives nothing: f keeps what
// it finds.
export async function inTurn(items, f, atOnce = 4) {
  const rest = [...items]
  const work = async () => {
    while (rest.length) await f(rest.shift())
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, rest.length) }, work))
}
