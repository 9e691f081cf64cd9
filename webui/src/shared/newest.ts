import { failed, type Outcome } from '../api'

/** Lets only the newest of a kind of request live: asking again takes back the one before. */
export class Newest {
  #controller: AbortController | null = null

  async ask<T>(request: (signal: AbortSignal) => Promise<Outcome<T>>): Promise<Outcome<T>> {
    this.stop()
    const controller = new AbortController()
    this.#controller = controller
    const outcome = await request(controller.signal)
    // An answer that was complete before it was taken back is stale all the same.
    return controller.signal.aborted ? failed({ kind: 'aborted' }) : outcome
  }

  stop(): void {
    this.#controller?.abort()
    this.#controller = null
  }
}
