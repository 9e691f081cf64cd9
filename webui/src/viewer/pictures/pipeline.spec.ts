import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { failed, succeeded, type Outcome, type Series } from '../../api'
import { fitted } from '../geometry/framing'
import { extentOf, subjectOf, WHOLE_SPACE, type Scene, type View } from '../view'
import { pictureRequest, type PictureRequest } from './address'
import type { Picture, ProvenFrame } from './load'
import { Pace } from './pace'
import { PicturePipeline, type PipelineState } from './pipeline'
import { ROOM } from './requests'
import type { StoredFrame } from './stored-values'

const slices = Array.from({ length: 20 }, (_, index) => ({
  instance_uid: `1.${index}`,
  frame: 1,
  rows: 64,
  columns: 64,
  position: [0, 0, index],
  orientation: [1, 0, 0, 0, 1, 0],
  pixel_spacing: [1, 1],
}))
const SUBJECT = subjectOf('https://node.example', '1.1', {
  series_uid: '1.2',
  slices,
  volume: { ok: true, center: [0, 0, 0], size_mm: [64, 64, 20], warnings: [] },
} as unknown as Series)

function view(scene: Scene): View {
  return { scene, window: null, voi: null, invert: false, framing: fitted(extentOf(scene, SUBJECT)), pane: { width: 64, height: 64 } }
}
const frame = (index: number) => view({ kind: 'frame', index })

const FRAME_MS = 16

/** A node that answers when the test says so, and a screen that keeps what it was told. */
class Scenery {
  readonly pace = new Pace()
  readonly asked: { name: string; request: PictureRequest; signal: AbortSignal; answer: (outcome: Outcome<Picture>) => void }[] = []
  readonly closed: string[] = []
  state: PipelineState = { shown: null, progress: { kind: 'loading' }, isProven: false }
  readonly valuesAsked: {
    path: string
    picture: () => Promise<Picture | null>
    signal: AbortSignal
    answer: (outcome: Outcome<ProvenFrame | null>) => void
  }[] = []
  isLosslessOnly = false
  readonly pipeline = new PicturePipeline(
    {
      pace: this.pace,
      share: () => 1,
      isLosslessOnly: () => this.isLosslessOnly,
      load: (request, _purpose, signal) =>
        new Promise((resolve) => this.asked.push({ name: nameOf(request), request, signal, answer: resolve })),
      loadValues: ({ path }, picture, signal) =>
        new Promise((resolve) => this.valuesAsked.push({ path, picture, signal, answer: resolve })),
      drawHere: (_values, { window }, request) => (window ? this.picture(request, 1) : null),
      nextFrame: (happen) => setTimeout(happen, FRAME_MS),
    },
    (state) => (this.state = state),
  )

  async answerValues(outcome: Outcome<ProvenFrame | null> = succeeded({ frame: {} as StoredFrame, sizeBytes: 1000, bodyBytes: 500, isFromLine: true })): Promise<void> {
    const one = this.valuesAsked.pop()
    if (!one) throw new Error('no values were asked for')
    one.answer(outcome)
    await vi.advanceTimersByTimeAsync(0)
  }

  names(): string[] {
    return this.asked.map(({ name }) => name)
  }

  async answer(name: string, outcome?: Outcome<Picture>, completeness = 1): Promise<void> {
    const index = this.asked.findLastIndex((one) => one.name === name)
    const [one] = this.asked.splice(index, 1)
    if (!one) throw new Error(`${name} was not asked for`)
    one.answer(outcome ?? succeeded(this.picture(one.request, completeness)))
    await vi.advanceTimersByTimeAsync(0)
  }

  picture(request: PictureRequest, completeness: number): Picture {
    const bitmap = { width: 64, height: 64, close: () => this.closed.push(nameOf(request)) } as unknown as ImageBitmap
    return { request, bitmap, sizeBytes: 64 * 64 * 4, bodyBytes: 2000, isFromLine: true, serverMs: 0, completeness, reduced: null, window: null }
  }

  shown(): string | null {
    return this.state.shown && nameOf(this.state.shown.picture.request)
  }
}

/** "draft 3" for slice 3, "final plane". */
const nameOf = ({ path, grade }: PictureRequest) => `${grade} ${/instances\/1\.(\d+)/.exec(path)?.[1] ?? 'plane'}`

let scenery: Scenery
beforeEach(() => {
  vi.useFakeTimers()
  scenery = new Scenery()
})
afterEach(() => {
  scenery.pipeline.close()
  vi.useRealTimers()
})

