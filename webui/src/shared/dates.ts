/** Dates as the servers say them (YYYY-MM-DD, and instants of RFC 3339), written for people. */

import { texts } from './texts'

const DAY: Intl.DateTimeFormatOptions = { day: '2-digit', month: 'short', year: 'numeric' }
const MINUTE: Intl.DateTimeFormatOptions = { ...DAY, hour: '2-digit', minute: '2-digit' }
const day = once(() => new Intl.DateTimeFormat(texts.locale, { ...DAY, timeZone: 'UTC' }))
const instant = once(() => new Intl.DateTimeFormat(texts.locale, MINUTE))

const second = once(() => new Intl.DateTimeFormat(texts.locale, { ...MINUTE, second: '2-digit' }))

/** What `make` makes when it is first wanted: the texts are there by then. */
function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}

/** A day without a time has no time zone either: it is written as it stands. What is no date is written as it came. */
export function writtenDay(text: string): string {
  const midnight = Date.parse(`${text}T00:00:00Z`)
  return Number.isNaN(midnight) ? text : day().format(midnight)
}

export const writtenInstant = (text: string): string => written(text, instant())

/** To the second, where the order of things matters. */
export const writtenSecond = (text: string): string => written(text, second())

function written(text: string, format: Intl.DateTimeFormat): string {
  const moment = Date.parse(text)
  return Number.isNaN(moment) ? text : format.format(moment)
}

/** Hours and minutes of HH:MM:SS. */
export const writtenTime = (time: string): string => time.slice(0, 5)

/** Whole years lived on `today` (both YYYY-MM-DD); null if the birth date is none or lies ahead. */
export function ageOn(birthDate: string, today: string): number | null {
  if (Number.isNaN(Date.parse(birthDate)) || birthDate > today) return null
  const years = Number(today.slice(0, 4)) - Number(birthDate.slice(0, 4))
  return today.slice(5) < birthDate.slice(5) ? years - 1 : years
}

export function localDay(now: Date): string {
  const two = (number: number) => String(number).padStart(2, '0')
  return `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`
}
