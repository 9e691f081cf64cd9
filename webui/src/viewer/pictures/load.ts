import { failed, failureOf, succeeded, type Entrances, type Outcome, type Vector, type WindowFunction } from '../../api'
import type { WindowSetting } from '../view'
import { GREY, type PictureRequest, type ValuesRequest } from './address'
import type { Wish } from './requests'
import type { StoredFrame } from './stored-values'

/** A picture, decoded and ready to be drawn. */
export interface Picture {
  readonly request: PictureRequest
  readonly bitmap: ImageBitmap
  readonly sizeBytes: number
  /** As it came over the line. */
  readonly bodyBytes: number
  /** Not from the browser's cache, which says nothing of the line. */
  readonly isFromLine: boolean
  /** Of the time that it took, the server's. */
  readonly serverMs: number
  /** Part of the volume that is in it, 0 to 1. */
  readonly completeness: number
  /** So many voxels along slice, row and column are one in it; null where each is itself. */
  readonly reduced: Vector | null
  /** The window that the server found where none was asked for; null if it does not say. */
  readonly window: WindowSetting | null
}

export type Load = (request: PictureRequest, purpose: Wish['purpose'], signal: AbortSignal) => Promise<Outcome<Picture>>

/** A frame whose values are proven to be those that the server read. */
export interface ProvenFrame {
  readonly frame: StoredFrame
  readonly sizeBytes: number
  /** As it came over the line. */
  readonly bodyBytes: number
  readonly isFromLine: boolean
}

/**
 * `picture` gives the final picture that `request` was asked beside, or null where it will not come. The outcome is null
 * where picture and answer do not belong together: then the values have to come whole.
 */
export type LoadValues = (
  request: ValuesRequest,
  picture: () => Promise<Picture | null>,
  signal: AbortSignal,
) => Promise<Outcome<ProvenFrame | null>>

/**
 * Becomes the urgency of RFC 9218 on HTTP/2 and HTTP/3: a draft passes what is finer, since browsers know only two for what
 * scripts ask for. Values are less urgent than their picture by the server's word.
 */
const PRIORITY = { draft: 'high', final: 'low', values: 'low', ahead: 'low' } as const satisfies Record<Wish['purpose'], RequestPriority>

/** The first plane of a large series waits for its slices. */
const TIMEOUT_MS = 60_000

const BYTES_PER_PIXEL = 4

export function loadThrough(entrances: Entrances): Load {
  return async (request, purpose, signal) => {
    const demand = { headers: { Accept: request.accept }, priority: PRIORITY[purpose], signal, timeoutMs: TIMEOUT_MS }
    const outcome = await entrances.get(request.nodeUrl, request.path, demand)
    if (!outcome.ok) return outcome
    try {
      return succeeded(await decoded(outcome.value, request))
    } catch (error) {
      return failed(failureOf(error, signal))
    }
  }
}

/** Fetched with the first of them; null where it cannot be. */
const loadedDecoder = () => import('./stored-values').catch(() => null)

export function valuesThrough(entrances: Entrances): LoadValues {
  return async ({ nodeUrl, path, accept }, picture, signal) => {
    const demand = { headers: { Accept: accept }, priority: PRIORITY.values, signal, timeoutMs: TIMEOUT_MS }
    const [outcome, decoder] = await Promise.all([entrances.get(nodeUrl, path, demand), loadedDecoder()])
    if (!outcome.ok) return outcome
    if (!decoder) return failed({ kind: 'unreachable' })
    try {
      const arrived = await decoder.arrivedValues(outcome.value)
      const isFromLine = cameOverLine(outcome.value.url)
      const { isWithoutPicture } = arrived.about
      const beside = isWithoutPicture ? await picture() : null
      if (isWithoutPicture && !beside) return succeeded(null)
      const frame = decoder.storedFrame(arrived, beside && decoder.greysOf(beside.bitmap))
      // Values that are not the server's are none, whatever the reason.
      if (await decoder.isProven(frame)) {
        return succeeded({ frame, sizeBytes: frame.values.byteLength, bodyBytes: arrived.body.byteLength, isFromLine })
      }
      return isWithoutPicture ? succeeded(null) : failed({ kind: 'unreachable' })
    } catch (error) {
      return isOfStream(error, decoder) ? failed({ kind: 'unreachable' }) : failed(failureOf(error, signal))
    }
  }
}

const isOfStream = (error: unknown, decoder: { StreamBroken: new (message: string) => Error }): boolean =>
  error instanceof RangeError || error instanceof decoder.StreamBroken

async function decoded(response: Response, request: PictureRequest): Promise<Picture> {
  const type = response.headers.get('Content-Type') ?? ''
  // It comes beside the rest of the picture, and not before a draft.
  if (type === GREY) void loadedDecoder()
  const body = await response.blob()
  const isFromLine = cameOverLine(response.url)
  const bitmap = await bitmapOf(body, type)
  return {
    request,
    bitmap,
    sizeBytes: bitmap.width * bitmap.height * BYTES_PER_PIXEL,
    bodyBytes: body.size,
    isFromLine,
    serverMs: serverMsIn(response.headers),
    completeness: completenessIn(response.headers),
    reduced: reducedIn(response.headers),
    window: windowIn(response.headers),
  }
}

/** As far as the browser tells: of other origins it tells only with their leave, and it remembers some hundred answers. */
export function cameOverLine(url: string): boolean {
  const timing = performance.getEntriesByName(url, 'resource').at(-1) as PerformanceResourceTiming | undefined
  return !timing || timing.responseStart === 0 || timing.transferSize > 0
}

/** Browsers do not know JPEG-LS. The grey of a pixel is a value: no colour profile may change it. */
async function bitmapOf(body: Blob, type: string): Promise<ImageBitmap> {
  if (type !== GREY) return createImageBitmap(body, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' })
  const [bytes, decoder] = await Promise.all([body.arrayBuffer(), loadedDecoder()])
  if (!decoder) throw new TypeError('the decoder did not come')
  try {
    const bitmap = decoder.greyBitmap(new Uint8Array(bytes))
    if (bitmap) return bitmap
  } catch (error) {
    throw error instanceof decoder.StreamBroken ? new SyntaxError(error.message) : error
  }
  throw new TypeError('there is no canvas for the picture')
}

/** `Server-Timing: …, total;dur=`; 0 where it is not said. */
const serverMsIn = (headers: Headers): number => Number(/\btotal;dur=([\d.]+)/.exec(headers.get('Server-Timing') ?? '')?.[1] ?? 0)

const FUNCTIONS: WindowFunction[] = ['linear', 'linear-exact', 'sigmoid']

/** `Volume-Complete`; a picture that does not say is whole. */
export function completenessIn(headers: Headers): number {
  const text = headers.get('Volume-Complete')
  const value = Number(text)
  return text === null || !Number.isFinite(value) ? 1 : Math.max(0, Math.min(1, value))
}

/** `Volume-Reduced: slice,row,column`. */
export function reducedIn(headers: Headers): Vector | null {
  const [slice, row, column] = (headers.get('Volume-Reduced') ?? '').split(',').map(Number)
  return slice && row && column && Math.max(slice, row, column) > 1 ? [slice, row, column] : null
}

/** `Rendered-Window: center,width,function`. */
export function windowIn(headers: Headers): WindowSetting | null {
  const [center = '', width = '', by = ''] = (headers.get('Rendered-Window') ?? '').split(',')
  const window = { center: Number.parseFloat(center), width: Number.parseFloat(width), function: FUNCTIONS.find((one) => one === by) ?? 'linear' }
  return Number.isFinite(window.center) && Number.isFinite(window.width) ? window : null
}
