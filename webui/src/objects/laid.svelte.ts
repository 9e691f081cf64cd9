import type { Entrances } from '../api'
import type { Desk } from '../viewer/desk.svelte'
import type { Subject } from '../viewer/view'
import type { LaidOver, Region, Shape, StudyObject } from './contract'

/** Slices that are asked for together: what lies on them is short, and a round trip is long. */
export const BLOCK = 32

export const isLaidOver = ({ kind }: StudyObject): boolean => kind === 'segmentation' || kind === 'structures'

/** Whether an object may lie on a series: it names it, or both are of one space. */
export function isAbout(one: StudyObject, { series }: Pick<Subject, 'series'>): boolean {
  const space = series.frame_of_reference_uid
  return one.about_series.includes(series.series_uid) || (space !== null && one.frame_of_reference_uid === space)
}

/** A segmentation or a structure set that is laid over the pictures. */
export class Laid {
  readonly object: StudyObject
  regions: readonly Region[] = $state.raw([])
  unplaced: number | null = $state(null)
  hidden: ReadonlySet<number> = $state.raw(new Set())
  /** Of a block of slices of a series; null while it is on its way. */
  #blocks: ReadonlyMap<string, readonly Shape[][] | null> = $state.raw(new Map())

  constructor(object: StudyObject) {
    this.object = object
  }

  /** What is seen of it on a slice, counted from 0. */
  shapesOn(seriesUid: string, index: number): readonly Shape[] {
    const shapes = this.#blocks.get(blockOf(seriesUid, index))?.[index % BLOCK] ?? []
    return shapes.filter(({ number }) => !this.hidden.has(number))
  }

  toggle(number: number): void {
    const hidden = new Set(this.hidden)
    if (!hidden.delete(number)) hidden.add(number)
    this.hidden = hidden
  }

  /** What lies on a slice is here, or comes. What did not come is asked for again when the slice is seen again. */
  async want(subject: Subject, index: number, entrances: Entrances): Promise<void> {
    const { nodeUrl, studyUid, series } = subject
    const name = blockOf(series.series_uid, index)
    if (this.#blocks.has(name) || !isAbout(this.object, subject)) return
    this.#keep(name, null)
    const first = Math.floor(index / BLOCK) * BLOCK + 1
    const path = `/api/studies/${studyUid}/series/${series.series_uid}/regions?object=${this.object.instance_uid}&first=${first}&count=${BLOCK}`
    const outcome = await entrances.getJson<LaidOver>(nodeUrl, path)
    if (!outcome.ok) return this.#forget(name)
    this.regions = outcome.value.regions
    this.unplaced = outcome.value.unplaced
    this.#keep(name, outcome.value.slices)
  }

  #keep(name: string, slices: readonly Shape[][] | null): void {
    this.#blocks = new Map(this.#blocks).set(name, slices)
  }

  #forget(name: string): void {
    this.#blocks = new Map([...this.#blocks].filter(([one]) => one !== name))
  }
}

const blockOf = (seriesUid: string, index: number): string => `${seriesUid} ${Math.floor(index / BLOCK)}`

/** All that is laid over the pictures of a desk. */
export class LaidObjects {
  all: readonly Laid[] = $state.raw([])

  of(object: StudyObject): Laid | null {
    return this.all.find((one) => one.object.instance_uid === object.instance_uid) ?? null
  }

  toggle(object: StudyObject): void {
    const there = this.of(object)
    this.all = there ? this.all.filter((one) => one !== there) : [...this.all, new Laid(object)]
  }
}

const LAID = new WeakMap<Desk, LaidObjects>()

export function laidOn(desk: Desk): LaidObjects {
  const known = LAID.get(desk) ?? new LaidObjects()
  LAID.set(desk, known)
  return known
}
