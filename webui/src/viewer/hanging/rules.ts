/**
 * Hanging rules: which series of a study hang beside each other, and how. Data, the first that fits counts.
 *
 * A pattern is of a regular expression and blind to capitals. `place` says from left to right and top to bottom which series
 * hangs there, by the description of the series, then by its protocol's words; a place that finds none takes the next series that
 * hangs nowhere yet, in order, if `fill` says so, and stays empty otherwise.
 */

import type { Mode } from '../view'

export interface PlaceRule {
  /** Of the series description. */
  readonly description?: string
  readonly modality?: string
  /** How it is looked at; a stack where it does not say. */
  readonly mode?: Mode
}

export interface HangingRule {
  readonly name: string
  /** All modalities of the rule are in the study. */
  readonly modalities: readonly string[]
  /** Of the body part, or of the description of the study. */
  readonly region?: string
  readonly layout: { readonly rows: number; readonly columns: number }
  readonly places: readonly PlaceRule[]
  readonly fill: boolean
  /** Fewer series than these hang as they come. */
  readonly fewest: number
}

export const RULES: readonly HangingRule[] = [
  {
    name: 'mammography',
    modalities: ['MG'],
    layout: { rows: 2, columns: 2 },
    places: [
      { description: '\\bR(?:IGHT)?[ -_]*CC|RCC' },
      { description: '\\bL(?:EFT)?[ -_]*CC|LCC' },
      { description: '\\bR(?:IGHT)?[ -_]*MLO|RMLO' },
      { description: '\\bL(?:EFT)?[ -_]*MLO|LMLO' },
    ],
    fill: true,
    fewest: 2,
  },
  {
    name: 'chest radiograph',
    modalities: ['DX'],
    region: 'chest|thorax|lung|pluc',
    layout: { rows: 1, columns: 2 },
    places: [{ description: '\\b(?:PA|AP|p\\.?a\\.?)\\b' }, { description: '\\bLAT|LL\\b|profil' }],
    fill: true,
    fewest: 2,
  },
  { name: 'radiograph', modalities: ['DX'], layout: { rows: 1, columns: 2 }, places: [{}, {}], fill: true, fewest: 2 },
  { name: 'computed radiograph', modalities: ['CR'], layout: { rows: 1, columns: 2 }, places: [{}, {}], fill: true, fewest: 2 },
  {
    name: 'positron emission with computed tomography',
    modalities: ['PT', 'CT'],
    layout: { rows: 1, columns: 2 },
    places: [{ modality: 'CT' }, { modality: 'PT' }],
    fill: false,
    fewest: 2,
  },
  {
    name: 'magnetic resonance of the head',
    modalities: ['MR'],
    region: 'head|brain|glava|mozak|cereb',
    layout: { rows: 2, columns: 2 },
    places: [{ description: 'flair|tirm' }, { description: '\\bt2' }, { description: '\\bt1' }, { description: 'dwi|diff|adc|trace' }],
    fill: true,
    fewest: 3,
  },
  {
    name: 'magnetic resonance',
    modalities: ['MR'],
    layout: { rows: 1, columns: 2 },
    places: [{ description: '\\bt1' }, { description: '\\bt2|stir|\\bpd' }],
    fill: true,
    fewest: 2,
  },
  { name: 'computed tomography', modalities: ['CT'], layout: { rows: 1, columns: 2 }, places: [{}, {}], fill: true, fewest: 2 },
]
