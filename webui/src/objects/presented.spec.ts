import { expect, it } from 'vitest'
import { presentedImages } from './presented'

it('a presentation state names images, and frames of them, series by series', () => {
  const image = (uid: string, frames?: number[]) => ({ '00081155': { Value: [uid] }, ...(frames ? { '00081160': { Value: frames } } : {}) })
  const state = {
    '00081115': {
      Value: [
        { '0020000E': { Value: ['1'] }, '00081140': { Value: [image('1.1'), image('1.2', [2, 5])] } },
        { '0020000E': { Value: ['2'] }, '00081140': { Value: [image('2.1')] } },
      ],
    },
  }

  expect(presentedImages(state).map((one) => [one.seriesUid, one.instanceUid, one.frame])).toEqual([
    ['1', '1.1', 1],
    ['1', '1.2', 2],
    ['1', '1.2', 5],
    ['2', '2.1', 1],
  ])
  expect(presentedImages({})).toEqual([])
})
