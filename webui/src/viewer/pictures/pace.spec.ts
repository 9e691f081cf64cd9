import { describe, expect, it } from 'vitest'
import { FINENESSES, Pace } from './pace'

/** A hand, a line of so many bytes a second, and a clock. */
class Line {
  nowMs = 0
  readonly pace = new Pace(() => this.nowMs)

  constructor(
    readonly bytesPerS: number,
    readonly latencyMs: number,
  ) {}

  /** `count` answers under way together, as `bytes` each. */
  carry(count: number, bytes: number): void {
    const marks = Array.from({ length: count }, () => this.pace.sent())
    this.nowMs += this.latencyMs
    for (const mark of marks) {
      this.nowMs += (bytes / this.bytesPerS) * 1000
      this.pace.delivered(mark, bytes)
    }
  }

  turn(slicesPerS: number): void {
    for (let step = 0; step < slicesPerS; step += 1) {
      this.nowMs += 1000 / slicesPerS
      this.pace.stepped()
    }
  }
}

describe('the pace', () => {
  it('finds out what a line carries once enough is on it', () => {
    const line = new Line(93_750, 100)
    line.carry(20, 12_000)

    expect(line.pace.bytesPerS).toBeGreaterThan(0.85 * 93_750)
    expect(line.pace.bytesPerS).toBeLessThan(1.15 * 93_750)
  })

  it('knows the speed of the hand, and that it has stopped', () => {
    const line = new Line(93_750, 100)
    line.turn(30)
    expect(line.pace.slicesPerS).toBeCloseTo(30, -0.5)

    line.nowMs += 1_000
    expect(line.pace.slicesPerS).toBe(0)
  })

  it('asks for drafts that 30 slices a second of a 2G line have room for', () => {
    const line = new Line(93_750, 100)
    line.carry(20, 12_000)
    line.turn(30)
    const { side } = line.pace.fineness(4)

    expect([128, 160, 192]).toContain(side)
  })

  it('asks for the finest where the line has room for it', () => {
    const line = new Line(5_000_000, 5)
    line.carry(20, 50_000)
    line.turn(30)

    expect(line.pace.fineness(1)).toBe(FINENESSES.at(-1))
  })

  it('gives way in quality when slices wait that the hand passed long ago', () => {
    const line = new Line(200_000, 50)
    line.carry(20, 12_000)
    line.turn(30)

    expect(line.pace.fineness(40).side).toBeLessThan(line.pace.fineness(2).side)
  })

  it('makes nothing finer that a hand which has stopped passed, and still waits for', () => {
    const line = new Line(93_750, 100)
    line.carry(20, 12_000)
    line.turn(30)
    const whileMoving = line.pace.fineness(6)
    line.nowMs += 2_000

    expect(line.pace.fineness(6)).toBe(whileMoving)
    expect(line.pace.fineness(0).side).toBeGreaterThan(whileMoving.side)
  })

  it('lets more be under way on a line that holds more', () => {
    const near = new Line(93_750, 10)
    const far = new Line(93_750, 400)
    for (const line of [near, far]) {
      line.carry(20, 12_000)
      line.turn(30)
    }

    expect(far.pace.limit).toBeGreaterThan(near.pace.limit)
  })

  it('keeps enough under way on a near line for a page that takes longer than the line', () => {
    const line = new Line(500_000, 20)
    line.carry(20, 12_000)
    line.turn(30)

    expect(line.pace.limit).toBeGreaterThanOrEqual(8)
  })

  it('does not take the time of a server that draws for long for that of the line', () => {
    const line = new Line(500_000, 20)
    const mark = line.pace.sent()
    line.nowMs += 6_060
    line.pace.delivered(mark, 19_650, null, 6_000)

    expect(line.pace.measured).toEqual({ latencyMs: 60, bytesPerS: expect.closeTo(333_333, 0) })
  })

  it('learns how large the drafts of this series are', () => {
    const line = new Line(93_750, 100)
    line.carry(20, 12_000)
    line.turn(30)
    const before = line.pace.fineness(2)
    for (let time = 0; time < 10; time += 1) {
      const mark = line.pace.sent()
      line.nowMs += 100
      line.pace.delivered(mark, 6_000, before)
    }
    line.turn(30)

    expect(line.pace.fineness(2).side).toBeLessThan(before.side)
  })
})
