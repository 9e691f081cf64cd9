/** The keys of the viewer. */

import type { Mode } from './view'

export type Tool = 'window' | 'turn' | 'pan' | 'zoom' | 'cross' | 'probe' | 'scroll' | 'lens' | 'mark'

export type Command =
  | { do: 'scroll'; by: number }
  | { do: 'scroll-to'; end: 'first' | 'last' }
  | { do: 'tool'; tool: Tool }
  | { do: 'mode'; mode: Mode }
  | { do: 'invert' }
  | { do: 'reset' }
  | { do: 'fit' }
  | { do: 'actual' }
  | { do: 'rotate' }
  | { do: 'flip' }
  | { do: 'cine' }
  | { do: 'help' }
  | { do: 'preset'; index: number }

const PAGE = 10

export const TOOL_KEYS: Record<Tool, string> = { window: 'W', turn: 'T', pan: 'P', zoom: 'Z', cross: 'X', probe: 'B', scroll: 'D', lens: 'L', mark: 'N' }
export const MODE_KEYS: Record<Mode, string> = { stack: 'S', axial: 'A', coronal: 'C', sagittal: 'G', mip: 'M', volume: 'V' }
export const INVERT_KEY = 'I'
export const RESET_KEY = 'R'
export const FIT_KEY = '0'
export const ACTUAL_KEY = 'O'
export const ROTATE_KEY = 'Q'
export const FLIP_KEY = 'F'
export const CINE_KEY = ' '
export const HELP_KEY = '?'

const COMMANDS = new Map<string, Command>([
  ['ArrowDown', { do: 'scroll', by: 1 }],
  ['ArrowRight', { do: 'scroll', by: 1 }],
  ['ArrowUp', { do: 'scroll', by: -1 }],
  ['ArrowLeft', { do: 'scroll', by: -1 }],
  ['PageDown', { do: 'scroll', by: PAGE }],
  ['PageUp', { do: 'scroll', by: -PAGE }],
  ['Home', { do: 'scroll-to', end: 'first' }],
  ['End', { do: 'scroll-to', end: 'last' }],
  [INVERT_KEY, { do: 'invert' }],
  [RESET_KEY, { do: 'reset' }],
  [FIT_KEY, { do: 'fit' }],
  [ACTUAL_KEY, { do: 'actual' }],
  [ROTATE_KEY, { do: 'rotate' }],
  [FLIP_KEY, { do: 'flip' }],
  [CINE_KEY, { do: 'cine' }],
  [HELP_KEY, { do: 'help' }],
  ...Object.entries(TOOL_KEYS).map(([tool, key]): [string, Command] => [key, { do: 'tool', tool: tool as Tool }]),
  ...Object.entries(MODE_KEYS).map(([mode, key]): [string, Command] => [key, { do: 'mode', mode: mode as Mode }]),
  ...Array.from({ length: 9 }, (_, index): [string, Command] => [String(index + 1), { do: 'preset', index }]),
])

export interface KeyPress {
  key: string
  ctrlKey: boolean
  altKey: boolean
  metaKey: boolean
}

/** Whose keys they are, and what a pressed one means as a usual key (`keyboard/own.svelte.ts`). */
export const keyboard = { owner: '', meant: (key: string): string => key }

/** null for keys that are the browser's, or nobody's. */
export function commandFor({ key, ctrlKey, altKey, metaKey }: KeyPress): Command | null {
  if (ctrlKey || altKey || metaKey) return null
  return COMMANDS.get(keyboard.meant(key.length === 1 ? key.toUpperCase() : key)) ?? null
}
