import type { Subject, View } from '../view'

/**
 * What a picture is of, in a word, whatever its size and its window: "1.2.3#1" for frame 1 of an instance,
 * "coronal#12", "mip#0.5,0.1".
 */
export function pictureName({ scene }: View, { series }: Subject): string {
  switch (scene.kind) {
    case 'frame': {
      const slice = series.slices[scene.index]
      return slice ? `${slice.instance_uid}#${slice.frame}` : ''
    }
    case 'plane':
      return `${scene.axis}#${scene.index + 1}${scene.tilt ? `,${scene.tilt.flat().map((part) => part.toFixed(4))}` : ''}`
    default:
      return `${scene.kind}#${scene.turn.azimuth.toFixed(3)},${scene.turn.elevation.toFixed(3)}`
  }
}
