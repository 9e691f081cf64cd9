import { beforeEach, describe, expect, it } from 'vitest'
import { Desk } from './desk.svelte'
import { stageOf } from './series.fixture'

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
