/** Which slices a hand passes on its way from one to another. */

import type { Scene } from '../view'

/** A wheel that turns fast, or a slider under the hand, leaves out so many at most; farther is a jump to somewhere else. */
const FARTHEST_STEP = 8

type Indexed = Extract<Scene, { index: number }>

/** Whether the hand went through the slices between, rather than to another place. */
export function isOnTheWay(from: Scene, to: Scene): boolean {
  if (!isIndexed(from) || !isIndexed(to) || !isSameStack(from, to)) return false
  const distance = Math.abs(to.index - from.index)
  return distance <= FARTHEST_STEP
}

/** From the one after `from` to `to`; none where both are the same. They have to be on the way. */
export function passedBetween(from: Scene, to: Scene): Scene[] {
  if (!isIndexed(from) || !isIndexed(to)) return []
  const direction = Math.sign(to.index - from.index)
  return Array.from({ length: Math.abs(to.index - from.index) }, (_, step) => ({ ...to, index: from.index + (step + 1) * direction }))
}

const isIndexed = (scene: Scene): scene is Indexed => scene.kind === 'frame' || scene.kind === 'plane'

function isSameStack(a: Indexed, b: Indexed): boolean {
  if (a.kind === 'plane' && b.kind === 'plane') return a.axis === b.axis && a.slab.mm === b.slab.mm && a.slab.method === b.slab.method && a.fuse === b.fuse && a.tilt === b.tilt
  return a.kind === b.kind
}
