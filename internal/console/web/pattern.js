// Patterns of streams, as the gateway has them: Python's fnmatch.

// matches says whether one of the patterns selects the name.
export function matches(patterns, name) {
  return patterns.some(p => expression(p).test(name))
}

function expression(pattern) {
  let out = ''
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i]
    if (c === '*') out += out.endsWith('[^]*') ? '' : '[^]*'
    else if (c === '?') out += '[^]'
    else if (c === '[') {
      const set = bracket(pattern, i)
      out += set ? set.text : '\\['
      if (set) i = set.end
    } else out += c.replace(/[\\^$.|+(){}\]/-]/, '\\$&')
  }
  return new RegExp(`^${out}$`)
}

// bracket reads "[…]"; null where it is not closed, and stands for itself.
function bracket(pattern, at) {
  const begin = pattern[at + 1] === '!' ? at + 2 : at + 1
  const end = pattern.indexOf(']', begin + 1)
  if (end < 0) return null
  const body = pattern.slice(begin, end).replace(/[\\\]^[]/g, '\\$&')
  try {
    const text = `[${begin > at + 1 ? '^' : ''}${body}]`
    RegExp(text) // a range that runs backwards is none
    return { text, end }
  } catch {
    return { text: '[]', end }
  }
}
