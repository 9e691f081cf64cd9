import { beforeEach, describe, expect, it } from 'vitest'
import { succeeded, type Entrances, type SeriesSummary, type StudyAtNode } from '../../api'
import { Desk } from '../desk.svelte'
import { series, stageOf } from '../series.fixture'
import { hangAtOpening } from './hang'

const summary = (modality: string, series_uid: string): SeriesSummary => ({ series_uid, modality, description: '', drawable: true }) as unknown as SeriesSummary
const study = (...held: SeriesSummary[]): StudyAtNode => ({ study_uid: '1.1', description: '', series: held }) as unknown as StudyAtNode
const PET_CT = study(summary('PT', '1'), summary('CT', '2'))

const entrances = { getJson: (_: string, path: string) => Promise.resolve(succeeded(series(path.split('/').at(-1)!, 5))) } as unknown as Entrances

let desk: Desk
const seen = () => desk.slots.map((stage) => stage?.subject.series.series_uid ?? null)
beforeEach(() => {
  desk = new Desk()
  desk.put(stageOf('1', 2))
})

describe('a study that was just opened', () => {
  it('hangs by a rule that names what hangs where', async () => {
    expect(await hangAtOpening(desk, PET_CT, entrances)).toEqual(succeeded(true))
    expect(seen()).toEqual(['2', '1'])
  })

  it('hangs alone where series would hang as they come', async () => {
    expect(await hangAtOpening(desk, study(summary('CT', '1'), summary('CT', '2')), entrances)).toEqual(succeeded(false))
    expect(seen()).toEqual(['1'])
  })

  it('stays as it is where somebody took its picture in hand meanwhile', async () => {
    const hanging = hangAtOpening(desk, PET_CT, entrances)
    desk.stage!.scrollTo(3)

    expect(await hanging).toEqual(succeeded(false))
    expect([seen(), desk.stage!.index]).toEqual([['1'], 3])
  })

  it('stays as it is where somebody chose a layout meanwhile', async () => {
    const hanging = hangAtOpening(desk, PET_CT, entrances)
    desk.lay({ rows: 2, columns: 2 })
    await hanging

    expect(seen()).toEqual(['1', null, null, null])
  })
})
