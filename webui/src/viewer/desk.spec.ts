import { beforeEach, describe, expect, it } from 'vitest'
import type { Series } from '../api'
import { Desk } from './desk.svelte'
import { Stage } from './stage.svelte'
import { subjectOf } from './view'

/** Slices over the same 100 mm, so many mm apart. */
const series = (uid: string, apartMm: number, frameOfReference: string | null = '9') =>
  ({
    series_uid: uid,
    frame_of_reference_uid: frameOfReference,
    is_colour: false,
    volume_presets: ['bone'],
    presets: [],
    slices: Array.from({ length: 100 / apartMm }, (_, index) => ({
      instance_uid: `${uid}.${index}`,
      frame: 1,
      rows: 100,
      columns: 100,
      position: [-49.5, -49.5, index * apartMm],
      orientation: [1, 0, 0, 0, 1, 0],
      pixel_spacing: [1, 1],
      window: [40, 400],
    })),
    volume: { ok: true, center: [0, 0, 50 - apartMm / 2], size_mm: [100, 100, 100], warnings: [] },
  }) as unknown as Series

const stageOf = (...parts: Parameters<typeof series>) => new Stage(subjectOf('', '1.1', series(...parts)))

let desk: Desk
beforeEach(() => {
  desk = new Desk()
  desk.put(stageOf('1', 2))
})

describe('a desk', () => {
  it('has one place until it is laid anew', () => expect(desk.slots).toHaveLength(1))

  it('keeps what is in hand where it is made smaller', () => {
    desk.lay({ rows: 2, columns: 2 })
    const second = stageOf('2', 5)
    desk.put(second, 3)
    desk.take(3)
    desk.lay({ rows: 1, columns: 1 })

    expect([desk.stage, desk.slots.length]).toEqual([second, 1])
  })

  it('takes no empty place in hand', () => {
    desk.lay({ rows: 1, columns: 2 })
    desk.take(1)

    expect(desk.active).toBe(0)
  })

  it('shows three planes and the whole of what is in hand', () => {
    desk.showPlanes()

    expect(desk.slots.map((stage) => stage?.mode)).toEqual(['axial', 'coronal', 'sagittal', 'volume'])
  })
})