describe('the first picture', () => {
  it('is asked for as a draft and in full at once', () => {
    scenery.pipeline.want(frame(0), SUBJECT, [])

    expect(scenery.names()).toEqual(['draft 0', 'final 0'])
  })

  it('says nothing of the line where it came from the browser\'s cache', async () => {
    scenery.pipeline.want(frame(0), SUBJECT, [])
    const [draft] = scenery.asked
    await scenery.answer('draft 0', succeeded({ ...scenery.picture(draft!.request, 1), isFromLine: false }))
    expect(scenery.pace.measured).toBeNull()

    await scenery.answer('final 0')
    expect(scenery.pace.measured).not.toBeNull()
  })

  it('is settled when it has come in full, whatever the order', async () => {
    scenery.pipeline.want(frame(0), SUBJECT, [])
    await scenery.answer('final 0')

    expect([scenery.shown(), scenery.state.progress.kind]).toEqual(['final 0', 'settled'])
    expect(scenery.asked[0]?.signal.aborted).toBe(false)

    await scenery.answer('draft 0')
    expect(scenery.shown()).toBe('final 0')
  })
})

describe('while the hand moves', () => {
  beforeEach(async () => {
    scenery.pipeline.want(frame(0), SUBJECT, [])
    await scenery.answer('draft 0')
    await scenery.answer('final 0')
  })

  it('only drafts are asked for, and the final one when it rests', async () => {
    scenery.pipeline.want(frame(1), SUBJECT, [])
    expect(scenery.names()).toEqual(['draft 1'])

    await vi.advanceTimersByTimeAsync(200)

    expect(scenery.names()).toEqual(['draft 1', 'final 1'])
  })

  it('a picture that was seen before comes back at once and settled', async () => {
    scenery.pipeline.want(frame(15), SUBJECT, [])
    scenery.pipeline.want(frame(0), SUBJECT, [])

    expect([scenery.shown(), scenery.state.progress.kind]).toEqual(['final 0', 'settled'])
  })
})

describe('a hand that goes through the stack', () => {
  const seen: string[] = []
  const wait = async (frames: number) => {
    for (let frame = 0; frame < frames; frame += 1) {
      await vi.advanceTimersByTimeAsync(FRAME_MS)
      const shown = scenery.shown()
      if (shown && shown !== seen.at(-1)) seen.push(shown)
    }
  }

  beforeEach(async () => {
    seen.length = 0
    scenery.pipeline.want(frame(0), SUBJECT, [])
    await vi.advanceTimersByTimeAsync(35)
    await scenery.answer('draft 0')
    await scenery.answer('final 0')
  })

  it('sees every slice that it passed, in order, whatever the order of the answers', async () => {
    for (const index of [1, 2, 3]) scenery.pipeline.want(frame(index), SUBJECT, [])
    await scenery.answer('draft 3')
    await scenery.answer('draft 2')
    await wait(3)
    expect(seen).toEqual(['final 0'])

    await scenery.answer('draft 1')
    await wait(4)

    expect(seen).toEqual(['final 0', 'draft 1', 'draft 2', 'draft 3'])
  })

  it('sees each for a frame of the screen at least, though all came at once', async () => {
    for (const index of [1, 2, 3]) scenery.pipeline.want(frame(index), SUBJECT, [])
    for (const name of ['draft 1', 'draft 2', 'draft 3']) await scenery.answer(name)

    await wait(1)
    expect(scenery.shown()).toBe('draft 1')
    await wait(1)
    expect(scenery.shown()).toBe('draft 2')
  })

  it('sees those too that lie between two notches of a fast wheel', async () => {
    scenery.pipeline.want(frame(4), SUBJECT, [])

    expect(scenery.names()).toEqual(['draft 1', 'draft 2', 'draft 3', 'draft 4'])
  })

  it('sees the way back after the way there', async () => {
    for (const index of [1, 2, 1]) scenery.pipeline.want(frame(index), SUBJECT, [])
    for (const name of ['draft 1', 'draft 2']) await scenery.answer(name)
    await wait(4)

    expect(seen).toEqual(['draft 1', 'draft 2', 'draft 1'])
  })

  it('gets the final picture after all that it passed', async () => {
    for (const index of [1, 2]) scenery.pipeline.want(frame(index), SUBJECT, [])
    await vi.advanceTimersByTimeAsync(200)
    expect(scenery.names()).toEqual(['draft 1', 'draft 2', 'final 2'])

    for (const name of ['final 2', 'draft 2']) await scenery.answer(name)
    expect(scenery.state.progress.kind).toBe('loading')
    await scenery.answer('draft 1')
    await wait(3)

    expect(seen).toEqual(['draft 1', 'final 2'])
    expect(scenery.state.progress.kind).toBe('settled')
  })

  it('leaves what it had not seen when it jumps, and nothing of it stays on the line', async () => {
    for (const index of [1, 2]) scenery.pipeline.want(frame(index), SUBJECT, [])
    const passed = [...scenery.asked]
    scenery.pipeline.want(frame(19), SUBJECT, [])

    expect(passed.map(({ signal }) => signal.aborted)).toEqual([true, true])
    await scenery.answer('draft 19')
    expect(scenery.shown()).toBe('draft 19')
  })

  it('is told of a slice that cannot be had, and sees the others', async () => {
    for (const index of [1, 2]) scenery.pipeline.want(frame(index), SUBJECT, [])
    const problem = { type: 'not-found', title: '', status: 404 }
    await scenery.answer('draft 1', failed({ kind: 'refused', problem, retryAfterS: null }))
    await scenery.answer('draft 2')
    await wait(2)

    expect(scenery.shown()).toBe('draft 2')
    expect(scenery.state.progress.kind).toBe('failed')
  })

  it('is not held up by a plane of a volume that is not whole yet', async () => {
    const plane = (index: number) => view({ kind: 'plane', axis: 'axial', index, slab: { mm: 0, method: 'average_ip' } })
    scenery.pipeline.want(plane(3), SUBJECT, [])
    scenery.pipeline.want(plane(4), SUBJECT, [])
    await scenery.answer('draft plane', undefined, 0.5)
    await wait(1)

    expect(scenery.state.shown?.view.scene).toMatchObject({ index: 4 })
  })

  it('sees coarser pictures when many wait', async () => {
    for (let index = 1; index < 20; index += 1) scenery.pipeline.want(frame(index), SUBJECT, [])
    const first = scenery.asked[0]!.request.fineness!
    await vi.advanceTimersByTimeAsync(35)
    await scenery.answer('draft 1')

    expect(scenery.asked.at(-1)!.request.fineness!.side).toBeLessThan(first.side)
  })
})

