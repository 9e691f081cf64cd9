import { expect, it } from 'vitest'
import { doneCount, emptyTally, fileCount, isBusy, moved, withWaiting, type Progress } from './tally'

const WAITING: Progress = { kind: 'waiting' }
const sending = (sentBytes: number): Progress => ({ kind: 'sending', sentBytes })

it('counts bytes as they go and files as they arrive', () => {
  let tally = withWaiting(withWaiting(emptyTally(), 100), 50)
  tally = moved(tally, 100, WAITING, sending(40))
  expect(tally).toMatchObject({ allBytes: 150, doneBytes: 40 })

  tally = moved(tally, 100, sending(40), { kind: 'stored' })
  expect(tally.doneBytes).toBe(100)
  expect([doneCount(tally), fileCount(tally), isBusy(tally)]).toEqual([1, 2, true])
})

it('takes back the bytes of a file that was not sent', () => {
  let tally = withWaiting(emptyTally(), 100)
  tally = moved(tally, 100, WAITING, sending(60))
  tally = moved(tally, 100, sending(60), { kind: 'failed', failure: { kind: 'unreachable' } })

  expect([tally.doneBytes, doneCount(tally), isBusy(tally)]).toEqual([0, 0, false])
})
