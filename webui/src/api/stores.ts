/**
 * Several nodes over one store: one keeps it, others only draw from it. Each series has an order of them by rendezvous hash
 * (Thaler and Ravishankar 1998), so that its frames stay warm at one of them, and only the series of one that goes dark move
 * to another. Loaded where the directory names such nodes.
 */

import type { Failure, Outcome } from './outcome'
import type { NodeEntry } from './contract'

/** How often one that is dark is asked whether it is back. */
const LOOK_AGAIN_MS = 5_000
const PING_TIMEOUT_MS = 4_000

/** What is asked of a study or a series can be asked of any; a query of the viewer names the series it wants. */
const SUBJECT = /^\/(?:api|dicom-web)\/studies\/([^/?]+)(?:\/series\/([^/?]+)|\?series=([\d.]+))?/

type Stored = Pick<NodeEntry, 'id' | 'base_url' | 'draws_for'>

export class Stores {
  /** By the address of the node that keeps a store: all that draw from it, itself among them. */
  readonly #nodes = new Map<string, Stored[]>()
  readonly #dark = new Set<string>()
  readonly #fetch: typeof fetch

  constructor(nodes: readonly Stored[], fetchWith: typeof fetch) {
    this.#fetch = fetchWith
    for (const keeper of nodes) {
      const drawing = nodes.filter(({ draws_for }) => draws_for === keeper.id)
      if (drawing.length) this.#nodes.set(keeper.base_url, [keeper, ...drawing])
    }
  }

  /** The address of the one that is asked first; `keeperUrl` itself for whatever is none of a series. */
  first(keeperUrl: string, path: string): string {
    return this.#order(keeperUrl, path)[0]!
  }

  /** What the first of them answers that is there; the last failure where none is. */
  async answer<T>(keeperUrl: string, path: string, call: (baseUrl: string) => Promise<Outcome<T>>): Promise<Outcome<T>> {
    let [asked, ...others] = this.#order(keeperUrl, path)
    let outcome = await call(asked!)
    while (!outcome.ok && others.length) {
      if (isDark(outcome.failure)) this.#watch(asked!)
      else if (asked === keeperUrl || !isUnknown(outcome.failure)) return outcome
      // It draws from a copy of the index that is behind, perhaps: who keeps the store knows.
      else others = [keeperUrl]
      asked = others.shift()
      outcome = await call(asked!)
    }
    return outcome
  }

  #order(keeperUrl: string, path: string): string[] {
    const nodes = this.#nodes.get(keeperUrl)
    const subject = SUBJECT.exec(path)
    if (!nodes || !subject) return [keeperUrl]
    const urls = ranked(nodes.map(({ id }) => id), subject[2] ?? subject[3] ?? subject[1]!).map((place) => nodes[place]!.base_url)
    // Where all are dark, their order is the usual one.
    return [...urls.filter((url) => !this.#dark.has(url)), ...urls.filter((url) => this.#dark.has(url))]
  }

  /** It is passed over until it answers again. */
  #watch(url: string): void {
    if (this.#dark.has(url)) return
    this.#dark.add(url)
    const look = async () => {
      const answer = await this.#fetch(`${url}/healthz`, { signal: AbortSignal.timeout(PING_TIMEOUT_MS) }).catch(() => null)
      if (answer?.ok) this.#dark.delete(url)
      else setTimeout(look, LOOK_AGAIN_MS)
    }
    setTimeout(look, LOOK_AGAIN_MS)
  }
}

const isDark = (failure: Failure): boolean =>
  failure.kind === 'unreachable' || (failure.kind === 'refused' && failure.problem.type === 'database-away')

const isUnknown = (failure: Failure): boolean => failure.kind === 'refused' && failure.problem.status === 404

/** The places of `nodes`, by their ids, in the order in which they are asked for `subject`. */
export function ranked(nodes: readonly string[], subject: string): number[] {
  const weights = nodes.map((id) => weightOf(id, subject))
  return [...nodes.keys()].sort((one, other) => weights[other]! - weights[one]! || (nodes[one]! < nodes[other]! ? -1 : 1))
}

/** FNV-1a in 32 bits over the ASCII of both, and the end of MurmurHash3, without which like ids weigh alike. */
function weightOf(id: string, subject: string): number {
  let hash = 0x811c9dc5
  for (const letter of `${id} ${subject}`) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
