import { isUpright, matrixOf, sizeHung, type Posture } from './geometry/posture'
import { placed, scaleOf, type Framing, type Rect, type Size } from './geometry/framing'
import { extentOf, type Subject } from './view'
import { greyAfter, type Look } from './window'
import type { Shown } from './pictures/pipeline'

/** A picture within so many pixels of its place is drawn pixel for pixel: rounding is no reason to blur. */
const SAME_SIZE_PIXELS = 1.5

/** Draws pictures on a canvas where the framing puts them, through another look if the server has not answered yet. */
export class Painter {
  readonly #canvas: HTMLCanvasElement
  readonly #scratch = document.createElement('canvas')
  #pixels: { of: ImageBitmap; data: ImageData } | null = null

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas
  }

  paint(shown: Shown | null, subject: Subject, framing: Framing, glass: Size, posture: Posture, look: { from: Look; to: Look } | null): void {
    if (this.#canvas.width !== glass.width) this.#canvas.width = glass.width
    if (this.#canvas.height !== glass.height) this.#canvas.height = glass.height
    const context = this.#canvas.getContext('2d', { alpha: false })
    if (!context) throw new Error('the browser gives no canvas')
    context.resetTransform()
    context.fillRect(0, 0, glass.width, glass.height)
    if (!shown) return
    const pane = sizeHung(glass, posture)
    if (!isUpright(posture)) {
      context.setTransform(...matrixOf(posture), glass.width / 2, glass.height / 2)
      context.translate(-pane.width / 2, -pane.height / 2)
    }
    const { bitmap, request } = shown.picture
    const extent = extentOf(shown.view.scene, subject)
    const place = onWholePixels(placed(request.footprint, framing, scaleOf(framing, extent, pane), pane), bitmap)
    context.imageSmoothingEnabled = true
    // A coarse draft has no detail that a better filter would keep, and where a processor draws the canvas that takes most of a frame.
    context.imageSmoothingQuality = request.grade === 'draft' && place.width > bitmap.width ? 'low' : 'high'
    context.drawImage(look ? this.#seenThrough(bitmap, look) : bitmap, place.x, place.y, place.width, place.height)
  }

  #seenThrough(bitmap: ImageBitmap, { from, to }: { from: Look; to: Look }): HTMLCanvasElement {
    const pixels = this.#pixelsOf(bitmap)
    const table = greyAfter(from, to)
    const after = new ImageData(pixels.width, pixels.height)
    for (let index = 0; index < pixels.data.length; index += 4) {
      const grey = table[pixels.data[index]!]!
      after.data[index] = grey
      after.data[index + 1] = grey
      after.data[index + 2] = grey
      after.data[index + 3] = 255
    }
    this.#context(bitmap).putImageData(after, 0, 0)
    return this.#scratch
  }

  /** Read once for a whole drag: reading back is what costs. */
  #pixelsOf(bitmap: ImageBitmap): ImageData {
    if (this.#pixels?.of !== bitmap) {
      const context = this.#context(bitmap)
      context.drawImage(bitmap, 0, 0)
      this.#pixels = { of: bitmap, data: context.getImageData(0, 0, bitmap.width, bitmap.height) }
    }
    return this.#pixels.data
  }

  #context({ width, height }: Size): CanvasRenderingContext2D {
    if (this.#scratch.width !== width || this.#scratch.height !== height) {
      this.#scratch.width = width
      this.#scratch.height = height
    }
    const context = this.#scratch.getContext('2d', { willReadFrequently: true })
    if (!context) throw new Error('the browser gives no canvas')
    return context
  }
}

function onWholePixels(place: Rect, bitmap: Size): Rect {
  const isSameSize =
    Math.abs(place.width - bitmap.width) < SAME_SIZE_PIXELS && Math.abs(place.height - bitmap.height) < SAME_SIZE_PIXELS
  return isSameSize ? { x: Math.round(place.x), y: Math.round(place.y), width: bitmap.width, height: bitmap.height } : place
}
