import type { Account, Directory, InstitutionEntry } from '../api'

/** The institutions that somebody may administer: all of them for a superuser, one's own for others. */
export function managedBy(account: Account, { institutions }: Directory): InstitutionEntry[] {
  if (account.roles.includes('superuser')) return institutions
  return institutions.filter(({ id }) => id === account.institution_id)
}

/** A server, and what is asked of it. */
export interface Place {
  name: string
  /** '' for the toplevel, from which the page comes. */
  baseUrl: string
}

/** Each server of these institutions once, the toplevel first: several roles may share one. */
export function serversOf(institutions: readonly InstitutionEntry[], ownOrigin: string): Place[] {
  const all = institutions.flatMap(({ name, base_url, nodes }) => [
    { name, baseUrl: base_url },
    ...nodes.map((node) => ({ name: `${name} · ${node.name}`, baseUrl: node.base_url })),
  ])
  const seen = new Set([ownOrigin])
  return [{ name: '', baseUrl: '' }, ...all].filter(({ baseUrl }) => {
    const origin = baseUrl && new URL(baseUrl).origin
    const isNew = !seen.has(origin)
    seen.add(origin)
    return isNew
  })
}

export interface Trail extends Place {
  room: 'toplevel' | 'institution' | 'node'
}

/** The audit trails of these institutions and their nodes, after that of the toplevel. */
export function trailsOf(institutions: readonly InstitutionEntry[], toplevelName: string): Trail[] {
  return [
    { name: toplevelName, baseUrl: '', room: 'toplevel' },
    ...institutions.flatMap(({ name, base_url, nodes }): Trail[] => [
      { name, baseUrl: base_url, room: 'institution' },
      ...nodes.map((node): Trail => ({ name: `${name} · ${node.name}`, baseUrl: node.base_url, room: 'node' })),
    ]),
  ]
}
