// Watches a viewer's canvas from inside the page, once each animation frame: what its pixels say, not what the page says.
//
// The slices of the stack carry their number in a bar code (provisioning/phantom/slices.py, draw_mark): a bright block, a
// dark one, twelve bits and a parity bit, 8 x 8 pixels each, in the upper left corner of 512 x 512 pixels, or of as many a
// side as window.sampledSide says. The canvas is the first that window.sampledCanvas selects; what it says of itself in its
// data-* is kept beside what is seen.
(() => {
  const BLOCK = 8
  const BITS = 12
  const sampled = { slices: [], states: [], pictures: [], wheels: [] }
  let lastNumber = null
  let lastState = ''
  let lastPicture = 0

  const context = (canvas) => canvas.getContext('2d')

  function numberOn(canvas) {
    const side = window.sampledSide ?? 512
    const scale = Math.min(canvas.width, canvas.height) / side
    const left = (canvas.width - side * scale) / 2
    const top = (canvas.height - side * scale) / 2
    const middle = (block) => (block * BLOCK + BLOCK / 2) * scale
    const count = BITS + 3
    const strip = context(canvas).getImageData(Math.floor(left), Math.floor(top + middle(0)), Math.ceil(count * BLOCK * scale), 1).data
    const blocks = Array.from({ length: count }, (_, block) => strip[4 * Math.floor(middle(block))])
    if (blocks[0] - blocks[1] < 64) return null
    const bits = blocks.map((grey) => Number(grey > (blocks[0] + blocks[1]) / 2)).slice(2)
    if (bits.reduce((sum, bit) => sum + bit, 0) % 2) return null
    return bits.slice(0, BITS).reduce((sum, bit) => 2 * sum + bit, 0)
  }

  /** Of some rows through the middle: changes with every picture of a turning volume. */
  function digestOf(canvas) {
    const rows = context(canvas).getImageData(0, Math.floor(canvas.height / 2), canvas.width, 2).data
    return rows.reduce((sum, value) => (Math.imul(sum, 31) + value) | 0, 7)
  }

  function lookAtSlice(canvas, now) {
    const { grade, settled, proven, shown } = canvas.dataset
    const number = numberOn(canvas)
    if (number !== null && number !== lastNumber) sampled.slices.push([now, number])
    lastNumber = number ?? lastNumber
    const state = JSON.stringify({ number, shown, grade, settled, proven })
    if (state !== lastState) sampled.states.push([now, JSON.parse(state)])
    lastState = state
  }

  function lookAtVolume(canvas, now) {
    const picture = digestOf(canvas)
    if (picture !== lastPicture) sampled.pictures.push(now)
    lastPicture = picture
  }

  function look() {
    requestAnimationFrame(look)
    const canvas = document.querySelector(window.sampledCanvas ?? '[data-testid=viewer-canvas]')
    if (!canvas || canvas.width < 2 || canvas.height < 2) return
    const now = performance.now()
    if ((window.sampledMode ?? canvas.dataset.mode) === '2d') lookAtSlice(canvas, now)
    else lookAtVolume(canvas, now)
  }

  addEventListener('wheel', () => sampled.wheels.push(performance.now()), { capture: true, passive: true })
  requestAnimationFrame(look)
  window.sampled = sampled
})()