describe('a hand that turns a volume without a rest', () => {
  const STEP_MS = 33
  const DRAWING_MS = 70
  const turned = (step: number) => view({ kind: 'volume', turn: { azimuth: step / 100, elevation: 0 }, material: 'bone', space: WHOLE_SPACE })

  /** Draws one after the other, the newest that is still waited for first, as a render process does. */
  async function drawing(forMs: number): Promise<void> {
    for (let ms = 0; ms < forMs; ms += DRAWING_MS) {
      const newest = scenery.asked.findLast(({ signal }) => !signal.aborted)
      await vi.advanceTimersByTimeAsync(DRAWING_MS)
      if (!newest || newest.signal.aborted) continue
      scenery.asked.splice(scenery.asked.indexOf(newest), 1)
      newest.answer(succeeded(scenery.picture(newest.request, 1)))
      await vi.advanceTimersByTimeAsync(0)
    }
  }

  function turning(steps: number, seen: Set<string>): void {
    for (let step = 1; step <= steps; step += 1) {
      setTimeout(() => {
        scenery.pipeline.want(turned(step), SUBJECT, [])
        if (scenery.state.shown) seen.add(scenery.state.shown.picture.request.key)
      }, step * STEP_MS)
    }
  }

  it('sees as many pictures as can be drawn, though each takes longer than a step of the hand', async () => {
    const seen = new Set<string>()
    turning(60, seen)
    await drawing(60 * STEP_MS)

    expect(seen.size).toBeGreaterThan((60 * STEP_MS) / DRAWING_MS - 4)
  })

  it('has few on their way, and none that is older than what it sees', async () => {
    const steps = new Map(Array.from({ length: 31 }, (_, step) => [pictureRequest(turned(step), SUBJECT, 'draft').key, step]))
    turning(30, new Set())
    await drawing(30 * STEP_MS)

    const onTheirWay = scenery.asked.filter(({ signal }) => !signal.aborted).map(({ request }) => steps.get(request.key)!)
    expect(onTheirWay.length).toBeLessThanOrEqual(ROOM.limit)
    expect(Math.min(...onTheirWay)).toBeGreaterThan(steps.get(scenery.state.shown!.picture.request.key)!)
  })
})

