import { describe, expect, it } from 'vitest'
import wire from '../../../../tests/wire/stored_values.json'
import { decodedJpegLs, StreamBroken } from './jpegls'
import { aboutOf, arrivedValues, isProven, storedFrame, valuesOf } from './stored-values'

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
const answer = ({ header, body }: { header: string; body: string }): Response =>
  new Response(bytesOf(body), { headers: { 'Stored-Values': header } })

const frameOf = async (one: (typeof wire)[number]) => storedFrame(await arrivedValues(answer(one)), one.picture ? bytesOf(one.picture) : null)

const [first] = wire
if (!first) throw new Error('the fixture is empty')

describe('what the server sends', () => {
  it.each(wire)('comes back bit for bit: $name', async (one) => {
    const frame = await frameOf(one)

    expect(frame.values.length).toBe(frame.rows * frame.columns * frame.samples)
    expect(await isProven(frame)).toBe(true)
  })

  it.each(['uint32', 'int32', 'float32', 'float64'])('may have the type %s', async (type) => {
    const one = wire.find(({ header }) => header.includes(`type=${type},`))!

    expect((await frameOf(one)).values.constructor.name.toLowerCase()).toBe(`${type}array`)
  })

  it('is not proven by the digest of other values', async () => {
    const frame = await frameOf(first)
    frame.values[3]! ^= 1

    expect(await isProven(frame)).toBe(false)
  })
})

describe('what a picture does not tell', () => {
  const beside = wire.find(({ picture }) => picture)!

  it('is not proven beside another picture', async () => {
    const other = bytesOf(beside.picture!).map((grey) => grey ^ 1)

    expect(await isProven(storedFrame(await arrivedValues(answer(beside)), other))).toBe(false)
  })

  it('is refused without a picture of its size', async () => {
    const arrived = await arrivedValues(answer(beside))

    expect(() => storedFrame(arrived)).toThrow(RangeError)
    expect(() => storedFrame(arrived, new Uint8Array(3))).toThrow(RangeError)
  })
})

describe('a stream that is broken', () => {
  const whole = bytesOf(first.body)

  it.each([0, 1, 3, 20, 60, Math.floor(whole.length / 2), whole.length - 8])('is refused when it ends after %i bytes', (length) => {
    expect(() => decodedJpegLs(whole.slice(0, length))).toThrow(StreamBroken)
  })

  it('is refused when it is a picture of another kind', () => {
    expect(() => decodedJpegLs(Uint8Array.of(0xff, 0xd8, 0xff, 0xc0, 0, 2, 0, 0))).toThrow('marker c0')
    expect(() => decodedJpegLs(Uint8Array.of(0x89, 0x50, 0x4e, 0x47))).toThrow('no JPEG-LS')
  })

  it('ends, whatever its bytes are', { timeout: 60_000 }, () => {
    let seed = 1
    const next = (): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) >> 8
    for (const { body, picture } of wire) {
      const whole = bytesOf(body).slice(picture ? 512 : 0)
      for (let turn = 0; turn < 40; turn++) {
        const bytes = whole.slice()
        for (let change = 0; change < 5; change++) bytes[25 + (next() % (bytes.length - 25))] = next() & 255
        try {
          decodedJpegLs(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(StreamBroken)
        }
      }
    }
  })
})

describe('the header', () => {
  it('tells how values are meant', () => {
    const about = aboutOf(
      'rows=2, columns=3, samples=1, type=int16, bits=12, photometric=MONOCHROME1, inverted=1, slope=0.5, intercept=-1024.0, padding-first=-2000, padding-last=-2000, plain=1, sha-256=00',
    )

    expect(about).toEqual({
      rows: 2,
      columns: 3,
      samples: 1,
      type: 'int16',
      bits: 12,
      photometric: 'MONOCHROME1',
      isInverted: true,
      rescale: { slope: 0.5, intercept: -1024 },
      padding: [-2000, -2000],
      isPlain: true,
      isWithoutPicture: false,
      sha256: '00',
    })
  })

  it.each(['', 'rows=2', first.header.replace('type=uint16', 'type=int64'), first.header.replace('samples=1', 'samples=2')])(
    'is refused where it is none: %s',
    (header) => {
      expect(() => aboutOf(header)).toThrow(RangeError)
    },
  )

  it('is refused where it does not fit the stream', () => {
    const about = aboutOf(first.header.replace('rows=24', 'rows=25'))

    expect(() => valuesOf(decodedJpegLs(bytesOf(first.body)), about)).toThrow(RangeError)
  })
})
