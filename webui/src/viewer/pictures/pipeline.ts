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
import { pictureRequest, valuesRequest, type PictureRequest, type ValuesRequest } from './address'
import { PictureCache } from './cache'
import type { Load, LoadValues, Picture, ProvenFrame } from './load'
import type { Fineness, Pace } from './pace'
import { isOnTheWay, passedBetween } from './passage'
import { NOTHING_WANTED, ROOM, step, type RequestEvent, type Wish } from './requests'
import { subsequentDelayMs } from './retry'
import type { Scene, Subject, View } from '../view'

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
  /** All bits behind the picture on the screen are here, and they are those that the server read. */
  readonly isProven: boolean
}

/** What the pipeline needs of the world. */
export interface Means {
  /** Of the line, whichever series came over it. */
  readonly pace: Pace
  readonly isLosslessOnly: () => boolean
  /** Of the memory for pictures, what is this pane's. */
  readonly share: () => number
  readonly load: Load
  readonly loadValues: LoadValues
  /** The final picture of values that are here; null where only the server can draw it. */
  readonly drawHere: (values: ProvenFrame, view: View, request: PictureRequest) => Picture | null
  /** The screen's: what it calls is on the screen before it calls again. */
  readonly nextFrame: (happen: () => void) => void
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
  readonly values: ValuesRequest | null
  readonly ahead: readonly PictureRequest[]
}

interface Sent {
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
const CACHE_BYTES = 56 * 1024 * 1024
/** Stored values, for windows that are drawn here. */
const VALUES_BYTES = 16 * 1024 * 1024

/** `exact` is a final picture for the window of now; with `all-bits` it is exact for any. */
export type Here = 'preview' | 'exact' | 'all-bits'

interface Keys {
  readonly final: string
  readonly draft: string
  readonly values: string | null
}

function keysAt(scene: Extract<Scene, { index: number }>, index: number, { view, subject }: Target): Keys {
  const other: View = { ...view, scene: { ...scene, index } }
  const [final, draft] = [pictureRequest(other, subject, 'final'), pictureRequest(other, subject, 'draft')]
  return { final: final.key, draft: draft.key, values: valuesRequest(other, subject)?.key ?? null }
}

export class PicturePipeline {
  readonly #means: Means
  readonly #onChange: (state: PipelineState) => void
  readonly #cache: PictureCache<Picture>
  readonly #values: PictureCache<ProvenFrame>
  /** Keys of all values that came, also of those that were forgotten since. */
  readonly #proven = new Set<string>()
  /** Keys of values that do not go with their picture, and have to come whole. */
  readonly #whole = new Set<string>()
  #finalAwaited: { key: string; resolve: (picture: Picture) => void } | null = null
  readonly #sent = new Map<string, Sent>()
  readonly #failures = new Map<string, Failed>()
  readonly #pace: Pace
  readonly #keysOf = new Map<number, Keys>()
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

  constructor(means: Means, onChange: (state: PipelineState) => void) {
    this.#means = means
    this.#pace = means.pace
    this.#onChange = onChange
    this.#cache = new PictureCache(() => CACHE_BYTES * means.share())
    this.#values = new PictureCache(() => VALUES_BYTES * means.share())
  }

  /** `ahead` are the views that the hand may want next, the likeliest first. */
  want(view: View, subject: Subject, ahead: readonly View[]): void {
    const before = this.#target
    const fineness = this.#pace.fineness(this.#passage.length)
    const draft = this.#draftOf(view, subject, fineness)
    const final = pictureRequest(view, subject, 'final')
    const isSame = before !== null && before.final.key === final.key && before.draft.key === draft.key
    const turn = isSame ? before.turn : (before?.turn ?? 0) + 1
    this.#target = { view, subject, draft, final, turn, early: null, values: valuesRequest(view, subject), ahead: ahead.map((next) => this.#draftOf(next, subject, fineness)) }
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

  /** While the hand moves; without loss where nothing else is wanted, and there is such a picture. */
  #draftOf(view: View, subject: Subject, fineness?: Fineness): PictureRequest {
    const isFlat = view.scene.kind === 'frame' || view.scene.kind === 'plane'
    return isFlat && this.#means.isLosslessOnly() ? pictureRequest(view, subject, 'final') : pictureRequest(view, subject, 'draft', fineness)
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
      const draft = this.#draftOf(view, target.subject)
      const final = pictureRequest(view, target.subject, 'final')
      this.#passage.push({ view, subject: target.subject, draft, final, turn: target.turn, early: null })
    }
  }

