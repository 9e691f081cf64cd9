import type { Desk } from '../viewer/desk.svelte'
import type { StudyObject } from './contract'

/** What lies on the empty places of a desk, to be read beside the pictures. */
export class Papers {
  #byPlace: Readonly<Record<number, StudyObject>> = $state.raw({})
  readonly #desk: Desk

  constructor(desk: Desk) {
    this.#desk = desk
  }

  /** Of a place; null where there is none, or a picture. */
  at(place: number): StudyObject | null {
    return this.#desk.slots[place] ? null : (this.#byPlace[place] ?? null)
  }

  isOpen(paper: StudyObject): boolean {
    return this.#desk.slots.some((_, place) => this.at(place)?.instance_uid === paper.instance_uid)
  }

  /** Beside the picture in hand, which stays: on an empty place, else on one more, else instead of another picture. */
  open(paper: StudyObject): void {
    const desk = this.#desk
    if (this.isOpen(paper)) return
    if (desk.stage && desk.slots.length === 1) desk.lay({ rows: 1, columns: 2 })
    const places = desk.slots.map((_, place) => place)
    const free = places.filter((place) => !desk.slots[place])
    const place = free.find((one) => !this.at(one)) ?? free.at(-1) ?? places.findLast((one) => one !== desk.active) ?? 0
    if (desk.slots[place]) desk.slots = desk.slots.map((one, index) => (index === place ? null : one))
    this.#byPlace = { ...this.#byPlace, [place]: paper }
  }

  close(place: number): void {
    const { [place]: _, ...others } = this.#byPlace
    this.#byPlace = others
  }
}

const PAPERS = new WeakMap<Desk, Papers>()

/** Those of a desk: no part of it has to carry them for the others. */
export function papersOf(desk: Desk): Papers {
  const known = PAPERS.get(desk) ?? new Papers(desk)
  PAPERS.set(desk, known)
  return known
}
