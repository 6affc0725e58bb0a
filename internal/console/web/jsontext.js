// JSON as text. JSON.parse makes floats of numbers, so that 12345678901234567890
// or 1.00 would be shown as something else than what is stored; here every token
// stays as it is written, and only white space changes.

const token = /[{}[\],:]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s{}[\],:"]+/gs

// tokens gives the tokens of a JSON text.
function tokens(text) {
  return text.match(token) ?? []
}

// compact gives the text without white space between tokens.
export function compact(text) {
  return tokens(text).join('')
}

// pretty gives the text with a member or element on each line.
export function pretty(text) {
  const list = tokens(text)
  let out = ''
  let depth = 0
  const line = () => `\n${'  '.repeat(depth)}`
  for (let i = 0; i < list.length; i++) {
    const t = list[i]
    if (t === '{' || t === '[') {
      if (list[i + 1] === '}' || list[i + 1] === ']') {
        out += t + list[++i]
        continue
      }
      depth++
      out += t + line()
    } else if (t === '}' || t === ']') {
      depth--
      out += line() + t
    } else {
      out += t === ',' ? t + line() : t === ':' ? ': ' : t
    }
  }
  return out
}

// members gives the members of an object: names, and values as they are written.
export function members(text) {
  const out = new Map()
  const list = tokens(text)
  if (list[0] !== '{') return out
  let depth = 0
  let name = null
  let value = ''
  for (const t of list) {
    if (t === '}' || t === ']') depth--
    if (depth === 0 || (depth === 1 && t === ',')) {
      if (name !== null) out.set(name, value)
      name = null
      value = ''
    } else if (depth === 1 && name === null) {
      name = JSON.parse(t)
    } else if (!(depth === 1 && t === ':')) {
      value += t
    }
    if (t === '{' || t === '[') depth++
  }
  return out
}

// isNumber says whether a text is a number as JSON writes it.
export function isNumber(text) {
  return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)
}

// fault says what is wrong with a text that shall be JSON; null: nothing.
export function fault(text) {
  try {
    JSON.parse(text)
    return null
  } catch (e) {
    return e.message
  }
}
