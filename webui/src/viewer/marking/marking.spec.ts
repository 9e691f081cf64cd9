import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { failed, succeeded, type Failure, type Outcome } from '../../api'
import type { Figure } from './figures'
import type { Unacknowledged } from './keeping'
import { Marking, type Kept, type Place } from './marking.svelte'

const ANA = { id: 'ana', name: 'Ana Anić' }
const EVA = { id: 'eva', name: 'Eva Ević' }
const LENGTH: Figure = { study_uid: '1.2', series_uid: '1.2.3', instance_uid: '1.2.3.4', frame: 1, kind: 'length', points: [[0, 0], [3, 4]], text: '', length_mm: null }
const LONGER: Figure = { ...LENGTH, points: [[0, 0], [6, 8]] }
const AWAY: Failure = { kind: 'unreachable' }

const refused = (type: string, status: number, more = {}): Failure => ({ kind: 'refused', problem: { type, title: '', status, ...more }, retryAfterS: null })

/** An institution with its rules, over a line that can be cut before it or behind it. */
class Institution implements Place {
  rows = new Map<string, Kept>()
  kept: readonly Unacknowledged[] = []
  line: 'there' | 'cut' | 'answers are lost' = 'there'
  refusal: Failure | null = null
  #ids = 0

  constructor(readonly me = ANA) {}

  async list(): Promise<Outcome<{ measurements: Kept[] }>> {
    return this.#answer(() => succeeded({ measurements: [...this.rows.values()] }))
  }

  async keep(id: string, figure: Figure, tag: string | null): Promise<Outcome<Kept>> {
    return this.#answer(() => {
      const row = this.rows.get(id)
      if (this.refusal) return failed(this.refusal)
      if (!row && tag !== null) return failed(refused('no-such-measurement', 404))
      if (row && JSON.stringify(row.points) === JSON.stringify(figure.points)) return succeeded(row)
      if (row && row.tag !== tag) return failed(refused('changed-meanwhile', 412, { tag: row.tag }))
      const next = { ...figure, id, tag: String(Number(tag ?? 0) + 1), author: this.me }
      this.rows.set(id, next)
      return succeeded(next)
    })
  }

  async remove(id: string, tag: string): Promise<Outcome<void>> {
    return this.#answer(() => {
      const row = this.rows.get(id)
      if (!row) return failed(refused('no-such-measurement', 404))
      if (row.tag !== tag) return failed(refused('changed-meanwhile', 412, { tag: row.tag }))
      this.rows.delete(id)
      return succeeded(undefined)
    })
  }

  #answer<T>(work: () => Outcome<T>): Outcome<T> {
    if (this.line === 'cut') return failed(AWAY)
    const outcome = work()
    return this.line === 'there' ? outcome : failed(AWAY)
  }

  recall = () => [...this.kept]
  keepHere = (all: readonly Unacknowledged[]) => void (this.kept = JSON.parse(JSON.stringify(all)) as Unacknowledged[])
  newId = () => `id-${(this.#ids += 1)}`
}

const settled = () => vi.advanceTimersByTimeAsync(0)
const line = () => vi.advanceTimersByTimeAsync(6_000)
const points = (institution: Institution) => [...institution.rows.values()].map((row) => row.points)

let there: Institution
let marking: Marking

beforeEach(() => {
  vi.useFakeTimers()
  there = new Institution()
  marking = new Marking('1.2', ANA, there)
})

afterEach(() => {
  marking.stop()
  vi.useRealTimers()
})

