import type { Entrances, Outcome, Series, StudyAtNode } from '../../api'
import { succeeded } from '../../api'
import type { Desk } from '../desk.svelte'
import { Stage } from '../stage.svelte'
import { subjectOf } from '../view'
import { planOf } from './plan'

/** The study in hand hangs by the rules; false where none fits. What is in hand already is not loaded again. */
export async function hang(desk: Desk, entrances: Entrances): Promise<Outcome<boolean>> {
  const subject = desk.stage?.subject
  if (!subject) return succeeded(false)
  const { nodeUrl, studyUid } = subject
  const study = await entrances.getJson<StudyAtNode>(nodeUrl, `/api/studies/${studyUid}`)
  if (!study.ok) return study
  const plan = planOf(study.value)
  if (!plan) return succeeded(false)
  const stages = await Promise.all(
    plan.places.map(async (place) => {
      if (!place) return succeeded(null)
      const { series_uid } = place.series
      const known = desk.slots.find((one) => one?.subject.series.series_uid === series_uid)?.subject
      const found = known
        ? succeeded(known)
        : await loaded(entrances.getJson<Series>(nodeUrl, `/api/studies/${studyUid}/series/${series_uid}`), nodeUrl, studyUid)
      return found.ok ? succeeded({ subject: found.value, mode: place.mode }) : found
    }),
  )
  const failure = stages.find((one) => !one.ok)
  if (failure && !failure.ok) return failure
  desk.active = 0
  desk.lay(plan.layout)
  stages.forEach((one, index) => {
    if (!one.ok || !one.value) return
    const stage = new Stage(one.value.subject)
    stage.show(one.value.mode)
    desk.put(stage, index)
  })
  return succeeded(true)
}

async function loaded(asked: Promise<Outcome<Series>>, nodeUrl: string, studyUid: string) {
  const outcome = await asked
  return outcome.ok ? succeeded(subjectOf(nodeUrl, studyUid, outcome.value)) : outcome
}
