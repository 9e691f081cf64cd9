import { beforeEach, describe, expect, it } from 'vitest'
import { failed, succeeded, type Directory, type Entrances } from '../../api'
import { Priors } from './priors.svelte'

const DIRECTORY: Directory = {
  institutions: [
    { id: 'i1', name: 'Split', base_url: 'https://split', nodes: [{ id: 'n1', name: 'n', base_url: 'https://split-node' }] },
    { id: 'i2', name: 'Zadar', base_url: 'https://zadar', nodes: [{ id: 'n2', name: 'n', base_url: 'https://zadar-node' }] },
    { id: 'i3', name: 'Dark', base_url: 'https://dark', nodes: [] },
  ],
} as unknown as Directory

const study = (study_uid: string, node_id: string, date: string) => ({ study_uid, node_id, date, time: null })

const ANSWERS: Record<string, unknown> = {
  'https://split/api/patients/p/studies': { studies: [study('1', 'n1', '2026-01-02'), study('2', 'n1', '2024-05-05')] },
  'https://zadar/api/patients/p/studies': { studies: [study('3', 'n2', '2025-03-03'), study('4', 'unknown', '2025-03-04')] },
  'https://zadar-node/api/studies/3': { study_uid: '3', series: [{ series_uid: '3.1' }] },
  'https://zadar-node/api/studies/3/series/3.1': {
    series_uid: '3.1',
    volume_presets: [],
    presets: [],
    voi: [],
    slices: [],
    volume: { ok: false, reason: '' },
  },
}

const entrances = {
  getJson: (base: string, path: string) => Promise.resolve(base + path in ANSWERS ? succeeded(ANSWERS[base + path]) : failed({ kind: 'unreachable' })),
} as unknown as Entrances

const until = async (isThere: () => boolean) => {
  while (!isThere()) await Promise.resolve()
}

let priors: Priors
beforeEach(async () => {
  priors = new Priors('p', DIRECTORY, entrances)
  priors.places.load()
  await until(() => Object.values(priors.places.answers).filter(({ kind }) => kind !== 'loading').length === 3)
})

describe('the other studies of a patient', () => {
  it('are those of all institutions, the newest first, without the one in hand', () => {
    expect(priors.except('1').map(({ item, institution }) => [item.study_uid, institution.name])).toEqual([
      ['3', 'Zadar'],
      ['2', 'Split'],
    ])
  })

  it('are there though an institution is dark, and it says so', () => {
    expect(priors.places.answers.i3?.kind).toBe('failed')
    expect(priors.except('').length).toBe(3)
  })

  it('bring their study and institution onto the desk with their series', async () => {
    await priors.open(priors.except('1')[0]!)
    const outcome = await priors.stageOf('3.1', new AbortController().signal)

    expect(outcome.ok && outcome.value.subject).toMatchObject({ nodeUrl: 'https://zadar-node', studyUid: '3', origin: { institution: 'Zadar', study: { study_uid: '3' } } })
  })

  it('say what went wrong beside the study that did not open', async () => {
    await priors.open(priors.except('1')[1]!)

    expect(priors.opened['2']).toMatchObject({ kind: 'failed', failure: { kind: 'unreachable' } })
    expect(priors.holderOf('3.1')).toBe(null)
  })
})
