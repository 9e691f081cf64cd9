/** Through which window a picture on the screen was made. */

import type { Shown } from './pictures/pipeline'
import type { Subject, WindowSetting } from './view'

/** What was asked for, else what the server says it found, else what the file says of this frame; null of a table, and if nobody says. */
export function appliedWindow({ view, picture }: Shown, { series }: Subject): WindowSetting | null {
  if (view.window) return view.window
  if (picture.window) return picture.window
  if (view.voi) return null
  const window = view.scene.kind === 'frame' ? series.slices[view.scene.index]?.window : null
  return window ? { center: window[0], width: window[1] } : null
}

/** Where a drag begins before any window was chosen. */
export function startingWindow(chosen: WindowSetting | null, shown: Shown | null, subject: Subject): WindowSetting | null {
  return chosen ?? (shown && appliedWindow(shown, subject)) ?? windowOfFile(subject)
}

/** What the file says of its middle, else the first preset of its modality. */
function windowOfFile({ series }: Subject): WindowSetting | null {
  const said = series.slices[Math.floor(series.slices.length / 2)]?.window
  if (said) return { center: said[0], width: said[1] }
  const preset = series.presets[0]
  if (!preset) return null
  const { name: _, ...window } = preset
  return window
}
