/** The figures of a study: drawn, undone, kept at the institution and shown as others draw them. */

import { isRefusedAs, type Failure, type Outcome } from '../../api'
import type { Figure, Kind } from './figures'
import type { Unacknowledged } from './keeping'

/** After a save without an answer. */
const AGAIN_MS = 5_000

/** As `GET /api/studies/{uid}/measurements` answers. */
export interface Kept extends Figure {
  readonly id: string
  readonly tag: string
  readonly author: { readonly id: string; readonly name: string }
}

export interface Mark {
  readonly id: string
  readonly figure: Figure
  /** null while the institution has not acknowledged it. */
  readonly tag: string | null
  readonly author: { readonly id: string; readonly name: string }
}

export interface Place {
  /** All that is kept. */
  list(): Promise<Outcome<{ measurements: Kept[] }>>
  keep(id: string, figure: Figure, tag: string | null): Promise<Outcome<Kept>>
  remove(id: string, tag: string): Promise<Outcome<void>>
  recall(): Unacknowledged[]
  keepHere(all: readonly Unacknowledged[]): void
  newId(): string
}

interface Change {
  id: string
  before: Figure | null
  after: Figure | null
}

export type SavingState = { kind: 'saved' } | { kind: 'saving' } | { kind: 'waiting' } | { kind: 'refused'; failure: Failure }

export class Marking {
  readonly studyUid: string
  /** What the hand draws, where the tool is for that. */
  kind: Kind = $state('length')
  selected: string | null = $state(null)
  marks: ReadonlyMap<string, Mark> = $state.raw(new Map())
  saving: SavingState = $state.raw({ kind: 'saved' })
  undone: readonly Change[] = $state.raw([])
  done: readonly Change[] = $state.raw([])

  readonly #me: { id: string; name: string }
  readonly #place: Place
  readonly #pending = new Map<string, Unacknowledged>()
  /** Those that were answered by a no: they stay here, and stand in the way of no others. */
  readonly #refused = new Set<string>()
  #running = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #isOver = false

  constructor(studyUid: string, me: { id: string; name: string }, place: Place) {
    this.studyUid = studyUid
    this.#me = me
    this.#place = place
    for (const one of place.recall()) this.#take(one)
    this.#save()
  }

  isMine(mark: Mark): boolean {
    return mark.author.id === this.#me.id
  }

  add(figure: Figure): string {
    const id = this.#place.newId()
    this.#change({ id, before: null, after: figure })
    this.selected = id
    return id
  }

  change(id: string, after: Figure): void {
    const mark = this.marks.get(id)
    if (mark && this.isMine(mark)) this.#change({ id, before: mark.figure, after })
  }

  remove(id: string): void {
    const mark = this.marks.get(id)
    if (!mark || !this.isMine(mark)) return
    this.#change({ id, before: mark.figure, after: null })
    if (this.selected === id) this.selected = null
  }

  undo(): void {
    const last = this.done.at(-1)
    if (!last) return
    this.done = this.done.slice(0, -1)
    this.undone = [...this.undone, last]
    this.#set(last.id, last.before)
  }

  redo(): void {
    const last = this.undone.at(-1)
    if (!last) return
    this.undone = this.undone.slice(0, -1)
    this.done = [...this.done, last]
    this.#set(last.id, last.after)
  }

  /** What others drew, and what was acknowledged of ours; what waits here stays as it is here. */
  async refresh(): Promise<void> {
    const outcome = await this.#place.list()
    if (!outcome.ok || this.#isOver) return
    const marks = new Map<string, Mark>()
    for (const { id, tag, author, ...figure } of outcome.value.measurements) {
      if (!this.#pending.has(id)) marks.set(id, { id, tag, author, figure: figureOf(figure) })
    }
    for (const [id, { figure }] of this.#pending) {
      const mine = this.marks.get(id)
      if (figure && mine) marks.set(id, mine)
    }
    this.marks = marks
  }

  /** The line is back. */
  retry(): void {
    this.#refused.clear()
    this.#save()
    void this.refresh()
  }

  /** Nothing is sent any more; what is not acknowledged stays in the tab. */
  stop(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }

  #change(change: Change): void {
    this.done = [...this.done, change]
    this.undone = []
    this.#set(change.id, change.after)
  }

  #set(id: string, figure: Figure | null): void {
    const before = this.#pending.get(id)
    const tag = this.marks.get(id)?.tag ?? before?.tag ?? null
    this.#take({ id, figure, tag, isUncertain: before?.isUncertain ?? false })
    this.#refused.delete(id)
    this.#keepHere()
    this.#save()
  }

