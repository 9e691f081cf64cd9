/**
 * The camera round a volume: a turntable. Turning goes round the long axis of the patient, tilting up to the poles and
 * no further, so that the head never hangs down by accident and a drag back is the way back.
 */

import type { Vector } from '../../api'
import { added, scaled, type Facing } from './vectors'

export interface Turn {
  /** Round the long axis; 0 is seen from the front, growing to the left of the patient. Radians. */
  azimuth: number
  /** 0 is level, growing to the head. Radians, at most a quarter turn. */
  elevation: number
}

const QUARTER = Math.PI / 2

export const FROM_THE_FRONT: Turn = { azimuth: 0, elevation: 0 }

/** A drag over the height of the pane turns by half a turn. */
const RADIANS_PER_PANE = Math.PI

/** After a drag by (dx, dy) pixels on a pane so many pixels high: the side that is near follows the hand. */
export function turnedBy({ azimuth, elevation }: Turn, dx: number, dy: number, paneHeight: number): Turn {
  const radians = RADIANS_PER_PANE / paneHeight
  const turned = azimuth - dx * radians
  return {
    azimuth: turned - 2 * Math.PI * Math.round(turned / (2 * Math.PI)),
    elevation: Math.max(-QUARTER, Math.min(QUARTER, elevation + dy * radians)),
  }
}

/** From the centre to the eye; a unit vector. */
export function towardsEye({ azimuth, elevation }: Turn): Vector {
  return [
    Math.sin(azimuth) * Math.cos(elevation),
    -Math.cos(azimuth) * Math.cos(elevation),
    Math.sin(elevation),
  ]
}

/** Up in the picture; square to the line of sight also at the poles. */
export function upOf({ azimuth, elevation }: Turn): Vector {
  return [
    -Math.sin(azimuth) * Math.sin(elevation),
    Math.cos(azimuth) * Math.sin(elevation),
    Math.cos(elevation),
  ]
}

export function facingOfTurn(turn: Turn): Facing {
  return { right: [Math.cos(turn.azimuth), Math.sin(turn.azimuth), 0], down: scaled(upOf(turn), -1) }
}

/** To look at the side of the volume whose outward normal is an axis of the patient. */
export function turnTowards([x, y, z]: Vector): Turn {
  const elevation = z > 0 ? QUARTER : z < 0 ? -QUARTER : 0
  return { azimuth: elevation ? 0 : Math.atan2(x, -y), elevation }
}

/** The point that lies `right` and `down` (mm) of the centre, square to the line of sight. */
export function pointBeside(turn: Turn, center: Vector, right: number, down: number): Vector {
  const facing = facingOfTurn(turn)
  return added(center, added(scaled(facing.right, right), scaled(facing.down, down)))
}

/** The side of a square that holds the volume when it is turned: mm. */
export const volumeSideMm = ([x, y, z]: Vector): number => Math.max(Math.hypot(x, y), z)
