/** Numbers written for people. */

import { texts } from './texts'

const MINUS = '\u2212'

/** With so many decimals at most, and a minus sign that is as wide as a digit. */
export function writtenNumber(value: number, decimals = 0): string {
  const rounded = Number(value.toFixed(decimals))
  return Math.abs(rounded).toLocaleString(texts.locale, { useGrouping: false, maximumFractionDigits: decimals }).replace(/^/, rounded < 0 ? MINUS : '')
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
