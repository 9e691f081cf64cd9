/**
 * From the view that is wanted to the picture that is shown.
 *
 * A hand that goes through a stack slice by slice passes them, and each slice that it passed is shown, in its order, one in
 * a frame of the screen: where the line is slower than the hand its drafts become coarser, and none is left out (a viewer
 * that leaves slices out hides findings: Yakami 2013). Of other movements only drafts are asked for, and each that arrives is
 * shown if it was asked for later than the one on the screen. When the hand has rested for a moment the final picture
 * follows. What is on the screen stays there until something better has come: a failure is said beside it, never instead
 * of it.
 */

import type { Failure } from '../../api'
import { pictureRequest, type PictureRequest } from './address'
import { PictureCache } from './cache'
import type { Load, Picture } from './load'
import { Pace } from './pace'
import { isOnTheWay, passedBetween } from './passage'
import { NOTHING_WANTED, ROOM, step, type RequestEvent, type Wish } from './requests'
import { subsequentDelayMs } from './retry'
import type { Subject, View } from '../view'

/** What the screen shows: always a picture together with the view that it is of. */
export interface Shown {
  readonly view: View
  readonly picture: Picture
  /** Counts the views that were wanted; a later one is never replaced by an earlier one. */
  readonly turn: number
}

export type Progress =
  | { kind: 'loading' }
  /** A picture of the part of the volume that is there. */
  | { kind: 'building'; completeness: number }
  | { kind: 'settled' }
  | { kind: 'failed'; failure: Failure; asksAgain: boolean }

export interface PipelineState {
  readonly shown: Shown | null
  readonly progress: Progress
}

interface Passed {
  readonly view: View
  readonly subject: Subject
  readonly draft: PictureRequest
  readonly final: PictureRequest
  readonly turn: number
  /** Of a volume that is not whole yet: not kept for later. */
  early: Picture | null
}

interface Target extends Passed {
  readonly ahead: readonly PictureRequest[]
}

interface Sent {
  readonly target: Passed
  readonly request: PictureRequest
  readonly controller: AbortController
}

interface Failed {
  readonly failure: Failure
  readonly tries: number
  readonly asksAgain: boolean
  /** Not asked for while this lasts. */
  isResting: boolean
}

/** Shorter than a pause that a hand notices, longer than the gaps of a turning wheel. */
const REST_MS = 100
const BUILDING_AGAIN_MS = 400
/** Decoded pictures: the page promises to stay under 100 MB. */
const CACHE_BYTES = 64 * 1024 * 1024

export class PicturePipeline {
  readonly #load: Load
  readonly #onChange: (state: PipelineState) => void
  readonly #cache = new PictureCache<Picture>(CACHE_BYTES)
  readonly #sent = new Map<string, Sent>()
  readonly #failures = new Map<string, Failed>()
  readonly #nextFrame: (happen: () => void) => void
  readonly #pace = new Pace()
  #requests = NOTHING_WANTED
  #target: Target | null = null
  /** What the hand passed and the screen has not shown yet; the last is the target. */
  #passage: Passed[] = []
  #isPresenting = false
  /** Why a slice that the hand passed is not shown; until the hand goes on. */
  #missed: Failure | null = null
  #shown: Shown | null = null
  #isMoving = false
  #isBuilding = false
  #restTimer: ReturnType<typeof setTimeout> | undefined
  readonly #timers = new Set<ReturnType<typeof setTimeout>>()

  /** `nextFrame` is the screen's: what it calls is on the screen before it calls again. */
  constructor(
    load: Load,
    onChange: (state: PipelineState) => void,
    nextFrame: (happen: () => void) => void = (happen) => requestAnimationFrame(happen),
  ) {
    this.#load = load
    this.#onChange = onChange
    this.#nextFrame = nextFrame
  }

  /** `ahead` are the views that the hand may want next, the likeliest first. */
  want(view: View, subject: Subject, ahead: readonly View[]): void {
    const before = this.#target
    const fineness = this.#pace.fineness(this.#passage.length)
    const draft = pictureRequest(view, subject, 'draft', fineness)
    const final = pictureRequest(view, subject, 'final')
    const isSame = before !== null && before.final.key === final.key && before.draft.key === draft.key
    const turn = isSame ? before.turn : (before?.turn ?? 0) + 1
    this.#target = { view, subject, draft, final, turn, early: null, ahead: ahead.map((next) => pictureRequest(next, subject, 'draft', fineness)) }
    // The first picture is wanted at its best at once: nobody moves yet.
    if (!isSame && before) this.#startMoving()
    if (!isSame) {
      this.#failures.clear()
      this.#missed = null
      this.#isBuilding = false
      this.#pass(before, this.#target)
    }
    if (this.#passage.length) this.#present()
    else this.#showBestThereIs()
    this.#plan()
  }

  /** The way from one target to the next, if the hand went there slice by slice; else it jumped, and nothing was passed. */
  #pass(before: Target | null, target: Target): void {
    if (!before || before.subject !== target.subject || !isOnTheWay(before.view.scene, target.view.scene)) {
      for (const { early } of this.#passage) early?.bitmap.close()
      this.#passage = []
      return
    }
    for (const scene of passedBetween(before.view.scene, target.view.scene)) {
      this.#pace.stepped()
      const view = { ...target.view, scene }
      const draft = pictureRequest(view, target.subject, 'draft')
      const final = pictureRequest(view, target.subject, 'final')
      this.#passage.push({ view, subject: target.subject, draft, final, turn: target.turn, early: null })
    }
  }

  /** The next that was passed, once a frame of the screen. */
  #present(): void {
    if (this.#isPresenting || !this.#isNextThere()) return
    this.#isPresenting = true
    this.#nextFrame(() => {
      this.#isPresenting = false
      const next = this.#isNextThere() ? this.#passage.shift() : undefined
      if (!next) return
      const picture = this.#bestOf(next)
      if (picture) this.#show(next, picture)
      if (!this.#passage.length) this.#showBestThereIs()
      this.#present()
      this.#plan()
    })
  }

