/** Grey pixels as what a canvas draws; all of them made in one way, since browsers enlarge other kinds with other roundings. */

export const opaqueGrey = (grey: number): number => 0xff000000 | (grey * 0x010101)

/** `pixels` are four bytes each, row by row; null where a canvas cannot be had. */
export function bitmapOf(pixels: Uint32Array<ArrayBuffer>, rows: number, columns: number): ImageBitmap | null {
  const canvas = new OffscreenCanvas(columns, rows)
  const context = canvas.getContext('2d')
  if (!context) return null
  context.putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), columns, rows), 0, 0)
  return canvas.transferToImageBitmap()
}