  #take(one: Unacknowledged): void {
    this.#pending.set(one.id, one)
    this.#show(one.id, one.figure, one.tag)
  }

  #show(id: string, figure: Figure | null, tag: string | null): void {
    const marks = new Map(this.marks)
    if (figure) marks.set(id, { id, figure, tag, author: marks.get(id)?.author ?? this.#me })
    else marks.delete(id)
    this.marks = marks
  }

  #save(): void {
    clearTimeout(this.#timer)
    if (this.#running || this.#isOver || !this.#pending.size) return
    void this.#saveAll()
  }

  async #saveAll(): Promise<void> {
    this.#running = true
    this.saving = { kind: 'saving' }
    let refusal: Failure | null = null
    for (let next = this.#next(); next && !this.#isOver; next = this.#next()) {
      const failure = await this.#saveOne(next)
      if (failure && mayPass(failure)) {
        this.#running = false
        this.saving = { kind: 'waiting' }
        this.#timer = setTimeout(() => this.#save(), AGAIN_MS)
        return
      }
      if (failure) this.#refused.add(next.id)
      refusal = failure ?? refusal
    }
    this.#running = false
    this.saving = refusal ? { kind: 'refused', failure: refusal } : { kind: 'saved' }
  }

  #next(): Unacknowledged | undefined {
    return [...this.#pending.values()].find(({ id }) => !this.#refused.has(id))
  }

  /** null when it is settled. */
  async #saveOne(sent: Unacknowledged): Promise<Failure | null> {
    const { id, figure, tag } = sent
    if (!figure && tag === null && !sent.isUncertain) return this.#settled(sent, null)
    this.#note(sent, { ...sent, isUncertain: true })
    const outcome = figure ? await this.#place.keep(id, figure, tag) : await this.#place.remove(id, tag ?? '1')
    if (this.#isOver) return null
    if (outcome.ok) return this.#settled(sent, figure ? (outcome.value as Kept).tag : null)
    const { failure } = outcome
    if (failure.kind !== 'refused' || mayPass(failure)) return failure
    if (isRefusedAs(failure, 'no-such-measurement')) {
      // Removed by somebody who may, or by a save of ours whose answer was lost.
      this.#show(id, null, null)
      return this.#settled({ ...sent, figure: null }, null)
    }
    const there = failure.problem.tag
    if (isRefusedAs(failure, 'changed-meanwhile') && typeof there === 'string') {
      // A save of ours arrived and its answer was lost: what is here is newer. Else it was changed at another place.
      if (sent.isUncertain) this.#note(sent, { ...sent, tag: there, isUncertain: false })
      else await this.#giveWay(id)
      return null
    }
    return failure
  }

  async #giveWay(id: string): Promise<void> {
    this.#pending.delete(id)
    this.#keepHere()
    await this.refresh()
  }

  #settled(sent: Unacknowledged, tag: string | null): null {
    const now = this.#pending.get(sent.id)
    if (!now) return null
    if (now.figure === sent.figure || (!now.figure && !sent.figure)) this.#pending.delete(sent.id)
    else this.#pending.set(sent.id, { ...now, tag, isUncertain: false })
    const mark = this.marks.get(sent.id)
    if (mark) this.#show(sent.id, mark.figure, tag)
    this.#keepHere()
    return null
  }

  /** `now` in the place of `sent`, unless the hand has changed it since. */
  #note(sent: Unacknowledged, now: Unacknowledged): void {
    const pending = this.#pending.get(sent.id)
    if (!pending) return
    this.#pending.set(sent.id, { ...pending, tag: now.tag, isUncertain: now.isUncertain })
    this.#keepHere()
  }

  #keepHere(): void {
    this.#place.keepHere([...this.#pending.values()])
  }
}

/** Whether the same may be answered otherwise by and by: no answer, nobody logged in, or a server that is in trouble. */
const mayPass = (failure: Failure): boolean =>
  failure.kind !== 'refused' || failure.problem.status === 401 || failure.problem.status === 429 || failure.problem.status >= 500

/** Without what is not drawn. */
const figureOf = ({ study_uid, series_uid, instance_uid, frame, kind, points, text, length_mm }: Figure): Figure => ({
  study_uid,
  series_uid,
  instance_uid,
  frame,
  kind,
  points,
  text,
  length_mm,
})
