/** What the node knows of a frame and of a region in it, asked once each. */

import type { Entrances, SliceEntry } from '../../api'
import type { Subject } from '../view'
import { calibrated, isRegion, type Figure, type Scale } from './figures'
import type { Mark } from './marking.svelte'

export interface Values {
  readonly mean: number
  readonly standard_deviation: number
  readonly minimum: number
  readonly maximum: number
  readonly unit: string
}

/** As `GET …/region` answers. */
export interface RegionAnswer {
  readonly count: number
  readonly mean: number | null
  readonly standard_deviation: number | null
  readonly minimum: number | null
  readonly maximum: number | null
  readonly unit: string
  readonly uptake: Values | null
}

export class Numbers {
  readonly #entrances: Entrances
  #found: ReadonlyMap<string, unknown> = $state.raw(new Map())
  readonly #asked = new Set<string>()

  constructor(entrances: Entrances) {
    this.#entrances = entrances
  }

  /** Of the file; none before the node has answered. */
  scalesOf(subject: Subject, slice: SliceEntry): readonly Scale[] {
    return this.#ask<{ scales: Scale[] }>(subject, `${pathOf(subject, slice)}/scales`)?.scales ?? []
  }

  valuesIn(subject: Subject, slice: SliceEntry, { kind, points }: Figure): RegionAnswer | null {
    if (!isRegion(kind)) return null
    const written = points.flat().map((part) => Number(part.toFixed(2)))
    return this.#ask<RegionAnswer>(subject, `${pathOf(subject, slice)}/region?kind=${kind}&points=${written.join(',')}`)
  }

  #ask<T>({ nodeUrl }: Subject, path: string): T | null {
    const url = nodeUrl + path
    if (!this.#asked.has(url)) {
      this.#asked.add(url)
      void this.#entrances.getJson<T>(nodeUrl, path).then((outcome) => {
        if (outcome.ok) this.#found = new Map(this.#found).set(url, outcome.value)
        else setTimeout(() => this.#asked.delete(url), 2_000) // asked again when it is looked at again
      })
    }
    return (this.#found.get(url) as T | undefined) ?? null
  }
}

const pathOf = ({ studyUid, series }: Subject, { instance_uid, frame }: SliceEntry): string =>
  `/api/studies/${studyUid}/series/${series.series_uid}/instances/${instance_uid}/frames/${frame}`

/** By the length that somebody knew, where there is one in the image, the newest; else as the file says. */
export function scalesInForce(ofFile: readonly Scale[], marks: Iterable<Mark>, instanceUid: string): readonly Scale[] {
  const pixels = ofFile.at(-1)
  let known: Scale | null = null
  for (const { figure } of marks) {
    if (pixels && figure.kind === 'calibration' && figure.instance_uid === instanceUid && figure.length_mm)
      known = calibrated(figure.points, figure.length_mm, pixels) ?? known
  }
  return known ? [known] : ofFile
}
