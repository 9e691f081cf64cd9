import { expect, it } from 'vitest'
import { commandFor, MODE_KEYS, TOOL_KEYS } from './shortcuts'

const press = (key: string, ctrlKey = false) => commandFor({ key, ctrlKey, altKey: false, metaKey: false })

it('does not care for capitals', () => expect(press('i')).toEqual(press('I')))
it('leaves the keys of the browser alone', () => expect(press('r', true)).toBeNull())
it('counts presets from 1', () => expect(press('1')).toEqual({ do: 'preset', index: 0 }))
it('gives each key one meaning', () => {
  const keys = [...Object.values(TOOL_KEYS), ...Object.values(MODE_KEYS), 'I', 'R']
  expect(new Set(keys).size).toBe(keys.length)
})
