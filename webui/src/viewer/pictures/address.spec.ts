import { describe, expect, it } from 'vitest'
import type { Series, SliceEntry, VoiEntry } from '../../api'
import { fitted } from '../geometry/framing'
import { extentOf, subjectOf, WHOLE_SPACE, type Clip, type Scene, type View } from '../view'
import { pictureRequest, valuesRequest } from './address'

const slice = (index: number, over: Partial<SliceEntry> = {}): SliceEntry => ({
  instance_uid: `1.2.${index}`,
  frame: 1,
  number: index,
  rows: 512,
  columns: 512,
  position: [0, 0, index * 2],
  orientation: [1, 0, 0, 0, 1, 0],
  pixel_spacing: [0.8, 0.8],
  window: [40, 400],
  ...over,
})

const series = (slices: SliceEntry[], over: Partial<Series> = {}) =>
  ({
    series_uid: '1.2',
    is_colour: false,
    slices,
    volume: { ok: true, center: [0, 0, 100], size_mm: [400, 400, 200], warnings: [] },
    rules: 'a1b2',
    ...over,
  }) as Series

const TABLE: VoiEntry = { name: 'HARDER', voi: 'lut,1', center: null, width: null, function: null }

const CT = subjectOf('https://node.example', '1.1', series(Array.from({ length: 100 }, (_, index) => slice(index))))

function view(scene: Scene, over: Partial<View> = {}, subject = CT): View {
  return { scene, window: null, voi: null, invert: false, framing: fitted(extentOf(scene, subject)), pane: { width: 1000, height: 800 }, ...over }
}

const query = (path: string) => Object.fromEntries(new URLSearchParams(path.split('?')[1]))

describe('a frame', () => {
  const scene: Scene = { kind: 'frame', index: 3 }

  it('is asked for by its name in the standard', () => {
    expect(pictureRequest(view(scene), CT, 'final').path).toBe(
      '/dicom-web/studies/1.1/series/1.2/instances/1.2.3/frames/1/rendered?viewport=512,512&rules=a1b2',
    )
  })

  it('has another address, for its values too, when the server draws by other rules', () => {
    const later = { ...CT, series: { ...CT.series, rules: 'c3d4' } }

    expect(pictureRequest(view(scene), later, 'final').key).not.toBe(pictureRequest(view(scene), CT, 'final').key)
    expect([CT, later].map((subject) => valuesRequest(view(scene), subject)?.path.split('?')[1])).toEqual(['rules=a1b2', 'rules=c3d4'])
  })

  it('is small and lossy while the hand moves, lossless at rest', () => {
    const draft = pictureRequest(view(scene), CT, 'draft')
    const final = pictureRequest(view(scene), CT, 'final')

    expect([draft.accept, draft.isLossy, query(draft.path).quality]).toEqual(['image/webp', true, '60'])
    expect([final.accept, final.isLossy, query(final.path).quality]).toEqual(['image/jls, image/png;q=0.9', false, undefined])
  })

  it('is the same picture for every zoom, as it holds all pixels already', () => {
    const near = view(scene, { framing: { center: { x: 100, y: 100 }, zoom: 8 } })

    expect(pictureRequest(near, CT, 'final').key).toBe(pictureRequest(view(scene), CT, 'final').key)
  })

  it('carries the window and the inversion', () => {
    const { path } = pictureRequest(view(scene, { window: { center: -600.5, width: 1500 }, invert: true }), CT, 'final')

    expect(query(path)).toMatchObject({ window: '-600.5,1500,linear', invert: '1' })
  })

  it('is asked for by the exact function through a window of a fraction', () => {
    const { path } = pictureRequest(view(scene, { window: { center: 0.00123, width: 0.0005 } }), CT, 'final')

    expect(query(path).window).toBe('0.00123,0.0005,linear-exact')
  })

  it('is asked for by the function of its window', () => {
    const { path } = pictureRequest(view(scene, { window: { center: 40, width: 400, function: 'sigmoid' } }), CT, 'final')

    expect(query(path).window).toBe('40,400,sigmoid')
  })

  it('names the table or window of its file, where it has it and no window is asked for', () => {
    const subject = subjectOf('', '1.1', series([slice(0, { voi: 0 }), slice(1)], { voi: [[TABLE]] }))
    const asked = (over: Partial<View>, index = 0) => query(pictureRequest(view({ kind: 'frame', index }, over, subject), subject, 'final').path)

    expect(asked({ voi: 'lut,1' })).toMatchObject({ voi: 'lut,1' })
    expect(asked({ voi: 'lut,1' }, 1).voi).toBeUndefined()
    expect(asked({ voi: 'lut,1', window: { center: 40, width: 400 } }).voi).toBeUndefined()
  })

  it('keeps its shape where pixels are not square', () => {
    const subject = subjectOf('', '1.1', series([slice(0, { rows: 200, pixel_spacing: [2, 1] })]))

    expect(query(pictureRequest(view({ kind: 'frame', index: 0 }, {}, subject), subject, 'final').path).viewport).toBe('512,400')
  })

  it('is lossless by WebP in colour', () => {
    const subject = subjectOf('', '1.1', series([slice(0)], { is_colour: true }))
    const request = pictureRequest(view({ kind: 'frame', index: 0 }, {}, subject), subject, 'final')

    expect([request.accept, query(request.path).quality, request.isLossy]).toEqual(['image/webp', '100', false])
  })
})

