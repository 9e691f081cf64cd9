/** What of the pane in hand can be saved: its picture as the server draws it, and a film. */

import type { Entrances, Outcome } from '../api'
import { succeeded } from '../api'
import { isUpright, matrixOf, sizeHung, type Posture } from '../viewer/geometry/posture'
import { pictureRequest } from '../viewer/pictures/address'
import type { Subject, View } from '../viewer/view'

const PNG = 'image/png'
const MP4 = 'video/mp4'
const LABELS = 'annotation=patient,technique'
/** Once round. */
const SWIVEL = 'swivelrange=360&animationrate=10'

export interface Wanted {
  readonly path: string
  readonly accept: string
}

/** The view at rest, lossless; labels are written into frames only. */
export function pictureWanted(view: View, subject: Subject, hasLabels: boolean): Wanted {
  const { path } = pictureRequest(view, subject, 'final')
  return { path: hasLabels && view.scene.kind === 'frame' ? `${path}&${LABELS}` : path, accept: PNG }
}

/** The frames of one object one after the other, or a volume turned once round; null where there is nothing to turn or to play. */
export function filmWanted(view: View, subject: Subject, hasLabels: boolean): Wanted | null {
  const { scene } = view
  const { path } = pictureRequest(view, subject, 'final')
  if (scene.kind === 'mip' || scene.kind === 'volume') return { path: `${path.replace(/&quality=\d+$/, '')}&${SWIVEL}`, accept: MP4 }
  if (scene.kind !== 'frame') return null
  const { instance_uid } = subject.series.slices[scene.index]!
  if (subject.series.slices.filter((one) => one.instance_uid === instance_uid).length < 2) return null
  const [, ofInstance, query] = /^(.*)\/frames\/\d+\/rendered\?(.*)$/.exec(path)!
  const kept = new URLSearchParams(query)
  // A film has the size of its source.
  kept.delete('viewport')
  const labels = hasLabels ? `&${LABELS}` : ''
  return { path: `${ofInstance}/rendered?${kept.toString().replaceAll('%2C', ',')}${labels}`, accept: MP4 }
}

/** A film of a volume is drawn frame by frame. */
const FILM_TIMEOUT_MS = 600_000

export async function fetched(entrances: Entrances, nodeUrl: string, { path, accept }: Wanted, signal?: AbortSignal): Promise<Outcome<Blob>> {
  const outcome = await entrances.get(nodeUrl, path, { headers: { Accept: accept }, signal: signal ?? null, timeoutMs: FILM_TIMEOUT_MS })
  return outcome.ok ? succeeded(await outcome.value.blob()) : outcome
}

/** The picture as it hangs on the screen: the server knows nothing of how it is turned. */
export async function hung(picture: Blob, posture: Posture): Promise<Blob> {
  if (isUpright(posture)) return picture
  const bitmap = await createImageBitmap(picture)
  const { width, height } = sizeHung(bitmap, posture)
  const canvas = new OffscreenCanvas(width, height)
  const context = canvas.getContext('2d')!
  context.translate(width / 2, height / 2)
  context.transform(...matrixOf(posture), 0, 0)
  context.drawImage(bitmap, -bitmap.width / 2, -bitmap.height / 2)
  bitmap.close()
  return canvas.convertToBlob({ type: PNG })
}

export function save(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = address
  link.download = name
  link.click()
  URL.revokeObjectURL(address)
}
