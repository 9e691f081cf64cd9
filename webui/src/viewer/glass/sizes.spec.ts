import { describe, expect, it } from 'vitest'
import type { Series } from '../../api'
import { scaleOf } from '../geometry/framing'
import { Stage } from '../stage.svelte'
import { subjectOf } from '../view'
import { keepPixelsPerMm, knownPixelsPerMm, mmOfUnit, showTrueSize } from './sizes'

const SLICE = { instance_uid: '1', frame: 1, rows: 100, columns: 100, position: [0, 0, 0], orientation: [1, 0, 0, 0, 1, 0], pixel_spacing: [0.5, 0.5], window: null }
const stageOf = (slice: object, volume: object = { ok: false, reason: '' }) => {
  const series = { series_uid: '1.2', is_colour: false, volume_presets: [], presets: [], voi: [], slices: [{ ...SLICE, ...slice }], volume } as unknown as Series
  const stage = new Stage(subjectOf('', '1', series))
  stage.glass = { width: 400, height: 400 }
  return stage
}

describe('true size', () => {
  it('is a millimetre of the screen for one of the patient', () => {
    const stage = stageOf({})

    expect(showTrueSize(stage, 3)).toBe(true)
    // A column is half a millimetre wide.
    expect(scaleOf(stage.framing, stage.extent, stage.pane)).toBeCloseTo(1.5)
  })

  it('is true of planes, whose space is in millimetres', () => {
    const stage = stageOf({}, { ok: true, center: [0, 0, 0], size_mm: [50, 50, 50], warnings: [] })
    stage.show('coronal')

    showTrueSize(stage, 3)
    expect(scaleOf(stage.framing, stage.extent, stage.pane)).toBeCloseTo(3)
  })

  it.each([
    ['a projection', { position: null, orientation: null }],
    ['what has no spacing', { pixel_spacing: null }],
  ])('is not claimed of %s', (_, without) => {
    const stage = stageOf(without)

    expect(mmOfUnit(stage.scene, stage.subject)).toBe(null)
    expect(showTrueSize(stage, 3)).toBe(false)
    expect(stage.framing.zoom).toBe(1)
  })
})

describe('the size of a screen', () => {
  const kept = new Map<string, string>()
  const storage = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) }
  const screen = { width: 1920, height: 1080, devicePixelRatio: 1 }

  it('is asked for once, and for each screen', () => {
    expect(knownPixelsPerMm(screen, storage)).toBe(null)
    keepPixelsPerMm(screen, 3.78, storage)

    expect(knownPixelsPerMm(screen, storage)).toBe(3.78)
    expect(knownPixelsPerMm({ ...screen, width: 3840, height: 2160 }, storage)).toBe(null)
  })

  it('stays when the page is enlarged', () => {
    expect(knownPixelsPerMm({ width: 1536, height: 864, devicePixelRatio: 1.25 }, storage)).toBe(3.78)
  })
})