describe('who wants nothing but pictures without loss', () => {
  beforeEach(() => (scenery.isLosslessOnly = true))

  it('gets no drafts, and all that the hand passed in its order', async () => {
    scenery.pipeline.want(frame(0), SUBJECT, [])
    await scenery.answer('final 0')
    for (const index of [1, 2, 3]) scenery.pipeline.want(frame(index), SUBJECT, [])
    expect(scenery.names()).toEqual(['final 1', 'final 2', 'final 3'])

    for (const index of [3, 1, 2]) await scenery.answer(`final ${index}`)
    const seen: (string | null)[] = []
    for (let turn = 0; turn < 3; turn += 1) {
      await vi.advanceTimersByTimeAsync(FRAME_MS)
      seen.push(scenery.shown())
    }

    expect(seen).toEqual(['final 1', 'final 2', 'final 3'])
    expect(scenery.state.progress.kind).toBe('settled')
  })
})

describe('a line that is back', () => {
  it('is asked again for what was under way', async () => {
    scenery.pipeline.want(frame(0), SUBJECT, [])
    const [lost] = scenery.asked

    scenery.pipeline.askAgain()

    expect(lost?.signal.aborted).toBe(true)
    expect(scenery.asked.filter(({ signal }) => !signal.aborted).map(({ name }) => name)).toEqual(['draft 0', 'final 0'])
  })
})

describe('all bits', () => {
  beforeEach(async () => {
    scenery.pipeline.want(frame(0), SUBJECT, [frame(1)])
    expect(scenery.valuesAsked).toEqual([])
    await scenery.answer('draft 0')
    expect([scenery.valuesAsked.length, scenery.names()]).toEqual([1, ['final 0']])
    await scenery.answer('final 0')
  })

  it('are asked for by themselves behind the final picture, and before any neighbour', async () => {
    expect([scenery.valuesAsked.length, scenery.names()]).toEqual([1, []])
    expect(scenery.state.isProven).toBe(false)

    await scenery.answerValues()

    expect(scenery.state.isProven).toBe(true)
    expect(scenery.names()).toEqual(['draft 1'])
  })

  it('are asked for as what their picture does not tell, which waits for the picture', async () => {
    scenery.pipeline.want(frame(3), SUBJECT, [])
    await scenery.answer('draft 3')
    await vi.advanceTimersByTimeAsync(200)
    const asked = scenery.valuesAsked.at(-1)!
    expect(asked.path).toMatch(/instances\/1\.3\/frames\/1\/rendered\?.*without=picture$/)

    const picture = asked.picture()
    await scenery.answer('final 3')

    expect(nameOf((await picture)!.request)).toBe('final 3')
  })

  it('come whole where they do not go with their picture', async () => {
    await scenery.answerValues(succeeded(null))

    expect(scenery.state.isProven).toBe(false)
    expect(scenery.valuesAsked.map(({ path }) => path)).toEqual([expect.not.stringContaining('without')])
    await scenery.answerValues()
    expect(scenery.state.isProven).toBe(true)
  })

  it('are taken back when the hand goes on, and the mark goes with the slice', async () => {
    const [asked] = scenery.valuesAsked
    scenery.pipeline.want(frame(1), SUBJECT, [])
    expect(asked?.signal.aborted).toBe(true)

    scenery.pipeline.want(frame(0), SUBJECT, [])
    expect(scenery.state.isProven).toBe(false)
  })

  it('that could not be proven leave the mark as it was', async () => {
    await scenery.answerValues(failed({ kind: 'unreachable' }))

    expect(scenery.state.isProven).toBe(false)
    expect(scenery.state.progress.kind).toBe('settled')
  })

  it('draw any other window at once, and ask the server for none', async () => {
    await scenery.answerValues()
    scenery.asked.length = 0
    scenery.pipeline.want({ ...frame(0), window: { center: 50, width: 100 } }, SUBJECT, [])
    await vi.advanceTimersByTimeAsync(200)

    expect([scenery.shown(), scenery.state.progress.kind, scenery.state.isProven]).toEqual(['final 0', 'settled', true])
    expect(scenery.state.shown?.view.window).toEqual({ center: 50, width: 100 })
    expect(scenery.names()).toEqual([])
  })

  it('that are not here leave the window to the server', async () => {
    scenery.pipeline.want({ ...frame(0), window: { center: 50, width: 100 } }, SUBJECT, [])

    expect(scenery.names()).toEqual(['draft 0'])
  })
})

