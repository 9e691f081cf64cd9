/** What is written beside a figure. */

import { writtenNumber } from '../../shared/amounts'
import { markingTexts } from '../../shared/texts'
import { measured, scaleFor, type Figure, type Quantity, type Scale } from './figures'
import type { RegionAnswer, Values } from './numbers.svelte'

const UNITS: Record<string, string> = { mm2: 'mm²', px2: 'px²', deg: '°' }

const written = ({ value, unit }: Quantity): string => `${writtenNumber(value, value < 10 ? 2 : 1)}${unit === 'deg' ? '' : ' '}${UNITS[unit] ?? unit}`

/** Lines, the numbers first; what they rest on last, where that is not simply the patient. */
export function linesOf(figure: Figure, scales: readonly Scale[], values: RegionAnswer | null): string[] {
  const { kind, points, text } = figure
  const quantities = measured(kind, points, scales).map(written)
  const basis = quantities.length ? markingTexts.bases[scaleFor(points, scales)?.basis ?? 'none'] : ''
  const lines = [text, kind === 'rectangle' || kind === 'ellipse' || kind === 'freehand' ? '' : quantities.join(' × ')]
  if (values) lines.push(...valueLines(values))
  if (lines[1] === '' && quantities.length) lines.push(`${markingTexts.area} ${quantities[0]}`)
  lines.push(basis)
  return lines.flatMap((line) => line.split('\n')).filter(Boolean)
}

function valueLines(found: RegionAnswer): string[] {
  const lines = isValued(found) ? linesOfValues(found) : [markingTexts.pixels(writtenNumber(found.count))]
  return found.uptake ? [...lines, ...linesOfValues(found.uptake, `${markingTexts.suv} `)] : lines
}

const isValued = (found: RegionAnswer): found is RegionAnswer & Values => found.mean !== null && found.minimum !== null

function linesOfValues({ mean, standard_deviation, minimum, maximum, unit }: Values, of = ''): string[] {
  const number = (value: number) => writtenNumber(value, Math.abs(maximum) < 100 ? 3 : 1)
  const unitAfter = unit ? ` ${unit}` : ''
  return [
    `${of}${markingTexts.mean} ${number(mean)}${unitAfter}, ${markingTexts.deviation} ${number(standard_deviation)}`,
    `${of}${markingTexts.range} ${number(minimum)} / ${number(maximum)}${unitAfter}`,
  ]
}
