import type { Directory, Entrances, OpenedStudy, Outcome } from '../api'
import type { Route } from '../shared/router'

export type ViewerRoute = Extract<Route, { at: 'viewer' }>

export interface Opening {
  /** null where the directory does not know the node. */
  readonly nodeUrl: string | null
  readonly institutionName: string
  /** The study with the series that the address names, or the first; asked for before the viewer's own part has come. */
  readonly answer: Promise<Outcome<OpenedStudy>> | null
}

export function openStudy(route: ViewerRoute, directory: Directory, entrances: Entrances): Opening {
  const institution = directory.institutions.find(({ nodes }) => nodes.some(({ id }) => id === route.nodeId))
  const nodeUrl = institution?.nodes.find(({ id }) => id === route.nodeId)?.base_url ?? null
  const answer = nodeUrl === null ? null : askForStudy(entrances, nodeUrl, route)
  return { nodeUrl, institutionName: institution?.name ?? '', answer }
}

export const askForStudy = (entrances: Entrances, nodeUrl: string, { studyUid, seriesUid }: ViewerRoute): Promise<Outcome<OpenedStudy>> =>
  entrances.getJson(nodeUrl, `/api/studies/${studyUid}?series=${seriesUid ?? 'first'}`)
