import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { failed, succeeded, type DraftToKeep, type Outcome, type Report } from '../api'
import { isSame, newDraft, type Draft } from './draft'
import type { Unacknowledged } from './keeping'
import { Saving, type Place } from './saving.svelte'

const DRAFT = newDraft('r', 'p', 'i', '2026-11-22')
const LOST = failed({ kind: 'unreachable' })
const refusal = (type: string, status: number, more = {}) =>
  failed({ kind: 'refused', problem: { type, title: '', status, ...more }, retryAfterS: null })

/** An institution that keeps the rule of the real one: what is kept already is acknowledged, what is outdated is not kept. */
class Institution implements Place {
  report: Report | null = null
  here: Unacknowledged | null = null
  received: string[] = []
  /** Answers that do not arrive; `before` the request did, or after. */
  losses: ('before' | 'after')[] = []

  async send(draft: DraftToKeep, tag: string | null): Promise<Outcome<Report>> {
    const loss = this.losses.shift()
    if (loss === 'before') return LOST
    const outcome = this.#keep(draft, tag)
    return loss === 'after' ? LOST : outcome
  }

  async read(): Promise<Outcome<Report>> {
    return this.report ? succeeded(this.report) : refusal('no-such-report', 404)
  }

  keepHere(unacknowledged: Unacknowledged): void {
    this.here = unacknowledged
  }

  forgetHere(): void {
    this.here = null
  }

  #keep(draft: DraftToKeep, tag: string | null): Outcome<Report> {
    const last = this.report?.versions.at(-1)
    if (last && last.state === 'draft' && isSame(last, draft)) return succeeded(this.report!)
    if ((this.report?.tag ?? null) !== tag) return refusal('changed-meanwhile', 412, { changed: ['findings'] })
    this.received.push(draft.findings)
    this.change(draft)
    return succeeded(this.report!)
  }

  change(draft: DraftToKeep): void {
    const revision = Number(this.report?.tag.split('.')[1] ?? 0) + 1
    const { patient_id, ...content } = draft
    const version = { number: 1, state: 'draft' as const, author: { id: 'a', name: 'Ana' }, begun_at: '', changed_at: '', signature: null, ...content }
    this.report = { id: 'r', patient_id, tag: `1.${revision}`, versions: [version] }
  }
}

describe('what is written', () => {
  let institution: Institution
  let saving: Saving
  const type = (findings: string): Draft => {
    const draft = { ...DRAFT, findings }
    saving.changed(draft)
    return draft
  }

  beforeEach(() => {
    vi.useFakeTimers()
    institution = new Institution()
    saving = new Saving({ draft: DRAFT, tag: null, sent: null }, institution, false)
  })

  afterEach(() => {
    saving.stop()
    vi.useRealTimers()
  })

  it('is kept here at once, and at the institution after a pause', async () => {
    type('A')
    type('A nodule.')
    expect(institution.here?.draft.findings).toBe('A nodule.')
    expect(institution.received).toEqual([])

    await vi.runAllTimersAsync()

    expect(institution.received).toEqual(['A nodule.'])
    expect(institution.here).toBeNull()
    expect(saving.state.kind).toBe('saved')
  })

  it('is not sent where nothing was written', async () => {
    saving.changed({ ...DRAFT })
    await vi.runAllTimersAsync()

    expect(institution.report).toBeNull()
    expect(saving.state.kind).toBe('clean')
  })

  it.each(['before', 'after'] as const)('is sent again when the line was lost %s it arrived, and is there once', async (loss) => {
    institution.losses = [loss, loss]
    type('A nodule.')
    await vi.advanceTimersByTimeAsync(2_000)
    expect(saving.state.kind).toBe('waiting')
    expect(institution.here?.draft.findings).toBe('A nodule.')

    await vi.runAllTimersAsync()

    expect(institution.received).toEqual(['A nodule.'])
    expect(saving.state.kind).toBe('saved')
  })

  it('goes on after a save that arrived and whose answer did not', async () => {
    institution.losses = ['after']
    type('A')
    await vi.advanceTimersByTimeAsync(2_000)
    type('A nodule.')
    await vi.runAllTimersAsync()

    expect(institution.received).toEqual(['A', 'A nodule.'])
    expect(saving.state.kind).toBe('saved')
    expect(saving.tag).toBe('1.2')
  })

  it('goes on so after the page was loaded again', async () => {
    institution.losses = ['after']
    type('A')
    await vi.advanceTimersByTimeAsync(2_000)
    type('A nodule.')
    saving.stop()
    saving = new Saving(institution.here!, institution, true)
    await vi.runAllTimersAsync()

    expect(institution.received).toEqual(['A', 'A nodule.'])
    expect(institution.here).toBeNull()
  })

  it('waits for a person where somebody else has changed it, and loses neither', async () => {
    type('A')
    await vi.runAllTimersAsync()
    institution.change({ ...DRAFT, findings: 'Of the other' })
    type('Of mine')
    await vi.runAllTimersAsync()

    expect(saving.state).toMatchObject({ kind: 'conflict', parts: ['findings'] })
    expect(institution.here?.draft.findings).toBe('Of mine')

    saving.keepMine()
    await vi.runAllTimersAsync()
    expect(institution.received.at(-1)).toBe('Of mine')
    expect(saving.state.kind).toBe('saved')
  })

  it('is replaced by what is there where that is chosen', async () => {
    type('A')
    await vi.runAllTimersAsync()
    institution.change({ ...DRAFT, findings: 'Of the other' })
    type('Of mine')
    await vi.runAllTimersAsync()

    expect(saving.takeOther()?.findings).toBe('Of the other')
    expect(institution.here).toBeNull()
    expect(saving.state.kind).toBe('saved')
  })

  it('is not sent to a version that is signed', async () => {
    type('A')
    await vi.runAllTimersAsync()
    institution.report = { ...institution.report!, tag: '1.9', versions: [{ ...institution.report!.versions[0]!, state: 'signed' }] }
    type('Of mine')
    await vi.runAllTimersAsync()

    expect(saving.state.kind).toBe('ended')
    expect(institution.here?.draft.findings).toBe('Of mine')
  })

  it('has arrived before it is signed', async () => {
    type('A')
    const settled = saving.settle()
    await vi.runAllTimersAsync()

    expect(await settled).toBe(true)
    expect(institution.received).toEqual(['A'])
  })

  it('is not signed where it cannot arrive', async () => {
    institution.losses = ['before', 'before']
    type('A')
    const settled = saving.settle()
    await vi.advanceTimersByTimeAsync(100)

    expect(await settled).toBe(false)
  })
})
