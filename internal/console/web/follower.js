// One event stream that goes on over everything that can end it.
import { eventToken, get, query, why } from './api.js'

const again = 2_000 // milliseconds before it is tried again

// Follower reads a gateway's event stream by EventSource. EventSource connects
// again by itself after what will heal; what it does not do is done here:
// tokens that end, and why an address could not be opened at all. It calls
// `record` with a record's text and its event's type, `notice` for what is told
// beside records, `state` with a word for people, and `problem` when it gives up.
export class Follower {
  #to
  #source = null
  #last = ''
  #timer = 0
  #run = 0 // counts starts, so that what a start before began is given up

  constructor(to) {
    this.#to = to
  }

  get running() {
    return this.#run > 0 && this.#run % 2 === 1
  }

  // start begins, or goes on after the last record that was shown: nothing is
  // left out by a pause.
  async start() {
    if (!this.running) this.#run++
    const run = this.#run
    this.#to.state('connecting')
    try {
      await this.#place()
      const access_token = await eventToken(this.#to.streams)
      if (run === this.#run) this.#open({ ...this.#to.parameters, lastEventId: this.#last, access_token })
    } catch (e) {
      if (run === this.#run) this.#failed(e)
    }
  }

  // place settles where "latest" is: EventSource tells no place before the first
  // record, and a pause before that would leave out what comes meanwhile.
  async #place() {
    const { from = 'latest', filter } = this.#to.parameters
    if (this.#last === '' && from === 'latest') {
      this.#last = (await get(this.#to.page + query({ from, filter, limit: 1 }))).next
    }
  }

  // pause ends the connection, and keeps the place.
  pause() {
    if (this.running) this.#run++
    this.#close()
    this.#to.state('paused')
  }

  #close() {
    clearTimeout(this.#timer)
    this.#source?.close()
    this.#source = null
  }

  #open(parameters) {
    this.#close()
    const source = new EventSource(this.#to.url + query(parameters))
    this.#source = source
    source.onopen = () => this.#to.state('following')
    const record = e => {
      this.#last = e.lastEventId
      this.#to.record(e.data, e.type)
    }
    source.onmessage = record
    source.addEventListener('record', record)
    source.addEventListener('gap', e => {
      const g = JSON.parse(e.data)
      this.#to.notice('gap', `Gap: of ${g.stream}, partition ${g.partition}, the offsets from ${g.from} to ${g.to} cannot be read any more; retention took them, or the stream was made anew.`)
    })
    source.addEventListener('problem', e => this.#to.notice('problem', JSON.parse(e.data).detail))
    source.addEventListener('end', e => this.#end(JSON.parse(e.data).reason))
    source.onerror = () => this.#broken(source)
  }

  #end(reason) {
    if (reason === 'expired') this.#later() // with a new token; other ends heal by themselves
  }

  async #broken(source) {
    if (source !== this.#source) return
    this.#to.state('connecting again')
    if (source.readyState !== EventSource.CLOSED) return
    const run = this.#run
    const problem = await why(this.#to.url + query({ ...this.#to.parameters, lastEventId: this.#last }))
    if (run !== this.#run || source !== this.#source) return
    if (problem) this.#failed(problem)
    else this.#later() // the token had ended
  }

  #failed(problem) {
    if (problem.status >= 400 && problem.status < 500 && problem.status !== 429) this.#giveUp(problem)
    else this.#later()
  }

  #later() {
    this.#close()
    this.#to.state('connecting again')
    this.#timer = setTimeout(() => this.start(), again)
  }

  #giveUp(problem) {
    this.#close()
    this.#run++
    this.#to.state('not following')
    this.#to.problem(problem)
  }
}
