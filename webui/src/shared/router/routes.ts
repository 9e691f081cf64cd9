/** The places of the page and their addresses. An address holds identifiers of ours and DICOM UIDs, nothing else. */

export type Route =
  | { at: 'patients' }
  | { at: 'patient'; patientId: string }
  | { at: 'viewer'; patientId: string; nodeId: string; studyUid: string; seriesUid: string | null }
  | { at: 'upload' }
  | { at: 'nowhere' }

const UUID = '([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'
const UID = '([0-9.]{1,64})'

const PATTERNS: [RegExp, (parts: string[]) => Route][] = [
  [/^\/$/, () => ({ at: 'patients' })],
  [/^\/upload$/, () => ({ at: 'upload' })],
  [new RegExp(`^/patients/${UUID}$`), ([patientId]) => ({ at: 'patient', patientId: patientId! })],
  [
    new RegExp(`^/patients/${UUID}/nodes/${UUID}/studies/${UID}(?:/series/${UID})?$`),
    ([patientId, nodeId, studyUid, seriesUid]) => ({
      at: 'viewer',
      patientId: patientId!,
      nodeId: nodeId!,
      studyUid: studyUid!,
      seriesUid: seriesUid ?? null,
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
      return '/upload'
    case 'patient':
      return `/patients/${route.patientId}`
    case 'viewer': {
      const study = `/patients/${route.patientId}/nodes/${route.nodeId}/studies/${route.studyUid}`
      return route.seriesUid ? `${study}/series/${route.seriesUid}` : study
    }
    default:
      return '/'
  }
}
