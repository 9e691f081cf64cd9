import { describe, expect, it } from 'vitest'
import { ask, askJson } from './request'

const answering = (response: Response) => async () => response

describe('a request', () => {
  it('gives the problem of a refusal and how long to wait', async () => {
    const body = { type: 'too-many-attempts', title: 'Slow down', status: 429 }
    const response = new Response(JSON.stringify(body), {
      status: 429,
      headers: { 'Content-Type': 'application/problem+json', 'Retry-After': '30' },
    })

    const outcome = await ask('/x', {}, answering(response))

    expect(outcome).toEqual({ ok: false, failure: { kind: 'refused', problem: body, retryAfterS: 30 } })
  })

  it('names the status of a refusal without a problem body', async () => {
    const outcome = await ask('/x', {}, answering(new Response('<html>', { status: 502, headers: { 'Content-Type': 'text/html' } })))

    expect(!outcome.ok && outcome.failure.kind === 'refused' && outcome.failure.problem.type).toBe('status-502')
  })

  it('tells one that was taken back from one that found nobody', async () => {
    const refuse = async (_: unknown, init?: RequestInit) => {
      init?.signal?.throwIfAborted()
      throw new TypeError('Failed to fetch')
    }

    const aborted = await ask('/x', { signal: AbortSignal.abort() }, refuse)
    const unreachable = await ask('/x', {}, refuse)

    expect(aborted).toEqual({ ok: false, failure: { kind: 'aborted' } })
    expect(unreachable).toEqual({ ok: false, failure: { kind: 'unreachable' } })
  })

  it('counts a server that says nothing in time as unreachable', async () => {
    const never = (_: unknown, init?: RequestInit) =>
      new Promise<Response>((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error))
      })

    expect(await ask('/x', { timeoutMs: 5 }, never)).toEqual({ ok: false, failure: { kind: 'unreachable' } })
  })

  it('takes an empty body for nothing', async () => {
    expect(await askJson('/x', {}, answering(new Response(null, { status: 204 })))).toEqual({ ok: true, value: undefined })
  })
})
