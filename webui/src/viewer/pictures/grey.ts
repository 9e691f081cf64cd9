/** Greys of a picture without loss, and the bitmap that shows them. */

import { bitmapOf, opaqueGrey } from './bitmap'
import { decodedJpegLs } from './jpegls'

/** A picture that came as JPEG-LS of 8 bits; null where a canvas cannot be had. Throws StreamBroken. */
export function greyBitmap(bytes: Uint8Array): ImageBitmap | null {
  const { columns, rows, samples } = decodedJpegLs(bytes)
  const pixels = new Uint32Array(samples.length)
  for (let at = 0; at < samples.length; at += 1) pixels[at] = opaqueGrey(samples[at]!)
  return bitmapOf(pixels, rows, columns)
}

/** Row by row; null where a canvas cannot be had. */
export function greysOf(bitmap: ImageBitmap): Uint8Array | null {
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d', { willReadFrequently: true })
  if (!context) return null
  context.drawImage(bitmap, 0, 0)
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height)
  const greys = new Uint8Array(data.length / 4)
  for (let at = 0; at < greys.length; at += 1) greys[at] = data[4 * at]!
  return greys
}
