// Schemas, with their text as it was registered.
import { get, path, Problem, send } from './api.js'
import { members } from './jsontext.js'

// schemaText gives the version that a stream is bound to: `name`, `version`,
// `registered`, `text` (as it was registered, with its numbers as they were
// written) and `schema`, parsed.
export async function schemaText(ref, signal) {
  const [name, version = 'latest'] = ref.split(':')
  const url = path`/schemas/${name}/versions/${version}`
  const answer = await send(url, { headers: { Accept: 'application/json' }, signal })
  if (!answer.ok) {
    await get(url, signal) // says why
    throw new Problem(answer.status, {})
  }
  const raw = await answer.text()
  const v = JSON.parse(raw)
  return { name: v.name, version: v.version, registered: v.registered, schema: v.schema, text: members(raw).get('schema') }
}
