/** Measuring and marking: what of it the viewer loads after its first picture. */

import type { Account, Entrances } from '../../api'
import Layer from './Layer.svelte'
import { LocalFigures } from './keeping'
import { Marking } from './marking.svelte'
import { Numbers } from './numbers.svelte'

/** The figures of a study, and what the nodes know of what they measure. */
export class Marks extends Marking {
  readonly numbers: Numbers
  readonly Layer = Layer

  constructor(studyUid: string, account: Account, institutionUrl: string, entrances: Entrances) {
    const here = new LocalFigures(account.id, studyUid)
    const path = (id: string) => `/api/measurements/${id}`
    super(studyUid, { id: account.id, name: `${account.given_name} ${account.family_name}`.trim() }, {
      list: () => entrances.getJson(institutionUrl, `/api/studies/${studyUid}/measurements`),
      keep: (id, figure, tag) => entrances.writeIf(tag, 'PUT', institutionUrl, path(id), figure),
      remove: (id, tag) => entrances.writeIf(tag, 'DELETE', institutionUrl, path(id)),
      recall: () => here.all(),
      keepHere: (all) => here.keep(all),
      newId: () => crypto.randomUUID(),
    })
    this.numbers = new Numbers(entrances)
  }
}

export const marksOf = (account: Account, studyUid: string, institutionUrl: string, entrances: Entrances): Marks =>
  new Marks(studyUid, account, institutionUrl, entrances)
