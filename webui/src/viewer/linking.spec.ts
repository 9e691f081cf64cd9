import { beforeEach, describe, expect, it } from 'vitest'
import { Desk } from './desk.svelte'
import { follow, pointAt } from './linking'
import { stageOf } from './series.fixture'
import type { Stage } from './stage.svelte'

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

  it('scroll alone where they are not linked', () => {
    const coarse = beside(stageOf('2', 5))
    const before = coarse.index
    desk.isLinked = false
    desk.stage!.scrollTo(3)
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

describe('stacks of two frames of reference', () => {
  let prior: Stage
  beforeEach(() => {
    desk.lay({ rows: 1, columns: 2 })
    prior = stageOf('2', 5, '8')
    desk.put(prior, 1)
    desk.isLinked = false
    follow(desk)
  })

  it('keep the distance in millimetres at which they were linked', () => {
    desk.stage!.scrollTo(10)
    prior.scrollTo(2)
    desk.isLinked = true
    follow(desk)
    expect(prior.index).toBe(2)

    desk.stage!.scrollTo(20)
    follow(desk)
    // 20 mm further.
    expect(prior.index).toBe(6)
  })

  it('lead each other from either side', () => {
    desk.stage!.scrollTo(10)
    prior.scrollTo(2)
    desk.isLinked = true
    follow(desk)
    desk.take(1)
    prior.scrollTo(4)
    follow(desk)

    expect(desk.slots[0]!.index).toBe(15)
  })

  it('come back together from beyond the end of one', () => {
    desk.stage!.scrollTo(10)
    prior.scrollTo(18)
    desk.isLinked = true
    follow(desk)
    desk.stage!.scrollTo(40)
    follow(desk)
    expect(prior.index).toBe(19)

    desk.stage!.scrollTo(10)
    follow(desk)
    expect(prior.index).toBe(18)
  })

  it('are left alone where they do not lie alike', () => {
    desk.isLinked = true
    prior.show('coronal')
    const before = prior.index
    follow(desk)
    desk.stage!.scrollTo(3)
    follow(desk)

    expect(prior.index).toBe(before)
  })
})
