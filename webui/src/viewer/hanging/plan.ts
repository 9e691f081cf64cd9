/** Which series of a study hang where, by the rules. */

import type { SeriesSummary, StudyAtNode } from '../../api'
import type { Mode } from '../view'
import { RULES, type HangingRule, type PlaceRule } from './rules'

export interface Plan {
  readonly rule: string
  /** Whether every place found the series that it names, so that none hangs there by chance. */
  readonly isByName: boolean
  readonly layout: { readonly rows: number; readonly columns: number }
  /** null: the place stays empty. */
  readonly places: readonly ({ readonly series: SeriesSummary; readonly mode: Mode } | null)[]
}

/** null where no rule fits, or nothing would hang beside the first. */
export function planOf(study: StudyAtNode, rules: readonly HangingRule[] = RULES): Plan | null {
  const drawable = study.series.filter((one) => one.drawable)
  const rule = rules.find((one) => fits(one, study, drawable))
  if (!rule) return null
  const left = [...drawable]
  const take = (place: PlaceRule) => {
    const index = left.findIndex((one) => isFor(place, one))
    return index < 0 ? null : left.splice(index, 1)[0]!
  }
  const named = rule.places.map((place) => (isNamed(place) ? take(place) : null))
  const hung = rule.places.map((place, index) => {
    const series = named[index] ?? (rule.fill ? (left.shift() ?? null) : null)
    return series && { series, mode: place.mode ?? ('stack' as const) }
  })
  return hung.filter(Boolean).length > 1 ? { rule: rule.name, isByName: rule.places.every(isNamed) && named.every(Boolean), layout: rule.layout, places: hung } : null
}

function fits(rule: HangingRule, study: StudyAtNode, drawable: readonly SeriesSummary[]): boolean {
  const ofModality = drawable.filter(({ modality }) => rule.modalities.includes(modality))
  if (ofModality.length < rule.fewest) return false
  if (!rule.modalities.every((wanted) => ofModality.some(({ modality }) => modality === wanted))) return false
  const said = [study.description, ...ofModality.map(({ description }) => description)].join(' ')
  return !rule.region || matches(rule.region, said)
}

const isNamed = ({ description, modality }: PlaceRule): boolean => description !== undefined || modality !== undefined

const isFor = ({ description, modality }: PlaceRule, series: SeriesSummary): boolean =>
  (modality === undefined || series.modality === modality) && (description === undefined || matches(description, series.description))

const matches = (pattern: string, text: string): boolean => new RegExp(pattern, 'i').test(text)
