/** A wheel turns in notches, a touchpad in pixels: both become whole slices. */

const PIXELS_PER_SLICE = 50
const PIXELS_PER_LINE = 40
/** Of a zoom: a notch of 100 pixels enlarges by a tenth. */
const ZOOM_PER_PIXEL = Math.log(1.1) / 100

export interface WheelTurn {
  deltaY: number
  /** 0 pixels, 1 lines, 2 pages (WheelEvent.deltaMode). */
  deltaMode: number
}

export const wheelPixels = ({ deltaY, deltaMode }: WheelTurn): number => (deltaMode === 0 ? deltaY : deltaY * PIXELS_PER_LINE)

export const zoomFactor = (turn: WheelTurn): number => Math.exp(-wheelPixels(turn) * ZOOM_PER_PIXEL)

/** Gathers small turns until they make a slice; a turn the other way begins anew. */
export class SliceWheel {
  #rest = 0

  /** Slices to go by. A whole notch, however large the system makes it, is one. */
  slicesFor(turn: WheelTurn): number {
    const pixels = wheelPixels(turn)
    if (Math.abs(pixels) >= PIXELS_PER_SLICE) {
      this.#rest = 0
      return Math.sign(pixels)
    }
    this.#rest = Math.sign(pixels) === Math.sign(this.#rest) ? this.#rest + pixels : pixels
    const slices = Math.trunc(this.#rest / PIXELS_PER_SLICE)
    this.#rest -= slices * PIXELS_PER_SLICE
    return slices
  }
}
