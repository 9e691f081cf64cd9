/** Which images a presentation state is about, from its metadata (PS3.3 C.11.11, PS3.18 F.2). */

export type DicomJson = Record<string, { Value?: unknown[] }>

export interface Presented {
  seriesUid: string
  instanceUid: string
  /** Counts from 1. */
  frame: number
}

const itemsOf = (model: DicomJson, tag: string): DicomJson[] => (model[tag]?.Value ?? []) as DicomJson[]
const textOf = (model: DicomJson, tag: string): string => String(model[tag]?.Value?.[0] ?? '')

/** In the order of the state; where it names no frames, the first stands for all. */
export const presentedImages = (state: DicomJson): Presented[] =>
  itemsOf(state, '00081115').flatMap((series) =>
    itemsOf(series, '00081140').flatMap((image) => {
      const frames = (image['00081160']?.Value ?? [1]).map(Number)
      return frames.map((frame) => ({ seriesUid: textOf(series, '0020000E'), instanceUid: textOf(image, '00081155'), frame }))
    }),
  )
