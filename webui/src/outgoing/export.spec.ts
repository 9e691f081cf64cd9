import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { failed, succeeded, type Entrances, type Outcome } from '../api'
import { ExportRun, type ExportState, type ExportTold } from './export.svelte'

const told = (state: ExportState, done = 0): ExportTold => ({
  id: 'e1', state, instances: 2, size_bytes: 10, instances_done: done, bytes_done: done * 5, is_anonymised: false, left_out: [], failure: '',
})

function node(answers: Outcome<ExportTold>[]) {
  const asked: string[] = []
  const note = (method: string) => (_base: string, path: string, body?: unknown) => {
    asked.push(`${method} ${path}${body ? ` ${JSON.stringify(body)}` : ''}`)
    return Promise.resolve(answers.shift() ?? succeeded(told('done', 2)))
  }
  const entrances = { postJson: note('POST'), getJson: note('GET'), delete: note('DELETE'), enter: () => Promise.resolve(succeeded(undefined)) }
  return { asked, entrances: entrances as unknown as Entrances }
}

describe('an export', () => {
  const saved: string[] = []
  let isHeld = false
  const save = (address: string) => {
    saved.push(address)
    isHeld = true
    return () => (isHeld = false)
  }

  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => {
    vi.useRealTimers()
    saved.length = 0
  })

  it('is saved by the browser and followed to its end', async () => {
    const { asked, entrances } = node([succeeded(told('waiting')), succeeded(told('running', 1)), succeeded(told('done', 2))])
    const run = new ExportRun(entrances, 'https://node', save)

    await run.begin({ study_uid: '1.2', series_uid: null, dates: null })
    expect(saved).toEqual(['https://node/api/exports/e1/media'])
    expect(run.isBusy).toBe(true)
    await vi.advanceTimersByTimeAsync(500)
    expect(run.told?.instances_done).toBe(1)
    await vi.advanceTimersByTimeAsync(500)

    expect(run.isBusy).toBe(false)
    expect(isHeld).toBe(false)
    expect(asked).toEqual(['POST /api/exports {"study_uid":"1.2"}', 'GET /api/exports/e1', 'GET /api/exports/e1'])
  })

  it('of nobody is asked for at its own door', async () => {
    const { asked, entrances } = node([succeeded(told('waiting'))])

    await new ExportRun(entrances, 'https://node', save).begin({ study_uid: '1.2', series_uid: '1.2.3', dates: 'shifted' })

    expect(asked).toEqual(['POST /api/exports/anonymised {"study_uid":"1.2","series_uid":"1.2.3","dates":"shifted"}'])
  })

  it('that is refused is not saved, and says why', async () => {
    const failure = { kind: 'refused', problem: { type: 'nothing-to-anonymise', title: '', status: 409 }, retryAfterS: null } as const
    const { entrances } = node([failed(failure)])
    const run = new ExportRun(entrances, 'https://node', save)

    await run.begin({ study_uid: '1.2', series_uid: null, dates: 'removed' })

    expect(saved).toEqual([])
    expect(run.failure).toEqual(failure)
    expect(run.isBusy).toBe(false)
  })

  it('is stopped at the node', async () => {
    const { asked, entrances } = node([succeeded(told('waiting')), succeeded(told('stopped')), succeeded(told('stopped'))])
    const run = new ExportRun(entrances, 'https://node', save)
    await run.begin({ study_uid: '1.2', series_uid: null, dates: null })

    await run.stop()

    expect(asked.at(-2)).toBe('DELETE /api/exports/e1')
    expect(run.told?.state).toBe('stopped')
    expect(isHeld).toBe(false)
  })

  it('goes on being followed when a question went astray', async () => {
    const { entrances } = node([succeeded(told('waiting')), failed({ kind: 'unreachable' }), succeeded(told('done', 2))])
    const run = new ExportRun(entrances, 'https://node', save)
    await run.begin({ study_uid: '1.2', series_uid: null, dates: null })

    await vi.advanceTimersByTimeAsync(1000)

    expect(run.failure).toBeNull()
    expect(run.told?.state).toBe('done')
  })
})
