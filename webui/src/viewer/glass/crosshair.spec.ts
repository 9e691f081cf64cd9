import { beforeEach, describe, expect, it } from 'vitest'
import type { Series, Vector } from '../../api'
import { Desk } from '../desk.svelte'
import { depthOf, normalOf, pointOn, sheetOf } from '../geometry/sheet'
import { dot } from '../geometry/vectors'
import { pointAt } from '../linking'
import { pictureRequest } from '../pictures/address'
import { Stage } from '../stage.svelte'
import { subjectOf } from '../view'
import { lettersOf, positionOf } from '../labels'
import { angleBetween, fellowsOf, lineOf, meetingOf, rotationAbout, slabTo, straighten, turnFellows } from './crosshair'

/** A cube of 100 mm. */
const SERIES = {
  series_uid: '1',
  frame_of_reference_uid: '9',
  is_colour: false,
  volume_presets: [],
  presets: [],
  voi: [],
  slices: Array.from({ length: 100 }, (_, index) => ({
    instance_uid: `1.${index}`,
    frame: 1,
    rows: 100,
    columns: 100,
    position: [-49.5, -49.5, index - 49.5],
    orientation: [1, 0, 0, 0, 1, 0],
    pixel_spacing: [1, 1],
    window: null,
  })),
  volume: { ok: true, center: [0, 0, 0], size_mm: [100, 100, 100], warnings: [] },
} as unknown as Series

let desk: Desk
let axial: Stage
let coronal: Stage
let sagittal: Stage
beforeEach(() => {
  desk = new Desk()
  desk.put(new Stage(subjectOf('', '1.1', SERIES)))
  desk.showPlanes()
  ;[axial, coronal, sagittal] = desk.slots as [Stage, Stage, Stage]
  for (const stage of desk.slots) stage!.glass = { width: 400, height: 400 }
})

const sheetOfStage = (stage: Stage) => sheetOf(stage.scene, stage.subject)!
const normal = (stage: Stage) => normalOf(sheetOfStage(stage))

describe('a line of the crosshair', () => {
  it('is there for each other plane of the same volume, and not for the volume itself', () => {
    expect(fellowsOf(desk, axial)).toEqual([coronal, sagittal])
    expect(fellowsOf(desk, desk.slots[3]!)).toEqual([])
  })

  it('lies where the planes cross', () => {
    const line = lineOf(coronal, sheetOfStage(axial), meetingOf(desk, axial)!)!

    expect(Math.abs(line.along.x)).toBeCloseTo(1)
    expect(line.along.y).toBeCloseTo(0)
  })

  it('turns the other two planes when it is turned, and leaves its own picture alone', () => {
    const before = normal(axial)
    turnFellows(desk, axial, Math.PI / 6)

    expect(normal(axial)).toEqual(before)
    // Clockwise, seen from the feet: the coronal plane's right comes towards the back.
    const across = dot(normal(coronal), [0, 1, 0])
    expect(across).toBeCloseTo(Math.cos(Math.PI / 6))
    expect(dot(normal(coronal), normal(sagittal))).toBeCloseTo(0)
    expect(lettersOf(coronal.view, coronal.subject)).toMatchObject({ left: 'RA', right: 'LP', top: 'H' })
  })

  it('keeps the planes where they meet', () => {
    pointAt(desk, axial, { x: 20.5, y: -10.5 })
    const place = desk.aim!.point
    turnFellows(desk, axial, 0.4)
    turnFellows(desk, coronal, -0.7)

    const meeting = meetingOf(desk, axial)!
    for (const stage of [axial, coronal, sagittal]) {
      expect(Math.abs(depthOf(meeting, sheetOfStage(stage)))).toBeLessThan(1e-6)
    }
    // Planes are counted in whole voxels.
    for (const stage of [coronal, sagittal]) expect(Math.abs(depthOf(place, sheetOfStage(stage)))).toBeLessThan(1)
  })

  it('tells no coordinate of an oblique plane, and asks the server for just that plane', () => {
    turnFellows(desk, axial, Math.PI / 4)
    const query = new URLSearchParams(pictureRequest(coronal.view, coronal.subject, 'final').path.split('?')[1])
    const [position, lookAt] = ['viewpointposition', 'viewpointlookat'].map((name) => query.get(name)!.split(',').map(Number))
    const towards = position!.map((value, axis) => value - lookAt![axis]!) as Vector

    expect(positionOf(coronal.view, coronal.subject)).toBe('')
    expect(Math.abs(dot(towards, normal(coronal)))).toBeCloseTo(Math.hypot(...towards))
    expect(Math.abs(depthOf(lookAt as Vector, sheetOfStage(coronal)))).toBeLessThan(1e-3)
  })

  it('makes a slab as thick as it is pulled', () => {
    const line = lineOf(coronal, sheetOfStage(axial), meetingOf(desk, axial)!)!

    expect(slabTo(line, { x: line.middle.x + 30, y: line.middle.y + 7 })).toBe(14)
    expect(slabTo(line, { x: 0, y: line.middle.y + 900 })).toBe(100)
  })

  it('is straight again when it is straightened', () => {
    turnFellows(desk, axial, 0.4)
    turnFellows(desk, sagittal, 0.3)
    straighten(desk, axial)

    expect(normal(coronal).map((part) => Math.abs(Math.round(part)))).toEqual([0, 1, 0])
    expect(coronal.tilt).toBeUndefined()
    expect(Math.abs(pointOn(sheetOfStage(coronal), { x: 0, y: 0 })[1])).toBeLessThanOrEqual(0.5)
  })
})

describe('an angle on the screen', () => {
  it('grows clockwise', () => expect(angleBetween({ x: 1, y: 0 }, { x: 0, y: 1 })).toBeCloseTo(Math.PI / 2))

  it('is about the line of sight as a right hand turns', () => {
    const [x] = rotationAbout([0, 0, 1], Math.PI / 2)

    expect(x.map((part) => Math.round(part))).toEqual([0, 1, 0])
  })
})
