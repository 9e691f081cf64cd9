import { expect, it } from 'vitest'
import { ACTUAL_KEY, CINE_KEY, commandFor, FIT_KEY, FLIP_KEY, HELP_KEY, INVERT_KEY, MODE_KEYS, RESET_KEY, ROTATE_KEY, TOOL_KEYS } from './shortcuts'

const press = (key: string, ctrlKey = false) => commandFor({ key, ctrlKey, altKey: false, metaKey: false })

it('does not care for capitals', () => expect(press('i')).toEqual(press('I')))
it('leaves the keys of the browser alone', () => expect(press('r', true)).toBeNull())
it('counts presets from 1', () => expect(press('1')).toEqual({ do: 'preset', index: 0 }))
it('gives each key one meaning', () => {
  const keys = [...Object.values(TOOL_KEYS), ...Object.values(MODE_KEYS), INVERT_KEY, RESET_KEY, FIT_KEY, ACTUAL_KEY, ROTATE_KEY, FLIP_KEY, CINE_KEY, HELP_KEY]
  expect(new Set(keys).size).toBe(keys.length)
})
