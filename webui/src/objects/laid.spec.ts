import { describe, expect, it } from 'vitest'
import { failed, succeeded, type Entrances } from '../api'
import type { Subject } from '../viewer/view'
import type { LaidOver, StudyObject } from './contract'
import { BLOCK, isAbout, Laid, LaidObjects } from './laid.svelte'

const OBJECT: StudyObject = {
  series_uid: '9', instance_uid: '9.1', kind: 'segmentation', title: '', date: '', about_series: ['1'], frame_of_reference_uid: '7', duration_s: null,
}
const subject = (seriesUid = '1', frameOfReferenceUid: string | null = '7'): Subject =>
  ({ nodeUrl: 'n', studyUid: 's', series: { series_uid: seriesUid, frame_of_reference_uid: frameOfReferenceUid } }) as Subject
const shape = (number: number, path: string) => ({ number, path, matrix: [1, 0, 0, 1, 0, 0] as [number, number, number, number, number, number], opacity: 1, is_closed: true })

function node(answers: (LaidOver | null)[]): { asked: string[]; entrances: Entrances } {
  const asked: string[] = []
  const getJson = async (_: string, path: string) => {
    asked.push(path)
    const answer = answers.shift()
    return answer ? succeeded(answer) : failed({ kind: 'unreachable' })
  }
  return { asked, entrances: { getJson } as unknown as Entrances }
}
const answer = (): LaidOver => ({
  regions: [{ number: 1, name: 'Liver', colour: '#ff0000' }, { number: 2, name: 'Spleen', colour: '#00ff00' }],
  slices: Array.from({ length: BLOCK }, (_, index) => (index === 3 ? [shape(1, 'a'), shape(2, 'b')] : [])),
  unplaced: 0,
})

describe('what is laid over pictures', () => {
  it('is asked for once for all slices of a block', async () => {
    const { asked, entrances } = node([answer()])
    const laid = new Laid(OBJECT)
    await Promise.all([3, 4, 5].map((offset) => laid.want(subject(), BLOCK + offset, entrances)))

    expect(asked).toEqual([`/api/studies/s/series/1/regions?object=9.1&first=${BLOCK + 1}&count=${BLOCK}`])
    expect(laid.shapesOn('1', BLOCK + 3).map(({ path }) => path)).toEqual(['a', 'b'])
    expect(laid.shapesOn('1', 3)).toEqual([])
  })

  it('can be hidden region by region', async () => {
    const { entrances } = node([answer()])
    const laid = new Laid(OBJECT)
    await laid.want(subject(), 3, entrances)
    laid.toggle(1)
    expect(laid.shapesOn('1', 3).map(({ path }) => path)).toEqual(['b'])
    laid.toggle(1)
    expect(laid.shapesOn('1', 3)).toHaveLength(2)
  })

  it('is asked for again where the line was lost', async () => {
    const { asked, entrances } = node([null, answer()])
    const laid = new Laid(OBJECT)
    await laid.want(subject(), 3, entrances)
    expect(laid.shapesOn('1', 3)).toEqual([])
    await laid.want(subject(), 3, entrances)
    expect(asked).toHaveLength(2)
    expect(laid.shapesOn('1', 3)).toHaveLength(2)
  })

  it('is never asked for over a series of another space that it does not name', async () => {
    const { asked, entrances } = node([answer()])
    await new Laid(OBJECT).want(subject('2', '8'), 3, entrances)
    expect(asked).toEqual([])
    expect(isAbout(OBJECT, subject('2', '7'))).toBe(true)
    expect(isAbout(OBJECT, subject('1', null))).toBe(true)
  })

  it('is taken away as it came', () => {
    const all = new LaidObjects()
    all.toggle(OBJECT)
    expect(all.of(OBJECT)).not.toBeNull()
    all.toggle(OBJECT)
    expect(all.of(OBJECT)).toBeNull()
  })
})
