import type { Vector } from '../api'
import type { Marks } from './marking'
import { Stage } from './stage.svelte'
import type { Mode } from './view'

export interface Layout {
  readonly rows: number
  readonly columns: number
}

export const LAYOUTS: readonly Layout[] = [
  { rows: 1, columns: 1 },
  { rows: 1, columns: 2 },
  { rows: 1, columns: 3 },
  { rows: 2, columns: 2 },
  { rows: 2, columns: 3 },
  { rows: 3, columns: 3 },
]

/** A place of the patient that somebody pointed at. */
export interface Aim {
  readonly point: Vector
  readonly frameOfReferenceUid: string
}

const PLANES: readonly Mode[] = ['axial', 'coronal', 'sagittal', 'volume']

/** Several series, or several ways to look at one, beside each other; one of them is in hand. */
export class Desk {
  layout: Layout = $state.raw({ rows: 1, columns: 1 })
  slots: readonly (Stage | null)[] = $state.raw([null])
  active = $state(0)
  /** Whether stacks of one frame of reference scroll together. */
  isLinked = $state(true)
  aim: Aim | null = $state.raw(null)
  /** Null until it has come, after the first picture. */
  marks: Marks | null = $state.raw(null)

  /** What becomes of a series that is let fall on a place and is not of the study that was opened. */
  takeForeign: ((seriesUid: string, place: number) => void) | null = null

  readonly stage = $derived.by(() => this.slots[this.active] ?? null)

  /** What is in hand stays in sight: where it would fall off, it becomes the first. */
  lay(layout: Layout): void {
    const count = layout.rows * layout.columns
    const kept = this.active < count ? this.slots : [this.stage, ...this.slots.filter((_, index) => index !== this.active)]
    if (this.active >= count) this.active = 0
    this.slots = Array.from({ length: count }, (_, index) => kept[index] ?? null)
    this.layout = layout
  }

  put(stage: Stage, at = this.active): void {
    this.slots = this.slots.map((one, index) => (index === at ? stage : one))
  }

  take(index: number): void {
    const next = this.slots[index]
    if (!next || index === this.active) return
    if (this.stage) next.take(this.stage.tool)
    this.active = index
  }

  /** The three planes of what is in hand, and all of it. */
  showPlanes(): void {
    const subject = this.stage?.subject
    if (!subject?.series.volume.ok) return
    this.layout = { rows: 2, columns: 2 }
    this.active = 0
    this.slots = PLANES.map((mode) => {
      const stage = new Stage(subject)
      stage.show(mode)
      return stage
    })
  }
}
