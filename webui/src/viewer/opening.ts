import { askJson, type Directory, type Entrances, type OpenedStudy, type Outcome } from '../api'
import type { Route } from '../shared/router'

export type ViewerRoute = Extract<Route, { at: 'viewer' }>

export interface Opening {
  /** null where the directory does not know the node. */
  readonly nodeUrl: string | null
  readonly institutionId: string | null
  readonly institutionName: string
  readonly institutionUrl: string
  /** The study with the series that the address names, or the first; asked for before the viewer's own part has come. */
  readonly answer: Promise<Outcome<OpenedStudy>> | null
}

export function openStudy(route: ViewerRoute, directory: Directory, entrances: Entrances): Opening {
  const institution = directory.institutions.find(({ nodes }) => nodes.some(({ id }) => id === route.nodeId))
  const nodeUrl = institution?.nodes.find(({ id }) => id === route.nodeId)?.base_url ?? null
  const answer = nodeUrl === null ? null : takeOrAsk(entrances, nodeUrl, route)
  return { nodeUrl, institutionId: institution?.id ?? null, institutionName: institution?.name ?? '', institutionUrl: institution?.base_url ?? '', answer }
}

export const askForStudy = (entrances: Entrances, nodeUrl: string, route: ViewerRoute): Promise<Outcome<OpenedStudy>> =>
  entrances.getJson(nodeUrl, pathOf(route))

const pathOf = ({ studyUid, seriesUid }: ViewerRoute): string => `/api/studies/${studyUid}?series=${seriesUid ?? 'first'}`

/** index.html may have asked for it already; what was refused there is asked for in the usual way, by who enters first. */
async function takeOrAsk(entrances: Entrances, nodeUrl: string, route: ViewerRoute): Promise<Outcome<OpenedStudy>> {
  const { opening } = globalThis
  delete globalThis.opening
  const asked = await opening
  if (asked?.entered) entrances.hasEntered(asked.entered.base, asked.entered.until)
  if (asked?.url !== nodeUrl + pathOf(route)) return askForStudy(entrances, nodeUrl, route)
  const outcome = await askJson<OpenedStudy>('', {}, () => Promise.resolve(asked.answer))
  return outcome.ok ? outcome : askForStudy(entrances, nodeUrl, route)
}

declare global {
  /** null where nothing could be asked for. `entered` says which node was entered for it, and until when (ms since the epoch). */
  var opening: Promise<{ url: string; answer: Response; entered?: { base: string; until: number } | false } | null> | undefined
}
