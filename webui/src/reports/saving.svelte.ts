/** Keeps a draft where it belongs while it is written: in this browser at once, at its institution soon after. */

import { isRefusedAs, type DraftToKeep, type Failure, type Outcome, type Report } from '../api'
import { draftOf, isSame, lastOf, toKeep, type Draft } from './draft'
import type { Unacknowledged } from './keeping'

/** Long enough that a sentence is one save. */
const PAUSE_MS = 1_200
/** After a save without an answer. */
const AGAIN_MS = 5_000

export type SavingState =
  | { kind: 'clean' }
  /** Written here, not sent yet. */
  | { kind: 'local' }
  | { kind: 'saving' }
  | { kind: 'saved' }
  /** There was no answer; it is sent again. */
  | { kind: 'waiting' }
  /** Somebody, who may be oneself, changed the same draft; nothing is sent until it is said which counts. */
  | { kind: 'conflict'; parts: string[]; there: Report }
  /** The version is a draft no more. */
  | { kind: 'ended' }
  | { kind: 'refused'; failure: Failure }

export interface Place {
  /** Keeps the draft, made from `tag`; null: a new report. */
  send(draft: DraftToKeep, tag: string | null): Promise<Outcome<Report>>
  /** The report as it is there. */
  read(): Promise<Outcome<Report>>
  keepHere(unacknowledged: Unacknowledged): void
  forgetHere(): void
}

export class Saving {
  state: SavingState = $state.raw({ kind: 'clean' })

  readonly #place: Place
  #draft: Draft
  #tag: string | null
  #sent: DraftToKeep | null
  #running: Promise<void> | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #isOver = false

  /** `begun` was written before; whether it is `unacknowledged`, so that it is sent first of all. */
  constructor(begun: Unacknowledged, place: Place, isUnacknowledged: boolean) {
    this.#place = place
    this.#draft = begun.draft
    this.#tag = begun.tag
    this.#sent = begun.sent
    if (isUnacknowledged) this.#later('local', 0)
  }

  /** Of the report as it was acknowledged last; null where it never was. */
  get tag(): string | null {
    return this.#tag
  }

  changed(draft: Draft): void {
    if (isSame(draft, this.#draft)) return
    this.#draft = draft
    this.#keepHere()
    const { kind } = this.state
    if (kind !== 'conflict' && kind !== 'ended' && kind !== 'saving') this.#later('local', PAUSE_MS)
  }

  /** Whether all that was written is acknowledged, after what is under way and one more try. */
  async settle(): Promise<boolean> {
    if (this.#running) await this.#running
    if (this.state.kind !== 'clean' && this.state.kind !== 'saved') await this.#save()
    return this.state.kind === 'saved' || (this.state.kind === 'clean' && this.#tag !== null)
  }

  /** The line is back. */
  retry(): void {
    if (this.state.kind === 'waiting') this.#later('waiting', 0)
  }

  /** What is here counts, whatever was changed there. */
  keepMine(): void {
    if (this.state.kind !== 'conflict') return
    this.#tag = this.state.there.tag
    this.#later('local', 0)
  }

  /** What is there counts; it comes back. */
  takeOther(): Draft | null {
    if (this.state.kind !== 'conflict') return null
    const { there } = this.state
    const draft = draftOf(there, this.#draft.institutionId)
    if (!draft) return null
    this.#draft = draft
    this.#acknowledged(there)
    return draft
  }

  /** Nothing is sent any more. What is not acknowledged stays here. */
  stop(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }

  #later(kind: 'local' | 'waiting', pauseMs: number): void {
    this.state = { kind }
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#save(), pauseMs)
  }

  async #save(): Promise<void> {
    if (this.#running) return this.#running
    this.#running = this.#saveNow()
    await this.#running
    this.#running = null
  }

  async #saveNow(): Promise<void> {
    clearTimeout(this.#timer)
    if (this.#isOver || this.state.kind === 'conflict' || this.state.kind === 'ended') return
    const sending = this.#draft
    const before = this.#sent
    this.state = { kind: 'saving' }
    this.#sent = toKeep(sending)
    this.#keepHere()
    const outcome = await this.#place.send(this.#sent, this.#tag)
    if (this.#isOver) return
    if (outcome.ok) this.#acknowledged(outcome.value)
    else await this.#failed(outcome.failure, before)
  }

  #acknowledged(report: Report): void {
    this.#tag = report.tag
    const isAll = isSame(lastOf(report), this.#draft)
    if (isAll) {
      this.#sent = null
      this.#place.forgetHere()
      this.state = { kind: 'saved' }
    } else {
      this.#keepHere()
      this.#later('local', 0)
    }
  }

  async #failed(failure: Failure, before: DraftToKeep | null): Promise<void> {
    if (failure.kind !== 'refused') return this.#later('waiting', AGAIN_MS)
    if (isRefusedAs(failure, 'changed-meanwhile') || isRefusedAs(failure, 'no-such-report')) return this.#compare(before, failure)
    this.state = { kind: 'refused', failure }
  }

  /** It is another one there: by a save of ours whose answer was lost, or by somebody else. */
  async #compare(before: DraftToKeep | null, failure: Failure): Promise<void> {
    const outcome = await this.#place.read()
    if (!outcome.ok) {
      if (outcome.failure.kind !== 'refused') return this.#later('waiting', AGAIN_MS)
      this.state = isRefusedAs(outcome.failure, 'no-such-report') ? { kind: 'ended' } : { kind: 'refused', failure: outcome.failure }
      return
    }
    const there = outcome.value
    const last = lastOf(there)
    if (last.state !== 'draft' || last.number !== this.#draft.version) return void (this.state = { kind: 'ended' })
    if (before && isSame(last, before)) {
      this.#tag = there.tag
      return this.#later('local', 0)
    }
    const parts = failure.kind === 'refused' ? ((failure.problem.changed as string[] | undefined) ?? []) : []
    this.state = { kind: 'conflict', parts, there }
  }

  #keepHere(): void {
    this.#place.keepHere({ draft: this.#draft, tag: this.#tag, sent: this.#sent })
  }
}
