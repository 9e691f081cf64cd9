import { describe, expect, it } from 'vitest'
import { Desk } from '../viewer/desk.svelte'
import { Stage } from '../viewer/stage.svelte'
import type { Subject } from '../viewer/view'
import type { StudyObject } from './contract'
import { papersOf } from './papers.svelte'

const paper = (uid: string): StudyObject => ({
  series_uid: '1', instance_uid: uid, kind: 'report', title: '', date: '', about_series: [], frame_of_reference_uid: '', duration_s: null,
})
const picture = (): Stage =>
  new Stage({ series: { slices: [], volume: { ok: false }, volume_presets: [] } } as unknown as Subject)

describe('papers on a desk', () => {
  it('lie beside the picture in hand, which stays', () => {
    const desk = new Desk()
    const stage = picture()
    desk.put(stage)

    papersOf(desk).open(paper('a'))

    expect(desk.slots).toEqual([stage, null])
    expect(papersOf(desk).at(1)?.instance_uid).toBe('a')
    expect(desk.stage).toBe(stage)
  })

  it('lie in the middle where there is no picture', () => {
    const desk = new Desk()
    papersOf(desk).open(paper('a'))
    papersOf(desk).open(paper('b'))

    expect(desk.slots).toEqual([null])
    expect(papersOf(desk).at(0)?.instance_uid).toBe('b')
  })

  it('take the last place of another picture where all have one', () => {
    const desk = new Desk()
    desk.lay({ rows: 1, columns: 3 })
    const [first, second, third] = [picture(), picture(), picture()]
    desk.put(first, 0)
    desk.put(second, 1)
    desk.put(third, 2)
    desk.active = 2

    papersOf(desk).open(paper('a'))

    expect(desk.slots).toEqual([first, null, third])
    expect(papersOf(desk).at(1)?.instance_uid).toBe('a')
  })

  it('lie nowhere twice, and make room for a picture', () => {
    const desk = new Desk()
    desk.put(picture())
    papersOf(desk).open(paper('a'))
    papersOf(desk).open(paper('a'))
    expect(desk.slots.length).toBe(2)

    desk.put(picture(), 1)
    expect(papersOf(desk).at(1)).toBeNull()
    expect(papersOf(desk).isOpen(paper('a'))).toBe(false)
  })
})
