/** A window for the part of a frame that is seen, found by the server from what is stored. */

import type { Entrances, Outcome, WindowFunction } from '../../api'
import { succeeded } from '../../api'
import { scaleOf, shared, visible } from '../geometry/framing'
import type { Stage } from '../stage.svelte'
import { pixelAspect, type WindowSetting } from '../view'

/** As `GET …/window` answers. */
interface WindowAnswer {
  center: number
  width: number
  function: WindowFunction
}

export const canFindWindow = (stage: Stage): boolean => stage.mode === 'stack' && stage.isWindowed

/** Path of the question; null where nothing of the frame is seen. */
export function windowPath({ subject, scene, framing, extent, pane }: Stage): string | null {
  const slice = scene.kind === 'frame' ? subject.series.slices[scene.index] : undefined
  const seen = shared(visible(framing, scaleOf(framing, extent, pane), pane), extent)
  if (!slice || !seen) return null
  const aspect = pixelAspect(slice)
  const [left, top] = [Math.floor(seen.x), Math.floor(seen.y / aspect)]
  const right = Math.min(slice.columns, Math.ceil(seen.x + seen.width))
  const bottom = Math.min(slice.rows, Math.ceil((seen.y + seen.height) / aspect))
  const region = [left, top, right - left, bottom - top].join(',')
  const frame = `instances/${slice.instance_uid}/frames/${slice.frame}`
  return `/api/studies/${subject.studyUid}/series/${subject.series.series_uid}/${frame}/window?region=${region}`
}

export async function foundWindow(stage: Stage, entrances: Entrances, signal: AbortSignal): Promise<Outcome<WindowSetting | null>> {
  const path = windowPath(stage)
  if (!path) return succeeded(null)
  const outcome = await entrances.getJson<WindowAnswer>(stage.subject.nodeUrl, path, signal)
  return outcome.ok ? succeeded({ center: outcome.value.center, width: outcome.value.width, function: outcome.value.function }) : outcome
}
