import type { Series } from '../api'
import { Stage } from './stage.svelte'
import { subjectOf } from './view'

/** Slices over the same 100 mm, so many mm apart. */
export const series = (uid: string, apartMm: number, frameOfReference: string | null = '9') =>
  ({
    series_uid: uid,
    frame_of_reference_uid: frameOfReference,
    is_colour: false,
    volume_presets: ['bone'],
    presets: [],
    slices: Array.from({ length: 100 / apartMm }, (_, index) => ({
      instance_uid: `${uid}.${index}`,
      frame: 1,
      rows: 100,
      columns: 100,
      position: [-49.5, -49.5, index * apartMm],
      orientation: [1, 0, 0, 0, 1, 0],
      pixel_spacing: [1, 1],
      window: [40, 400],
    })),
    volume: { ok: true, center: [0, 0, 50 - apartMm / 2], size_mm: [100, 100, 100], warnings: [] },
  }) as unknown as Series

export const stageOf = (...parts: Parameters<typeof series>) => new Stage(subjectOf('', '1.1', series(...parts)))
