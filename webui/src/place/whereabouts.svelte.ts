import { askPlace, type Place } from '../api'

const LOOK_EVERY_MS = 30_000

/** Whose server the page comes from, and whether the central one can be reached: from there, or from here. */
export class Whereabouts {
  place: Place = $state.raw({ kind: 'toplevel' })
  /** Of a page that comes from the toplevel itself: whether that answers no longer. */
  isSilent = $state(false)

  readonly #ask: typeof askPlace

  constructor(ask: typeof askPlace = askPlace) {
    this.#ask = ask
  }

  get isToplevelAway(): boolean {
    return this.place.kind === 'institution' ? this.place.is_toplevel_away : this.isSilent
  }

  /** Whoever the page comes from has answered, or has not. */
  note(isAway: boolean): void {
    if (this.isSilent === isAway) return
    this.isSilent = isAway
  }

  async look(): Promise<void> {
    const outcome = await this.#ask()
    if (outcome.ok) this.place = outcome.value
  }

  /** Looks again and again where the answer may become another; how to stop that. */
  watch(): () => void {
    const timer = setInterval(() => {
      if (this.place.kind === 'institution' || this.isSilent) void this.#lookAgain()
    }, LOOK_EVERY_MS)
    return () => clearInterval(timer)
  }

  async #lookAgain(): Promise<void> {
    const outcome = await this.#ask()
    if (outcome.ok) this.place = outcome.value
    if (outcome.ok || outcome.failure.kind !== 'unreachable') this.note(false)
  }
}
