import type { Entrances, Outcome, Series, StudyAtNode } from '../../api'
import { succeeded } from '../../api'
import type { Desk } from '../desk.svelte'
import { Stage } from '../stage.svelte'
import { subjectOf, type Subject } from '../view'
import { planOf, type Plan } from './plan'

/** The study in hand hangs by the rules; false where none fits. What is in hand already is not loaded again. */
export async function hang(desk: Desk, entrances: Entrances): Promise<Outcome<boolean>> {
  const subject = desk.stage?.subject
  if (!subject) return succeeded(false)
  const study = await entrances.getJson<StudyAtNode>(subject.nodeUrl, `/api/studies/${subject.studyUid}`)
  if (!study.ok) return study
  const plan = planOf(study.value)
  return plan ? hangBy(plan, desk, subject, entrances, () => true) : succeeded(false)
}

/**
 * The same for a study that was just opened, unasked: only by a rule that names what hangs where, and only until somebody took
 * the panes or the picture in hand.
 */
export async function hangAtOpening(desk: Desk, study: StudyAtNode, entrances: Entrances): Promise<Outcome<boolean>> {
  const opened = desk.stage
  const plan = planOf(study)
  if (!opened || opened.subject.studyUid !== study.study_uid || !plan?.isByName) return succeeded(false)
  const isUntouched = () => desk.slots.length === 1 && desk.stage === opened && opened.isUntouched
  return hangBy(plan, desk, opened.subject, entrances, isUntouched)
}

async function hangBy(plan: Plan, desk: Desk, { nodeUrl, studyUid }: Subject, entrances: Entrances, isWanted: () => boolean): Promise<Outcome<boolean>> {
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
  if (!isWanted()) return succeeded(false)
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
