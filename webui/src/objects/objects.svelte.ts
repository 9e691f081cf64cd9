import type { Entrances } from '../api'
import type { StudyObject } from './contract'

/** What a study has besides pictures, by series; nothing until its node has said so. */
export class Objects {
  bySeries: ReadonlyMap<string, StudyObject[]> = $state.raw(new Map())

  /** A node that does not answer has pictures to show all the same: their failures are said there. */
  async load(entrances: Entrances, nodeUrl: string, studyUid: string): Promise<void> {
    const outcome = await entrances.getJson<{ objects: StudyObject[] }>(nodeUrl, `/api/studies/${studyUid}/objects`)
    if (!outcome.ok) return
    const found = new Map<string, StudyObject[]>()
    for (const one of outcome.value.objects) found.set(one.series_uid, [...(found.get(one.series_uid) ?? []), one])
    this.bySeries = found
  }
}
