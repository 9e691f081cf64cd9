/** Other studies of the patient who is looked at, wherever they are; each institution answers for itself. */

import { failed, succeeded, type Directory, type Entrances, type InstitutionEntry, type Outcome, type Series, type Study, type StudyAtNode } from '../../api'
import { Places, allThere, type Answer, type Placed } from '../../shared/places'
import { Stage } from '../stage.svelte'
import { subjectOf } from '../view'

export interface Prior extends Placed<Study> {
  readonly nodeUrl: string
}

/** What a study holds, as its node says; nothing where nobody has asked yet. */
type Opened = Answer<never> | { kind: 'opened'; study: StudyAtNode }

export class Priors {
  readonly institutions: InstitutionEntry[]
  readonly places: Places<Study>
  /** By study UID. */
  opened: Record<string, Opened> = $state.raw({})
  readonly #entrances: Entrances
  readonly #controller = new AbortController()

  constructor(patientId: string, directory: Directory, entrances: Entrances) {
    this.institutions = directory.institutions
    this.#entrances = entrances
    this.places = new Places<Study>(directory.institutions, async ({ base_url }, signal) => {
      const outcome = await entrances.getJson<{ studies: Study[] }>(base_url, `/api/patients/${patientId}/studies`, signal)
      return outcome.ok ? succeeded(outcome.value.studies) : outcome
    })
  }

  /** All but the one that is looked at, the newest first. A study whose node the directory does not know cannot be opened. */
  except(studyUid: string): Prior[] {
    return allThere(this.institutions, this.places.answers)
      .filter(({ item }) => item.study_uid !== studyUid)
      .flatMap((placed) => {
        const node = this.institutions.flatMap(({ nodes }) => nodes).find(({ id }) => id === placed.item.node_id)
        return node ? [{ ...placed, nodeUrl: node.base_url }] : []
      })
      .sort((one, other) => whenOf(other.item).localeCompare(whenOf(one.item)))
  }

  async open({ item, nodeUrl }: Prior): Promise<void> {
    this.#note(item.study_uid, { kind: 'loading' })
    const outcome = await this.#entrances.getJson<StudyAtNode>(nodeUrl, `/api/studies/${item.study_uid}`, this.#controller.signal)
    this.#note(item.study_uid, outcome.ok ? { kind: 'opened', study: outcome.value } : { kind: 'failed', failure: outcome.failure })
  }

  /** Whose series it is, of those that were opened. */
  holderOf(seriesUid: string): Prior | null {
    const uid = Object.entries(this.opened).find(([, one]) => one.kind === 'opened' && one.study.series.some(({ series_uid }) => series_uid === seriesUid))?.[0]
    return this.except('').find(({ item }) => item.study_uid === uid) ?? null
  }

  /** A series of an opened study as it is put on a desk, with the study that it is of. */
  async stageOf(seriesUid: string, signal: AbortSignal): Promise<Outcome<Stage>> {
    const prior = this.holderOf(seriesUid)
    const opened = prior && this.opened[prior.item.study_uid]
    if (!prior || opened?.kind !== 'opened') return failed({ kind: 'aborted' })
    const path = `/api/studies/${prior.item.study_uid}/series/${seriesUid}`
    const outcome = await this.#entrances.getJson<Series>(prior.nodeUrl, path, signal)
    if (!outcome.ok) return outcome
    const origin = { study: opened.study, institution: prior.institution.name, institutionId: prior.institution.id }
    return succeeded(new Stage({ ...subjectOf(prior.nodeUrl, prior.item.study_uid, outcome.value), origin }))
  }

  close(): void {
    this.places.close()
    this.#controller.abort()
  }

  #note(studyUid: string, state: Opened): void {
    this.opened = { ...this.opened, [studyUid]: state }
  }
}

/** Dates and times of the server compare as texts. */
const whenOf = ({ date, time }: Study): string => `${date ?? ''} ${time ?? ''}`
