import { describe, expect, it } from 'vitest'
import type { Series, SliceEntry } from '../api'
import { fitted } from '../viewer/geometry/framing'
import { FROM_THE_FRONT } from '../viewer/geometry/turntable'
import { extentOf, subjectOf, WHOLE_SPACE, type Scene, type View } from '../viewer/view'
import { filmWanted, pictureWanted } from './picture'

const slice = (instance_uid: string, frame: number): SliceEntry => ({
  instance_uid,
  frame,
  number: frame,
  rows: 512,
  columns: 512,
  position: [0, 0, frame],
  orientation: [1, 0, 0, 0, 1, 0],
  pixel_spacing: [0.5, 0.5],
  window: [40, 400],
})

const series = (slices: SliceEntry[]) =>
  ({
    series_uid: '1.2',
    is_colour: false,
    slices,
    volume: { ok: true, center: [0, 0, 0], size_mm: [256, 256, 2], warnings: [] },
    rules: 'a1b2',
  }) as unknown as Series

const STACK = subjectOf('https://node.example', '1.1', series([slice('1.2.1', 1), slice('1.2.2', 1)]))
const LOOP = subjectOf('https://node.example', '1.1', series([slice('1.2.1', 1), slice('1.2.1', 2)]))

const view = (scene: Scene, subject = STACK): View => ({
  scene,
  window: { center: 40, width: 80 },
  voi: null,
  invert: false,
  framing: fitted(extentOf(scene, subject)),
  pane: { width: 800, height: 800 },
})

describe('the picture that is saved', () => {
  it('is the one that is seen, lossless, with its window', () => {
    const { path, accept } = pictureWanted(view({ kind: 'frame', index: 1 }), STACK, false)

    expect(accept).toBe('image/png')
    expect(path).toBe('/dicom-web/studies/1.1/series/1.2/instances/1.2.2/frames/1/rendered?viewport=512,512&window=40,80,linear&rules=a1b2')
  })

  it('has who it is of written into it where that is wished, of frames only', () => {
    expect(pictureWanted(view({ kind: 'frame', index: 0 }), STACK, true).path).toMatch(/&annotation=patient,technique$/)
    const plane: Scene = { kind: 'plane', axis: 'coronal', index: 0, slab: { mm: 0, method: 'average_ip' } }
    expect(pictureWanted(view(plane), STACK, true).path).not.toContain('annotation')
  })
})

describe('the film that is saved', () => {
  it('is of the frames of one object, in the size that they have', () => {
    const wanted = filmWanted(view({ kind: 'frame', index: 1 }, LOOP), LOOP, true)

    expect(wanted).toEqual({
      path: '/dicom-web/studies/1.1/series/1.2/instances/1.2.1/rendered?window=40,80,linear&rules=a1b2&annotation=patient,technique',
      accept: 'video/mp4',
    })
  })

  it('is there for no single frame and no plane', () => {
    expect(filmWanted(view({ kind: 'frame', index: 0 }), STACK, false)).toBeNull()
    expect(filmWanted(view({ kind: 'plane', axis: 'axial', index: 0, slab: { mm: 0, method: 'average_ip' } }), STACK, false)).toBeNull()
  })

  it('turns a volume once round, as it is looked at', () => {
    const scene: Scene = { kind: 'volume', turn: FROM_THE_FRONT, material: 'bone', space: WHOLE_SPACE }

    const { path, accept } = filmWanted(view(scene), STACK, false)!

    expect(accept).toBe('video/mp4')
    expect(path).toMatch(/\/rendered3d\?.*preset=bone.*&swivelrange=360&animationrate=10$/)
    expect(path).not.toContain('quality')
  })
})
