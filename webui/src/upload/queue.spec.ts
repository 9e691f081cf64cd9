import { describe, expect, it } from 'vitest'
import { failed, succeeded, type Outcome, type UploadAnswer } from '../api'
import { UploadQueue } from './queue.svelte'

const ANSWER: UploadAnswer = { outcome: 'stored', study_uid: '1', series_uid: '2', instance_uid: '3' }

const files = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ path: `folder/${index}`, file: new File(['12345'], String(index)) }))

/** A node that answers each file when the test says so. */
class WaitingNode {
  readonly pending: { signal: AbortSignal; answer: (outcome: Outcome<UploadAnswer>) => void }[] = []

  readonly send = (_file: File, _onProgress: (bytes: number) => void, signal: AbortSignal) =>
    new Promise<Outcome<UploadAnswer>>((resolve) => {
      signal.addEventListener('abort', () => resolve(failed({ kind: 'aborted' })))
      this.pending.push({ signal, answer: resolve })
    })

  async answer(index: number, outcome: Outcome<UploadAnswer>) {
    this.pending[index]?.answer(outcome)
    await new Promise((resolve) => setTimeout(resolve))
  }
}

const kinds = (queue: UploadQueue) => queue.items.map((item) => item.progress.kind)

describe('an upload queue', () => {
  it('sends three at a time, in order', async () => {
    const node = new WaitingNode()
    const queue = new UploadQueue(node.send)
    queue.add(files(5))
    expect(kinds(queue)).toEqual(['sending', 'sending', 'sending', 'waiting', 'waiting'])

    await node.answer(1, succeeded(ANSWER))

    expect(kinds(queue)).toEqual(['sending', 'stored', 'sending', 'sending', 'waiting'])
  })

  it('goes on after a refusal', async () => {
    const node = new WaitingNode()
    const queue = new UploadQueue(node.send)
    queue.add(files(4))
    const problem = { type: 'not-dicom', title: '', status: 422 }

    await node.answer(0, failed({ kind: 'refused', problem, retryAfterS: null }))

    expect(kinds(queue)).toEqual(['refused', 'sending', 'sending', 'sending'])
  })

  it('stops what is under way and what waits', async () => {
    const node = new WaitingNode()
    const queue = new UploadQueue(node.send)
    queue.add(files(5))

    queue.stop()
    await new Promise((resolve) => setTimeout(resolve))

    expect(kinds(queue)).toEqual(Array(5).fill('cancelled'))
    expect(node.pending).toHaveLength(3)
  })

  it('does not try the rest when the line is down, and sends it again when asked', async () => {
    const node = new WaitingNode()
    const queue = new UploadQueue(node.send)
    queue.add(files(5))

    await node.answer(0, failed({ kind: 'unreachable' }))
    expect(kinds(queue)).toEqual(['failed', 'sending', 'sending', 'failed', 'failed'])

    queue.repeat()
    expect(kinds(queue)).toEqual(['sending', 'sending', 'sending', 'waiting', 'waiting'])
  })
})
