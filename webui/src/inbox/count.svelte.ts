import { whyNot, type Account, type Directory, type Entrances, type InstitutionEntry, type WaitingList } from '../api'

const EVERY_MS = 30_000

/** The institution whose inbox is this person's to empty; null of whoever has none. */
export function inboxHome(account: Account, { institutions }: Directory): InstitutionEntry | null {
  return institutions.find(({ id }) => id === account.institution_id && !whyNot(account, 'assign', id)) ?? null
}

/** How many studies wait; small, since the shell shows it on every page. */
export class InboxCount {
  /** The last that was heard; null before that. */
  total: number | null = $state(null)

  readonly #entrances: Entrances
  readonly #baseUrl: string

  constructor(entrances: Entrances, baseUrl: string) {
    this.#entrances = entrances
    this.#baseUrl = baseUrl
  }

  /** Asks now and then; gives back how to stop. */
  watch(): () => void {
    void this.refresh()
    const timer = setInterval(() => void this.refresh(), EVERY_MS)
    return () => clearInterval(timer)
  }

  async refresh(): Promise<void> {
    const outcome = await this.#entrances.getJson<WaitingList>(this.#baseUrl, '/api/inbox?limit=0')
    if (outcome.ok) this.total = outcome.value.total
  }
}
