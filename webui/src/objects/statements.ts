/** A statement of a structured report, in plain words. */

import { writtenDay } from '../shared/dates'
import { writtenPersonName } from '../shared/names'
import type { Code, Statement } from './contract'

export const meaningOf = (code: Code | null): string => code?.meaning || code?.value || ''

/** Code and scheme, for whoever wants to know it exactly. */
export const codeOf = (code: Code | null): string => (code ? `${code.value} (${code.scheme})` : '')

/** What is stated, without its name. The file's own digits: none is added or taken away. */
export function written(statement: Statement): string {
  switch (statement.kind) {
    case 'NUM': {
      if (!statement.number) return meaningOf(statement.missing)
      // A count has the unit 1, which nobody writes.
      const unit = statement.unit?.value === '1' ? '' : shortUnit(statement.unit)
      return unit ? `${statement.number} ${unit}` : statement.number
    }
    case 'CODE':
      return meaningOf(statement.code)
    case 'PNAME':
      return writtenPersonName(statement.text)
    case 'DATE':
      return writtenDay(statement.text.replace(/^(\d{4})(\d{2})(\d{2})$/, '$1-$2-$3'))
    case 'SCOORD':
      return `${statement.shape} (${statement.points.length / 2})`
    case 'SCOORD3D':
      return `${statement.shape} (${statement.points.length / 3})`
    case 'TCOORD':
      return statement.shape
    default:
      return statement.text
  }
}

/** UCUM is short and what people write, but for its marks of what is no unit. */
const shortUnit = (unit: Code | null): string => (unit?.scheme === 'UCUM' && !/[[{]/.test(unit.value) ? unit.value : meaningOf(unit))
