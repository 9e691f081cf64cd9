/** Whether only pictures without loss are wanted, also while the hand moves: kept for each person in this browser. */
export class Quality {
  #isHeld = $state(false)
  readonly #key: string

  constructor(accountId: string) {
    this.#key = `lossless-only ${accountId}`
    this.#isHeld = localStorage.getItem(this.#key) !== null
  }

  get isHeld(): boolean {
    return this.#isHeld
  }

  hold(isHeld: boolean): void {
    this.#isHeld = isHeld
    if (isHeld) localStorage.setItem(this.#key, '1')
    else localStorage.removeItem(this.#key)
  }
}