describe('what is drawn', () => {
  it('is kept, moved and removed there', async () => {
    const id = marking.add(LENGTH)
    await settled()
    expect(points(there)).toEqual([LENGTH.points])
    marking.change(id, LONGER)
    await settled()
    expect([points(there), marking.marks.get(id)?.tag]).toEqual([[LONGER.points], '2'])
    marking.remove(id)
    await settled()
    expect([there.rows.size, marking.marks.size, marking.saving.kind, there.kept]).toEqual([0, 0, 'saved', []])
  })

  it('is undone and done again, removed ones too', async () => {
    const id = marking.add(LENGTH)
    marking.change(id, LONGER)
    await settled()
    marking.undo()
    await settled()
    expect(points(there)).toEqual([LENGTH.points])
    marking.undo()
    await settled()
    expect(there.rows.size).toBe(0)
    marking.redo()
    marking.redo()
    await settled()
    expect(points(there)).toEqual([LONGER.points])
    marking.remove(id)
    await settled()
    marking.undo()
    await settled()
    expect([points(there), marking.marks.get(id)?.figure]).toEqual([[LONGER.points], LONGER])
  })

  it('waits while the line is cut, and comes once when it is back', async () => {
    there.line = 'cut'
    const id = marking.add(LENGTH)
    await settled()
    marking.change(id, LONGER)
    await line()
    expect([marking.saving.kind, there.rows.size, marking.marks.size]).toEqual(['waiting', 0, 1])
    there.line = 'there'
    await line()
    expect([marking.saving.kind, points(there)]).toEqual(['saved', [LONGER.points]])
  })

  it('is made once where only the answers are lost, whatever became of it meanwhile', async () => {
    there.line = 'answers are lost'
    const id = marking.add(LENGTH)
    await settled()
    marking.change(id, LONGER)
    there.line = 'there'
    await line()
    expect([points(there), marking.marks.get(id)?.tag]).toEqual([[LONGER.points], '2'])
    there.line = 'answers are lost'
    marking.remove(id)
    await settled()
    there.line = 'there'
    await line()
    expect([there.rows.size, marking.saving.kind]).toEqual([0, 'saved'])
  })

  it('is there after a reload, and is sent then', async () => {
    there.line = 'cut'
    marking.add(LENGTH)
    await settled()
    marking.stop()
    there.line = 'there'
    marking = new Marking('1.2', ANA, there)
    expect([...marking.marks.values()].map(({ figure }) => figure)).toEqual([LENGTH])
    await settled()
    expect([points(there), there.kept]).toEqual([[LENGTH.points], []])
  })

  it('gives way to what was changed at another place', async () => {
    const id = marking.add(LENGTH)
    await settled()
    there.rows.set(id, { ...there.rows.get(id)!, points: [[1, 1], [2, 2]], tag: '2' })
    marking.change(id, LONGER)
    await settled()
    expect(marking.marks.get(id)?.figure.points).toEqual([[1, 1], [2, 2]])
  })

  it('stays in sight where it is refused, and stands in the way of nothing else', async () => {
    there.refusal = refused('other-institution', 403)
    marking.add(LENGTH)
    await settled()
    expect([marking.saving.kind, marking.marks.size, there.rows.size]).toEqual(['refused', 1, 0])
    there.refusal = null
    marking.add(LONGER)
    await settled()
    expect(points(there)).toEqual([LONGER.points])
    marking.retry()
    await settled()
    expect([there.rows.size, marking.saving.kind]).toEqual([2, 'saved'])
  })

  it('waits for whoever has to log in again', async () => {
    there.refusal = refused('token-ended', 401)
    marking.add(LENGTH)
    await settled()
    expect(marking.saving.kind).toBe('waiting')
    there.refusal = null
    await line()
    expect(points(there)).toEqual([LENGTH.points])
  })
})

describe('what others drew', () => {
  beforeEach(async () => {
    there.rows.set('theirs', { ...LENGTH, id: 'theirs', tag: '1', author: EVA })
    await marking.refresh()
  })

  it('is shown, and is not changed or removed here', async () => {
    marking.change('theirs', LONGER)
    marking.remove('theirs')
    await settled()
    expect([marking.marks.get('theirs')?.figure.points, there.rows.size]).toEqual([LENGTH.points, 1])
  })

  it('comes beside what is not acknowledged yet', async () => {
    there.line = 'cut'
    const id = marking.add(LENGTH)
    await settled()
    there.line = 'there'
    await marking.refresh()
    expect([...marking.marks.keys()].sort()).toEqual([id, 'theirs'].sort())
  })
})