  #isNextThere(): boolean {
    const next = this.#passage[0]
    return next !== undefined && this.#bestOf(next) !== undefined
  }

  #bestOf({ final, draft, early }: Passed): Picture | undefined {
    return this.#cache.get(final.key) ?? this.#cache.get(draft.key) ?? early ?? undefined
  }

  /** Asks again for what failed. */
  retry(): void {
    this.#missed = null
    for (const failed of this.#failures.values()) failed.isResting = false
    this.#plan()
  }

  close(): void {
    clearTimeout(this.#restTimer)
    for (const timer of this.#timers) clearTimeout(timer)
    for (const { controller } of this.#sent.values()) controller.abort()
    this.#sent.clear()
    this.#target = null
    this.#passage = []
    for (const picture of this.#cache.clear()) picture.bitmap.close()
    this.#shown?.picture.bitmap.close()
    this.#shown = null
  }

  #startMoving(): void {
    this.#isMoving = true
    clearTimeout(this.#restTimer)
    this.#restTimer = setTimeout(() => {
      this.#isMoving = false
      this.#plan()
    }, REST_MS)
  }

  #showBestThereIs(): void {
    const target = this.#target
    if (!target) return
    const picture = this.#cache.get(target.final.key) ?? (this.#isShown(target.final) ? undefined : this.#cache.get(target.draft.key))
    if (picture && !this.#isShown(picture.request)) this.#show(target, picture)
    else if (this.#shown && this.#isOf(target, this.#shown.picture.request)) {
      this.#shown = { ...this.#shown, view: target.view, turn: target.turn }
    }
  }

  #isShown(request: PictureRequest): boolean {
    return this.#shown?.picture.request.key === request.key
  }

  #isOf(target: Passed, request: PictureRequest): boolean {
    return request.key === target.final.key || request.key === target.draft.key
  }

  #isSettled(): boolean {
    const target = this.#target
    return Boolean(target && !this.#passage.length && this.#isShown(target.final) && this.#shown?.picture.completeness === 1)
  }

  #wishes(): Wish[] {
    const target = this.#target
    if (!target) return []
    if (this.#isSettled()) return target.ahead.filter(({ key }) => this.#mayAsk(key)).map(({ key }) => ({ key, purpose: 'ahead' }))
    const isDrafted = this.#passage.length > 0 || this.#isShown(target.draft) || this.#isShown(target.final)
    const wishes: Wish[] = isDrafted ? [] : [{ key: target.draft.key, purpose: 'draft' }]
    for (const { draft, final, early } of this.#passage) {
      if (!early && !this.#cache.has(final.key)) wishes.push({ key: draft.key, purpose: 'draft' })
    }
    if (!this.#isMoving && !this.#isBuilding) wishes.push({ key: target.final.key, purpose: 'final' })
    return wishes.filter(({ key }) => this.#mayAsk(key))
  }

  #mayAsk(key: string): boolean {
    return !this.#cache.has(key) && !this.#failures.get(key)?.isResting
  }

  #plan(): void {
    const isPassing = this.#passage.length > 0
    const limit = isPassing ? this.#pace.limit : ROOM.limit
    // Who jumps has left what was on its way; where pictures replace each other the next one is.
    const letFinish = this.#isReplacing() ? ROOM.letFinish : 0
    this.#happen({ kind: 'wanted', wishes: this.#wishes(), limit, letFinish })
    this.#tell()
  }

  #happen(event: RequestEvent): void {
    const { state, start, abort } = step(this.#requests, event)
    this.#requests = state
    for (const { key } of abort) this.#takeBack(key)
    for (const wish of start) void this.#send(wish)
  }

  /** A drag of the window, or a turn: another picture of the same slice, or of the same volume. */
  #isReplacing(): boolean {
    const scene = this.#target?.view.scene
    const shown = this.#shown?.view.scene
    if (!scene || !shown || scene.kind !== shown.kind) return false
    return !('index' in scene && 'index' in shown) || scene.index === shown.index
  }

  #takeBack(key: string): void {
    this.#sent.get(key)?.controller.abort()
    this.#sent.delete(key)
  }

  async #send({ key, purpose }: Wish): Promise<void> {
    const found = this.#requestOf(key)
    if (!found) return
    const [target, request] = found
    const sent: Sent = { target, request, controller: new AbortController() }
    this.#sent.set(key, sent)
    const mark = this.#pace.sent()
    const outcome = await this.#load(request, purpose, sent.controller.signal)
    if (outcome.ok) this.#pace.delivered(mark, outcome.value.bodyBytes, request.fineness)
    if (this.#sent.get(key) !== sent) {
      if (outcome.ok) outcome.value.bitmap.close()
      return
    }
    this.#sent.delete(key)
    if (outcome.ok) this.#arrive(sent, outcome.value)
    else this.#fail(key, outcome.failure)
    this.#happen({ kind: 'ended', key })
    this.#plan()
  }

  #requestOf(key: string): [Passed, PictureRequest] | null {
    const target = this.#target
    if (!target) return null
    const passed = this.#passage.find(({ draft }) => draft.key === key)
    // As fine as the line has room for now, not when the hand was there.
    if (passed) return [passed, pictureRequest(passed.view, passed.subject, 'draft', this.#pace.fineness(this.#passage.length))]
    const request = [target.draft, target.final, ...target.ahead].find((one) => one.key === key)
    return request ? [target, request] : null
  }

  #arrive({ target, request }: Sent, picture: Picture): void {
    this.#failures.delete(request.key)
    const isKept = picture.completeness === 1 && this.#keep(request, picture)
    const current = this.#target
    const passed = this.#passage.find(({ draft }) => draft.key === request.key)
    if (passed && !isKept) passed.early = picture
    if (this.#passage.length) this.#present()
    else if (current && this.#isOf(current, request)) this.#arriveForNow(current, picture)
    else if (this.#isOf(target, request) && target.turn > (this.#shown?.turn ?? 0)) this.#show(target, picture)
    if (!isKept && !passed && !this.#isShown(request)) picture.bitmap.close()
  }

  #arriveForNow(target: Target, picture: Picture): void {
    const isWorse = picture.request.grade === 'draft' && this.#isShown(target.final)
    if (!isWorse) this.#show(target, picture)
    if (picture.completeness < 1 && picture.request.grade === 'final') this.#askAgainForMore()
  }

  /** The volume is still being loaded; its picture is worth asking for again in a moment. */
  #askAgainForMore(): void {
    this.#isBuilding = true
    this.#later(BUILDING_AGAIN_MS, () => (this.#isBuilding = false))
  }

  #keep(request: PictureRequest, picture: Picture): boolean {
    for (const forgotten of this.#cache.put(request.key, picture)) {
      if (forgotten !== this.#shown?.picture) forgotten.bitmap.close()
    }
    return this.#cache.has(request.key)
  }

  #show(target: Passed, picture: Picture): void {
    const before = this.#shown?.picture
    this.#shown = { view: target.view, picture, turn: target.turn }
    // Closed only after the screen had its chance to let go of it.
    if (before && before !== picture && this.#cache.get(before.request.key) !== before) {
      this.#tell()
      before.bitmap.close()
    }
  }

  #fail(key: string, failure: Failure): void {
    const tries = this.#failures.get(key)?.tries ?? 0
    const delayMs = subsequentDelayMs(failure, tries)
    const failed: Failed = { failure, tries: tries + 1, asksAgain: delayMs !== null, isResting: true }
    this.#failures.set(key, failed)
    if (!failed.asksAgain) this.#passOver(key, failure)
    if (delayMs !== null) this.#later(delayMs, () => (failed.isResting = false))
  }

  /** A slice that will never come does not hold up the others, and that it is missing is said. */
  #passOver(key: string, failure: Failure): void {
    if (!this.#passage.some(({ draft }) => draft.key === key)) return
    this.#missed = failure
    this.#passage = this.#passage.filter(({ draft }) => draft.key !== key)
    if (this.#passage.length) this.#present()
    else this.#showBestThereIs()
  }

  #later(delayMs: number, happen: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      happen()
      this.#plan()
    }, delayMs)
    this.#timers.add(timer)
  }

  #tell(): void {
    this.#onChange({ shown: this.#shown, progress: this.#progress() })
  }

  #progress(): Progress {
    const target = this.#target
    if (this.#missed) return { kind: 'failed', failure: this.#missed, asksAgain: false }
    if (this.#isSettled()) return { kind: 'settled' }
    const next = this.#passage[0]
    const waitsFor = next && this.#failures.get(next.draft.key)
    const failed = waitsFor ?? (target && (this.#failures.get(target.final.key) ?? this.#failures.get(target.draft.key)))
    if (failed) return { kind: 'failed', failure: failed.failure, asksAgain: failed.asksAgain }
    if (target && this.#isShown(target.final)) return { kind: 'building', completeness: this.#shown?.picture.completeness ?? 0 }
    return { kind: 'loading' }
  }
}
