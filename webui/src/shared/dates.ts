/** Dates as the servers say them (YYYY-MM-DD, and instants of RFC 3339), written for people. */

import { texts } from './texts'

const DAY = new Intl.DateTimeFormat(texts.locale, { day: '2-digit', month: 'short', year: 'numeric', timeZone: 'UTC' })
const INSTANT = new Intl.DateTimeFormat(texts.locale, {
  day: '2-digit',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
})

/** A day without a time has no time zone either: it is written as it stands. What is no date is written as it came. */
export function writtenDay(day: string): string {
  const instant = Date.parse(`${day}T00:00:00Z`)
  return Number.isNaN(instant) ? day : DAY.format(instant)
}

export function writtenInstant(text: string): string {
  const instant = Date.parse(text)
  return Number.isNaN(instant) ? text : INSTANT.format(instant)
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