describe('neighbours', () => {
  it('are asked for only when the picture is settled', async () => {
    scenery.pipeline.want(frame(0), SUBJECT, [frame(1), frame(2), frame(3)])
    expect(scenery.names()).toEqual(['draft 0', 'final 0'])

    await scenery.answer('draft 0')
    await scenery.answer('final 0')
    await scenery.answerValues()
    expect(scenery.names()).toEqual(['draft 1', 'draft 2'])

    await scenery.answer('draft 1')
    expect(scenery.names()).toEqual(['draft 2', 'draft 3'])
  })

  it('are there at once when the hand goes on', async () => {
    scenery.pipeline.want(frame(0), SUBJECT, [frame(1)])
    await scenery.answer('draft 0')
    await scenery.answer('final 0')
    await scenery.answerValues()
    await scenery.answer('draft 1')

    scenery.pipeline.want(frame(1), SUBJECT, [])
    await vi.advanceTimersByTimeAsync(FRAME_MS)

    expect(scenery.shown()).toBe('draft 1')
    expect(scenery.names()).toEqual([])
  })
})

describe('a failure', () => {
  it('leaves on the screen what was there, and asks again by itself', async () => {
    scenery.pipeline.want(frame(0), SUBJECT, [])
    await scenery.answer('draft 0')
    await scenery.answer('final 0', failed({ kind: 'unreachable' }))

    expect(scenery.shown()).toBe('draft 0')
    expect(scenery.state.progress).toEqual({ kind: 'failed', failure: { kind: 'unreachable' }, asksAgain: true })

    await vi.advanceTimersByTimeAsync(1000)
    await scenery.answer('final 0')
    expect(scenery.state.progress.kind).toBe('settled')
  })

  it('waits longer after each try', async () => {
    scenery.pipeline.want(frame(0), SUBJECT, [])
    await scenery.answer('draft 0')
    await scenery.answer('final 0', failed({ kind: 'unreachable' }))
    await vi.advanceTimersByTimeAsync(1000)
    await scenery.answer('final 0', failed({ kind: 'unreachable' }))

    await vi.advanceTimersByTimeAsync(1500)
    expect(scenery.names()).toEqual([])
    await vi.advanceTimersByTimeAsync(500)
    expect(scenery.names()).toEqual(['final 0'])
  })

  it('that a server means is not asked about again until somebody says so', async () => {
    scenery.pipeline.want(frame(0), SUBJECT, [])
    const gone = failed({ kind: 'refused', problem: { type: 'not-found', title: '', status: 404 }, retryAfterS: null })
    await scenery.answer('draft 0', gone)
    await scenery.answer('final 0', gone)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(scenery.names()).toEqual([])

    scenery.pipeline.retry()

    expect(scenery.names()).toEqual(['draft 0', 'final 0'])
  })
})

describe('a volume that is still being loaded', () => {
  const plane = view({ kind: 'plane', axis: 'axial', index: 0, slab: { mm: 0, method: 'average_ip' } })

  it('is shown as far as it is there, and asked for again until it is whole', async () => {
    scenery.pipeline.want(plane, SUBJECT, [])
    await scenery.answer('draft plane', undefined, 0.2)
    await scenery.answer('final plane', undefined, 0.4)
    expect(scenery.state.progress).toEqual({ kind: 'building', completeness: 0.4 })
    expect(scenery.names()).toEqual([])

    await vi.advanceTimersByTimeAsync(400)
    await scenery.answer('final plane')

    expect(scenery.state.progress.kind).toBe('settled')
    expect(scenery.closed).toEqual(['draft plane', 'final plane'])
  })
})

describe('what is here of a stack', () => {
  it('is told slice by slice as it comes, and only for the window in which it came', async () => {
    scenery.pipeline.want(frame(0), SUBJECT, [frame(1)])
    expect(scenery.pipeline.hereOf(0)).toBeNull()

    await scenery.answer('draft 0')
    expect(scenery.pipeline.hereOf(0)).toBe('preview')

    await scenery.answer('final 0')
    expect([scenery.pipeline.hereOf(0), scenery.pipeline.hereOf(1)]).toEqual(['exact', null])

    await scenery.answerValues()
    expect(scenery.pipeline.hereOf(0)).toBe('all-bits')

    await scenery.answer('draft 1')
    expect(scenery.pipeline.hereOf(1)).toBe('preview')

    scenery.pipeline.want({ ...frame(0), window: { center: 40, width: 400 } }, SUBJECT, [])
    expect([scenery.pipeline.hereOf(0), scenery.pipeline.hereOf(1)]).toEqual(['all-bits', null])
  })
})
