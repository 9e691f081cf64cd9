import { describe, expect, it } from 'vitest'
import { rememberedLayout, rememberLayout } from './layouts'

const kept = new Map<string, string>()
const storage = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) }

describe('a layout', () => {
  it('is remembered of each person for each modality', () => {
    rememberLayout('ana', 'CT', { rows: 2, columns: 2 }, storage)
    rememberLayout('ana', 'MG', { rows: 1, columns: 2 }, storage)

    expect(rememberedLayout('ana', 'CT', storage)).toEqual({ rows: 2, columns: 2 })
    expect(rememberedLayout('ana', 'MG', storage)).toEqual({ rows: 1, columns: 2 })
    expect(rememberedLayout('ana', 'MR', storage)).toBe(null)
    expect(rememberedLayout('ivo', 'CT', storage)).toBe(null)
  })

  it('that there is not is none', () => {
    kept.set('layout ana CT', '9x9')

    expect(rememberedLayout('ana', 'CT', storage)).toBe(null)
  })
})
