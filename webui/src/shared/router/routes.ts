/** The places of the page and their addresses. An address holds identifiers of ours and DICOM UIDs, nothing else. */

export type AdministrationPart = 'accounts' | 'institutions' | 'nodes' | 'record-types' | 'synchronisation' | 'audit'

export type Route =
  | { at: 'patients' }
  | { at: 'patient'; patientId: string }
  /** `patientId` is null of a study that is looked at from the inbox. */
  | {
      at: 'viewer'
      patientId: string | null
      nodeId: string
      studyUid: string
      seriesUid: string | null
      /** Where a series is opened; nothing: where it is by itself. */
      image?: { instanceUid: string; frame: number } | null
    }
  | { at: 'inbox'; studyUid: string | null }
  | { at: 'upload' }
  | { at: 'account' }
  | { at: 'administration'; part: AdministrationPart }
  | { at: 'nowhere' }

const UUID = '([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'
const UID = '([0-9.]{1,64})'

const PATTERNS: [RegExp, (parts: string[]) => Route][] = [
  [/^\/$/, () => ({ at: 'patients' })],
  [/^\/upload$/, () => ({ at: 'upload' })],
  [/^\/account$/, () => ({ at: 'account' })],
  [
    /^\/administration\/(accounts|institutions|nodes|record-types|synchronisation|audit)$/,
    ([part]) => ({ at: 'administration', part: part as AdministrationPart }),
  ],
  [new RegExp(`^/inbox(?:/studies/${UID})?$`), ([studyUid]) => ({ at: 'inbox', studyUid: studyUid ?? null })],
  [new RegExp(`^/patients/${UUID}$`), ([patientId]) => ({ at: 'patient', patientId: patientId! })],
  [
    new RegExp(`^/(?:patients/${UUID}|inbox)/nodes/${UUID}/studies/${UID}(?:/series/${UID}(?:/instances/${UID}/frames/([0-9]{1,6}))?)?$`),
    ([patientId, nodeId, studyUid, seriesUid, instanceUid, frame]) => ({
      at: 'viewer',
      patientId: patientId ?? null,
      nodeId: nodeId!,
      studyUid: studyUid!,
      seriesUid: seriesUid ?? null,
      ...(instanceUid ? { image: { instanceUid, frame: Number(frame) } } : {}),
    }),
  ],
]

export function routeAt(path: string): Route {
  for (const [pattern, route] of PATTERNS) {
    const match = pattern.exec(path)
    if (match) return route(match.slice(1))
  }
  return { at: 'nowhere' }
}

export function addressOf(route: Route): string {
  switch (route.at) {
    case 'upload':
    case 'account':
      return `/${route.at}`
    case 'administration':
      return `/administration/${route.part}`
    case 'inbox':
      return route.studyUid ? `/inbox/studies/${route.studyUid}` : '/inbox'
    case 'patient':
      return `/patients/${route.patientId}`
    case 'viewer': {
      const from = route.patientId ? `/patients/${route.patientId}` : '/inbox'
      const study = `${from}/nodes/${route.nodeId}/studies/${route.studyUid}`
      if (!route.seriesUid) return study
      const series = `${study}/series/${route.seriesUid}`
      return route.image ? `${series}/instances/${route.image.instanceUid}/frames/${route.image.frame}` : series
    }
    default:
      return '/'
  }
}
