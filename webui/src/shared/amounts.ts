/** Numbers written for people. */

import { texts } from './texts'

const MINUS = '\u2212'

/** By decimals. To make one takes longer than all else that is done for a number, and a turning wheel writes hundreds. */
const formats = new Map<number, Intl.NumberFormat>()

/** With so many decimals at most, and a minus sign that is as wide as a digit. */
export function writtenNumber(value: number, decimals = 0): string {
  const rounded = Number(value.toFixed(decimals))
  return `${rounded < 0 ? MINUS : ''}${formatOf(decimals).format(Math.abs(rounded))}`
}

function formatOf(decimals: number): Intl.NumberFormat {
  const format = formats.get(decimals) ?? new Intl.NumberFormat(texts.locale, { useGrouping: false, maximumFractionDigits: decimals })
  formats.set(decimals, format)
  return format
}

export function writtenBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${writtenNumber(value, unit === 0 || value >= 100 ? 0 : 1)} ${units[unit]}`
}
