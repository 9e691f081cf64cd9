/** What became of the files of a queue, counted as it happens: a folder may hold thousands. */

import type { Failure } from '../api'

export type Progress =
  | { kind: 'waiting' }
  | { kind: 'sending'; sentBytes: number }
  | { kind: 'stored' }
  | { kind: 'already-there' }
  /** The node looked at it and said no. */
  | { kind: 'refused'; failure: Failure }
  /** It never got there. */
  | { kind: 'failed'; failure: Failure }
  | { kind: 'cancelled' }

export type ProgressKind = Progress['kind']

export const OUTCOMES = ['stored', 'already-there', 'refused', 'failed', 'cancelled'] as const satisfies ProgressKind[]

export interface Tally {
  files: Record<ProgressKind, number>
  allBytes: number
  doneBytes: number
}

export const emptyTally = (): Tally => ({
  files: { waiting: 0, sending: 0, stored: 0, 'already-there': 0, refused: 0, failed: 0, cancelled: 0 },
  allBytes: 0,
  doneBytes: 0,
})

export const withWaiting = (tally: Tally, sizeBytes: number): Tally => ({
  ...tally,
  files: { ...tally.files, waiting: tally.files.waiting + 1 },
  allBytes: tally.allBytes + sizeBytes,
})

/** A file of `sizeBytes` went from one state to another. */
export function moved(tally: Tally, sizeBytes: number, from: Progress, to: Progress): Tally {
  const files = { ...tally.files }
  files[from.kind] -= 1
  files[to.kind] += 1
  return { ...tally, files, doneBytes: tally.doneBytes + doneBytes(to, sizeBytes) - doneBytes(from, sizeBytes) }
}

export const fileCount = (tally: Tally): number => Object.values(tally.files).reduce((sum, count) => sum + count, 0)

export const doneCount = ({ files }: Tally): number => files.stored + files['already-there'] + files.refused

export const isBusy = ({ files }: Tally): boolean => files.waiting + files.sending > 0

export const canBeRepeated = ({ kind }: Progress): boolean => kind === 'failed' || kind === 'cancelled'

function doneBytes(progress: Progress, sizeBytes: number): number {
  if (progress.kind === 'sending') return progress.sentBytes
  const hasArrived = progress.kind === 'stored' || progress.kind === 'already-there' || progress.kind === 'refused'
  return hasArrived ? sizeBytes : 0
}
