import { afterEach, describe, expect, it, vi } from 'vitest'
import { makePasskey, usePasskey } from './authenticator'

const OPTIONS = { challenge: 'AAAA', rpId: 'box.example' }

/** A browser whose authenticator does `act`. */
function browser(act: () => Promise<unknown>): void {
  const asked = (options: unknown) => ({ parsed: options })
  vi.stubGlobal('PublicKeyCredential', { parseRequestOptionsFromJSON: asked, parseCreationOptionsFromJSON: asked })
  vi.stubGlobal('navigator', { credentials: { get: act, create: act } })
}

afterEach(() => vi.unstubAllGlobals())

describe('an authenticator', () => {
  it('gives what the toplevel is told', async () => {
    browser(() => Promise.resolve({ toJSON: () => ({ id: 'x' }) }))

    expect(await usePasskey(OPTIONS)).toEqual({ kind: 'done', credential: { id: 'x' } })
  })

  it('is asked with the options as the browser reads them', async () => {
    const get = vi.fn(() => Promise.resolve(null))
    browser(get)
    await usePasskey(OPTIONS)

    expect(get).toHaveBeenCalledWith({ publicKey: { parsed: OPTIONS } })
  })

  it.each([
    ['NotAllowedError', 'given-up'],
    ['AbortError', 'given-up'],
    ['InvalidStateError', 'had-already'],
    ['SecurityError', 'other-address'],
    ['ConstraintError', 'not-able'],
    ['NotSupportedError', 'not-able'],
  ])('that ends with %s has %s', async (name, kind) => {
    browser(() => Promise.reject(new DOMException('', name)))
    const options = { ...OPTIONS, rp: { name: '' }, user: { id: '', name: '', displayName: '' }, pubKeyCredParams: [] }

    expect(await makePasskey(options)).toEqual({ kind })
  })

  it('does not hide what nobody foresaw', async () => {
    browser(() => Promise.reject(new TypeError('a mistake of ours')))

    await expect(usePasskey(OPTIONS)).rejects.toThrow('a mistake of ours')
  })

  it('is not there in a browser that is too old', async () => {
    vi.stubGlobal('PublicKeyCredential', {})

    expect(await usePasskey(OPTIONS)).toEqual({ kind: 'not-able' })
  })
})
