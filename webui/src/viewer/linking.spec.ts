import { beforeEach, describe, expect, it } from 'vitest'
import type { Series } from '../api'
import { Desk } from './desk.svelte'
import { follow, pointAt } from './linking'
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

describe('two stacks of one frame of reference', () => {
  const beside = (second: Stage) => {
    desk.lay({ rows: 1, columns: 2 })
    desk.put(second, 1)
    return second
  }

  it('scroll together by position, not by number', () => {
    const coarse = beside(stageOf('2', 5))
    desk.stage!.scrollTo(20)
    follow(desk)

    expect(coarse.index).toBe(8)
  })

  it('scroll alone where they are not linked, or lie elsewhere', () => {
    const foreign = beside(stageOf('2', 5, '8'))
    const before = foreign.index
    desk.stage!.scrollTo(3)
    follow(desk)
    expect(foreign.index).toBe(before)

    const coarse = beside(stageOf('2', 5))
    desk.isLinked = false
    follow(desk)
    expect(coarse.index).toBe(before)
  })

  it('go to where somebody pointed, in every direction', () => {
    desk.showPlanes()
    const [axial, coronal, sagittal] = desk.slots
    pointAt(desk, axial!, { x: 20.4, y: -30.2 })

    expect([axial!.index, coronal!.index, sagittal!.index]).toEqual([25, 19, 70])
    expect(desk.aim?.point).toEqual([20.4, -30.2, 48])
  })
})