  /** The next that was passed, once a frame of the screen. */
  #present(): void {
    if (this.#isPresenting || !this.#isNextThere()) return
    this.#isPresenting = true
    this.#means.nextFrame(() => {
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

  /** Of what is here of another slice or plane, the best, seen as the one in hand is seen; null where nothing is. */
  hereOf(index: number): Here | null {
    const target = this.#target
    if (!target || !('index' in target.view.scene)) return null
    // The keys of a stack are the same for as long as it is seen in the same way, and making them anew costs.
    const { scene } = target.view
    if (this.#keysOf.get(scene.index)?.final !== target.final.key) {
      this.#keysOf.clear()
      this.#keysOf.set(scene.index, { final: target.final.key, draft: target.draft.key, values: target.values?.key ?? null })
    }
    const keys = this.#keysOf.get(index) ?? keysAt(scene, index, target)
    this.#keysOf.set(index, keys)
    if (keys.values && this.#values.has(keys.values)) return 'all-bits'
    if (this.#cache.has(keys.final)) return 'exact'
    return this.#cache.has(keys.draft) ? 'preview' : null
  }

  /** Asks again for what failed. */
  retry(): void {
    this.#missed = null
    for (const failed of this.#failures.values()) failed.isResting = false
    this.#plan()
  }

  /** The line was lost and is back: what was under way may never come. */
  askAgain(): void {
    for (const key of [...this.#sent.keys()]) {
      this.#takeBack(key)
      this.#happen({ kind: 'ended', key })
    }
    this.retry()
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
    if (this.#showWindowed(target)) return
    const picture = this.#cache.get(target.final.key) ?? (this.#isShown(target.final) ? undefined : this.#cache.get(target.draft.key))
    if (picture && !this.#isShown(picture.request)) this.#show(target, picture)
    else if (this.#shown && this.#isOf(target, this.#shown.picture.request)) {
      this.#shown = { ...this.#shown, view: target.view, turn: target.turn }
    }
  }

  /** Another window over values that are here needs no server. */
  #showWindowed(target: Target): boolean {
    if (this.#isShown(target.final) || this.#cache.has(target.final.key)) return false
    const values = target.values && this.#values.get(target.values.key)
    const picture = values ? this.#means.drawHere(values, target.view, target.final) : null
    if (picture) this.#show(target, picture)
    return picture !== null
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
    if (this.#isSettled()) return this.#wishesAtRest(target)
    const isDrafted = this.#passage.length > 0 || this.#isShown(target.draft) || this.#isShown(target.final)
    const wishes: Wish[] = isDrafted ? [] : [{ key: target.draft.key, purpose: 'draft' }]
    for (const { draft, final, early } of this.#passage) {
      if (!early && !this.#cache.has(final.key)) wishes.push({ key: draft.key, purpose: 'draft' })
    }
    const isWished = wishes.some(({ key }) => key === target.final.key)
    if (!this.#isMoving && !this.#isBuilding && !isWished) wishes.push({ key: target.final.key, purpose: 'final' })
    // They come behind it without a round trip between, as the server sends what is more urgent first.
    if (!this.#isMoving && isDrafted) wishes.push(...this.#wishForValues(target))
    return wishes.filter(({ key }) => this.#mayAsk(key))
  }

  /** All bits, then the neighbours. */
  #wishesAtRest(target: Target): Wish[] {
    const ahead: Wish[] = target.ahead.map(({ key }) => ({ key, purpose: 'ahead' }))
    const values = this.#isMoving ? [] : this.#wishForValues(target)
    return [...values, ...ahead].filter(({ key }) => this.#mayAsk(key))
  }

  #wishForValues({ values }: Target): Wish[] {
    return values && !this.#proven.has(values.key) ? [{ key: values.key, purpose: 'values' }] : []
  }

  #mayAsk(key: string): boolean {
    return !this.#cache.has(key) && !this.#failures.get(key)?.isResting
  }

  #plan(): void {
    const isPassing = this.#passage.length > 0
    const limit = isPassing ? this.#pace.limit : ROOM.limit
    // Who jumps has left what was on its way; where pictures replace each other the next one is.
    this.#happen({ kind: 'wanted', wishes: this.#wishes(), limit, letFinish: this.#isReplacing() })
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
    if (!scene || !('index' in scene)) return scene !== undefined
    const shown = this.#shown?.view.scene
    return shown?.kind === scene.kind && shown.index === scene.index
  }

  #takeBack(key: string): void {
    this.#sent.get(key)?.controller.abort()
    this.#sent.delete(key)
  }

  async #send({ key, purpose }: Wish): Promise<void> {
    const sent: Sent = { controller: new AbortController() }
    this.#sent.set(key, sent)
    const isWanted = () => this.#sent.get(key) === sent
    const failure = await (purpose === 'values' ? this.#sendForValues(key, sent, isWanted) : this.#sendForPicture(key, purpose, sent, isWanted))
    if (!isWanted()) return
    this.#sent.delete(key)
    if (failure) this.#fail(key, failure)
    this.#happen({ kind: 'ended', key })
    this.#plan()
  }

  async #sendForPicture(key: string, purpose: Wish['purpose'], { controller }: Sent, isWanted: () => boolean): Promise<Failure | null> {
    const found = this.#requestOf(key)
    if (!found) return null
    const [target, request] = found
    const mark = this.#pace.sent()
    const outcome = await this.#means.load(request, purpose, controller.signal)
    if (!outcome.ok) return outcome.failure
    if (outcome.value.isFromLine) this.#pace.delivered(mark, outcome.value.bodyBytes, request.fineness, outcome.value.serverMs)
    if (isWanted()) this.#arrive(target, request, outcome.value)
    else outcome.value.bitmap.close()
    return null
  }

  async #sendForValues(key: string, { controller }: Sent, isWanted: () => boolean): Promise<Failure | null> {
    const target = this.#target
    const values = target?.values
    if (!target || values?.key !== key) return null
    const { signal } = controller
    const path = this.#whole.has(key) ? values.path : (values.besidePath ?? values.path)
    const mark = this.#pace.sent()
    const outcome = await this.#means.loadValues({ ...values, path }, () => this.#finalThere(target.final.key, signal), signal)
    if (!outcome.ok) return outcome.failure
    if (outcome.value?.isFromLine) this.#pace.delivered(mark, outcome.value.bodyBytes)
    if (!isWanted()) return null
    if (outcome.value) {
      this.#values.put(key, outcome.value)
      this.#proven.add(key)
    } else this.#whole.add(key)
    return null
  }

  /** The final picture, as soon as it is here; null if nobody waits for it any more. */
  #finalThere(key: string, signal: AbortSignal): Promise<Picture | null> {
    const there = this.#shown?.picture.request.key === key ? this.#shown.picture : this.#cache.get(key)
    if (there) return Promise.resolve(there)
    return new Promise((resolve) => {
      this.#finalAwaited = { key, resolve }
      signal.addEventListener('abort', () => resolve(null), { once: true })
    })
  }

  #requestOf(key: string): [Passed, PictureRequest] | null {
    const target = this.#target
    if (!target) return null
    const passed = this.#passage.find(({ draft }) => draft.key === key)
    // As fine as the line has room for now, not when the hand was there.
    if (passed?.draft.grade === 'draft') {
      return [passed, pictureRequest(passed.view, passed.subject, 'draft', this.#pace.fineness(this.#passage.length))]
    }
    if (passed) return [passed, passed.draft]
    const request = [target.draft, target.final, ...target.ahead].find((one) => one.key === key)
    return request ? [target, request] : null
  }

  #arrive(target: Passed, request: PictureRequest, picture: Picture): void {
    this.#failures.delete(request.key)
    if (this.#finalAwaited?.key === request.key) this.#finalAwaited.resolve(picture)
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
    const values = this.#target?.values
    const isProven = Boolean(values && this.#proven.has(values.key) && this.#isSettled())
    this.#onChange({ shown: this.#shown, progress: this.#progress(), isProven })
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