describe('a large frame', () => {
  const subject = subjectOf('', '1.1', series([slice(0, { rows: 3000, columns: 2500, pixel_spacing: [0.1, 0.1] })]))
  const scene: Scene = { kind: 'frame', index: 0 }

  it('comes in the size of the pane when it is seen whole', () => {
    expect(query(pictureRequest(view(scene, {}, subject), subject, 'final').path).viewport).toBe('667,800')
  })

  it('comes pixel for pixel, and only where it is seen, when it is near', () => {
    const framing = { center: { x: 1250, y: 1500 }, zoom: 3000 / 800 }
    const request = pictureRequest(view(scene, { framing }, subject), subject, 'final')

    expect(query(request.path).viewport).toBe('1000,800,750,1100,1000,800')
    expect(request.footprint).toEqual({ x: 750, y: 1100, width: 1000, height: 800 })
  })
})

describe('a plane', () => {
  const scene: Scene = { kind: 'plane', axis: 'coronal', index: 0, slab: { mm: 0, method: 'average_ip' } }

  it('is looked at from the front, head up, in its middle', () => {
    const { path, footprint } = pictureRequest(view(scene), CT, 'final')

    expect(query(path)).toMatchObject({
      viewpointlookat: '0,-199.6,100',
      viewpointposition: '0,-1199.6,100',
      viewpointup: '0,0,1',
    })
    expect(footprint.width / footprint.height).toBeCloseTo(1000 / 800)
    expect(Number(query(path).fieldofview)).toBeCloseTo(footprint.height)
  })

  const viewport = (over: Partial<View>, grade: 'draft' | 'final' = 'final') => query(pictureRequest(view(scene, over), CT, grade).path).viewport

  it('has at rest a pixel for each pixel of the pane', () => {
    expect(viewport({})).toBe('1000,800')
    expect(viewport({ framing: { center: { x: 0, y: 0 }, zoom: 6 } })).toBe('1000,800')
  })

  it('has several where voxels are finer than the pane, but not for ever', () => {
    expect(viewport({ pane: { width: 300, height: 200 } })).toBe('600,400')
    expect(viewport({ pane: { width: 1000, height: 800 }, framing: { center: { x: 0, y: 0 }, zoom: 0.2 } })).toBe('3000,2400')
  })

  it('is coarser while the hand moves', () => expect(viewport({}, 'draft')).toBe('333,267'))

  it('moves its camera when the hand pans', () => {
    const { path } = pictureRequest(view(scene, { framing: { center: { x: 10, y: 20 }, zoom: 2 } }), CT, 'final')

    expect(query(path).viewpointlookat).toBe('10,-199.6,80')
  })

  it('has another series over it in colours, without loss', () => {
    const request = pictureRequest(view({ ...scene, fuse: '1.9' }), CT, 'final')

    expect([query(request.path).fuse, request.accept, request.isLossy]).toEqual(['1.9', 'image/webp', false])
  })

  it('says how thick it is and what is made of it', () => {
    const thick = { ...scene, slab: { mm: 10, method: 'maximum_ip' as const } }

    expect(query(pictureRequest(view(thick), CT, 'final').path)).toMatchObject({ mprslab: '10', renderingmethod: 'maximum_ip' })
    expect(query(pictureRequest(view(scene), CT, 'final').path).mprslab).toBeUndefined()
  })
})

describe('a volume', () => {
  const turn = { azimuth: 0, elevation: 0 }

  it('is small and quick while it turns, full at rest', () => {
    const draft = query(pictureRequest(view({ kind: 'volume', turn, material: 'bone', space: WHOLE_SPACE }), CT, 'draft').path)
    const final = query(pictureRequest(view({ kind: 'volume', turn, material: 'bone', space: WHOLE_SPACE }), CT, 'final').path)

    expect(draft).toMatchObject({ interactive: '1', viewport: '288,230', preset: 'bone', renderingmethod: 'volume_rendered' })
    expect(final).toMatchObject({ viewport: '1000,800' })
    expect(final.interactive).toBeUndefined()
  })

  it('is a projection through the window for MIP', () => {
    const { path, isLossy } = pictureRequest(view({ kind: 'mip', turn, method: 'maximum_ip', space: WHOLE_SPACE }, { window: { center: 300, width: 600 } }), CT, 'final')

    expect(query(path)).toMatchObject({ renderingmethod: 'maximum_ip', window: '300,600,linear' })
    expect(isLossy).toBe(false)
  })

  it('is projected by what is asked for', () => {
    const { path } = pictureRequest(view({ kind: 'mip', turn, method: 'minimum_ip', space: WHOLE_SPACE }), CT, 'final')

    expect(query(path)).toMatchObject({ renderingmethod: 'minimum_ip' })
  })

  it('is cut in patient coordinates, seen by an eye, and lighter', () => {
    const space = { isPerspective: true, gamma: 1.5, clip: { from: [0, 0.5, 0], to: [1, 1, 0.25] } as Clip }
    const { path } = pictureRequest(view({ kind: 'volume', turn, material: 'skin', space }), CT, 'final')

    expect(query(path)).toMatchObject({ perspective: '1', gamma: '1.5', clip: '-200,0,0,200,200,50', preset: 'skin' })
    expect(query(path).viewpointposition).toBe('0,-1131.37085,100')
  })

  it('says nothing of what is usual', () => {
    const { path } = pictureRequest(view({ kind: 'volume', turn, material: 'bone', space: WHOLE_SPACE }), CT, 'final')

    expect(Object.keys(query(path)).filter((name) => ['perspective', 'gamma', 'clip'].includes(name))).toEqual([])
  })
})
