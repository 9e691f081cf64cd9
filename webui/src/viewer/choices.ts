/** What a frame or a volume may be seen through, by name: what its file has, and windows that physicians know. */

import type { VoiEntry } from '../api'
import type { Scene, Subject, WindowSetting } from './view'
import { isSameWindow } from './window'

export interface Choice {
  name: string
  /** Of the file: in another slice the same place may hold another window. Else null. */
  voi: string | null
  /** null of a table. */
  window: WindowSetting | null
}

/** The file's first, then those of its modality; of what is no frame, windows only. */
export function choicesOf(scene: Scene, subject: Subject): Choice[] {
  const presets = subject.series.presets.map(({ name, ...window }): Choice => ({ name, voi: null, window }))
  if (scene.kind !== 'frame') return presets
  const ofFile = entriesOf(scene.index, subject).map((entry): Choice => ({ name: entry.name, voi: entry.voi, window: windowOfEntry(entry) }))
  return [...ofFile, ...presets.filter(({ window }) => !ofFile.some((one) => isSameWindow(one.window, window)))]
}

/** Whether the file has such a choice for this frame. */
export const hasVoi = (index: number, voi: string, subject: Subject): boolean =>
  entriesOf(index, subject).some((entry) => entry.voi === voi)

/** The window that a choice means in a slice; null of tables, and where the slice has none. */
export function windowOfVoi(index: number, voi: string, subject: Subject): WindowSetting | null {
  const entry = entriesOf(index, subject).find((one) => one.voi === voi)
  return entry ? windowOfEntry(entry) : null
}

const entriesOf = (index: number, { series }: Subject): VoiEntry[] => series.voi?.[series.slices[index]?.voi ?? -1] ?? []

const windowOfEntry = ({ center, width, function: by }: VoiEntry): WindowSetting | null =>
  center === null || width === null ? null : { center, width, function: by ?? 'linear' }
