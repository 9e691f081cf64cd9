import { describe, expect, it } from 'vitest'
import type { SeriesSummary, StudyAtNode } from '../../api'
import { planOf } from './plan'
import { RULES } from './rules'

const series = (modality: string, description = '', drawable = true): SeriesSummary =>
  ({ series_uid: `1.${modality}.${description}`, modality, description, drawable, number: 1, frame_count: 1 }) as unknown as SeriesSummary

const study = (description: string, ...held: SeriesSummary[]): StudyAtNode => ({ description, series: held }) as unknown as StudyAtNode

const hung = (one: StudyAtNode) => planOf(one)?.places.map((place) => place?.series.description ?? null)

describe('hanging rules', () => {
  it('hang four mammograms as they are read: right beside left, CC above MLO', () => {
    const held = ['L MLO', 'R CC', 'L CC', 'R MLO'].map((name) => series('MG', name))

    expect(planOf(study('Screening', ...held))?.layout).toEqual({ rows: 2, columns: 2 })
    expect(hung(study('Screening', ...held))).toEqual(['R CC', 'L CC', 'R MLO', 'L MLO'])
  })

  it('hang the frontal chest left of the lateral one, whichever came first', () => {
    expect(hung(study('Chest 2 views', series('DX', 'Chest LAT'), series('DX', 'Chest PA')))).toEqual(['Chest PA', 'Chest LAT'])
  })

  it('hang the rest in the order of the study where names say nothing', () => {
    expect(hung(study('', series('CR', 'one'), series('CR', 'two'), series('CR', 'three')))).toEqual(['one', 'two'])
  })

  it('hang the CT beside its PET', () => {
    expect(planOf(study('PET/CT', series('PT', 'AC'), series('CT', 'low dose')))?.places.map((place) => place?.series.modality)).toEqual(['CT', 'PT'])
  })

  it('hang the contrasts of a head, and what is missing by what is left', () => {
    const held = [series('MR', 'localizer'), series('MR', 'ax T1'), series('MR', 'ax T2'), series('MR', 'ax FLAIR')]

    expect(hung(study('MR BRAIN', ...held))).toEqual(['ax FLAIR', 'ax T2', 'ax T1', 'localizer'])
  })

  it('say whether every place found what it names', () => {
    expect(planOf(study('Chest', series('DX', 'LAT'), series('DX', 'PA')))?.isByName).toBe(true)
    expect(planOf(study('Chest', series('DX', 'LAT'), series('DX', 'oblique')))?.isByName).toBe(false)
    expect(planOf(study('', series('CT', 'one'), series('CT', 'two')))?.isByName).toBe(false)
  })

  it('leave alone what is one series, and what has no picture', () => {
    expect(planOf(study('Chest', series('DX', 'PA')))).toBeNull()
    expect(planOf(study('Chest', series('DX', 'PA'), series('DX', 'LAT', false)))).toBeNull()
    expect(planOf(study('Echo', series('US', 'one'), series('US', 'two')))).toBeNull()
  })

  it('are data that can be read: every pattern is one, and every place is in its layout', () => {
    for (const { places, layout, region = '', fewest } of RULES) {
      expect(places.length).toBeLessThanOrEqual(layout.rows * layout.columns)
      expect(fewest).toBeGreaterThan(1)
      for (const pattern of [region, ...places.map(({ description = '' }) => description)]) expect(() => new RegExp(pattern)).not.toThrow()
    }
  })
})
