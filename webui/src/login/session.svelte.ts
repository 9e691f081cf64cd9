import {
  failed,
  isRefusedAs,
  isUnauthenticated,
  logIn,
  logOut,
  renewSession,
  resumeSession,
  type Account,
  type Directory,
  type Failure,
  type Outcome,
  type SessionGrant,
  type Token,
  type TokenSource,
} from '../api'
import { isLeaving, setLeaving } from './leaving'
import { isFresh, renewalDelayMs, tokenOf } from './renewal'

export type SessionState =
  /** The page has just opened and asks whether the browser still holds a session. */
  | { kind: 'restoring' }
  /** It could not be asked. */
  | { kind: 'unreachable'; failure: Failure }
  | { kind: 'out'; hasEnded: boolean }
  | { kind: 'in'; account: Account; directory: Directory }

/**
 * Who is at the page. The access token lives here in memory and nowhere else; the refresh cookie is out of reach of
 * scripts. Renewed silently before the token ends.
 */
export class Session implements TokenSource {
  state: SessionState = $state.raw({ kind: 'restoring' })
  /** Called with each new token after the first. */
  onRenewed: () => void = () => {}
  /** Called when a session could be renewed, or not for want of an answer: whether who renews it is away. */
  onAnswer: (isAway: boolean) => void = () => {}

  #token: Token | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #renewing: Promise<Outcome<SessionGrant>> | null = null
  /** Counts log-outs. */
  #visit = 0

  /** At the opening of the page: goes on with the session that the browser holds, if it holds one. */
  async restore(): Promise<void> {
    this.state = { kind: 'restoring' }
    if (isLeaving()) return this.leave()
    const outcome = await this.#renew()
    if (outcome.ok) return
    const hasNone = outcome.failure.kind === 'refused' && outcome.failure.problem.status === 401
    this.state = hasNone ? { kind: 'out', hasEnded: false } : { kind: 'unreachable', failure: outcome.failure }
  }

  /** null, or why not. */
  async enter(username: string, password: string, code: string | null = null): Promise<Failure | null> {
    return this.enterBy(await logIn(username, password, code))
  }

  /** The same, in another way than by a password. */
  enterBy(outcome: Outcome<SessionGrant>): Failure | null {
    if (!outcome.ok) return outcome.failure
    setLeaving(false)
    this.#take(outcome.value)
    return null
  }

  /** At once here, and at the toplevel as soon as it can be told. */
  async leave(): Promise<void> {
    setLeaving(true)
    this.#forget(false)
    const outcome = await logOut()
    if (outcome.ok || isUnauthenticated(outcome)) setLeaving(false)
  }

  /** The token as it is, for the last requests of a session. */
  get token(): Token | null {
    return this.#token
  }

  async current(): Promise<Token | null> {
    return isFresh(this.#token, Date.now()) ? this.#token : this.renewed()
  }

  async renewed(): Promise<Token | null> {
    if (this.state.kind !== 'in') return null
    const outcome = await this.#renew()
    return outcome.ok ? this.#token : null
  }

  #renew(): Promise<Outcome<SessionGrant>> {
    this.#renewing ??= this.#renewNow().finally(() => (this.#renewing = null))
    return this.#renewing
  }

  async #renewNow(): Promise<Outcome<SessionGrant>> {
    const visit = this.#visit
    const outcome = await (this.state.kind === 'in' ? renewSession() : resumeSession())
    // Who logged out meanwhile does not want to be let in again.
    if (visit !== this.#visit) return failed({ kind: 'aborted' })
    if (outcome.ok) this.#take(outcome.value)
    else if (this.state.kind === 'in') this.#miss(outcome.failure)
    return outcome
  }

  #take(grant: SessionGrant): void {
    const isRenewal = this.#token !== null
    const directory = grant.directory ?? (this.state.kind === 'in' ? this.state.directory : NOWHERE)
    this.#token = tokenOf(grant, Date.now())
    this.state = { kind: 'in', account: grant.account, directory }
    this.#renewIn(renewalDelayMs(grant.expires_in_s))
    this.onAnswer(false)
    if (isRenewal) this.onRenewed()
  }

  #miss(failure: Failure): void {
    if (isRefusedAs(failure, 'session-ended')) this.#forget(true)
    // The toplevel is away: institutions and nodes go on with the token until it ends.
    else {
      this.onAnswer(failure.kind === 'unreachable')
      this.#renewIn(RETRY_MS)
    }
  }

  #forget(hasEnded: boolean): void {
    clearTimeout(this.#timer)
    this.#visit += 1
    this.#token = null
    this.state = { kind: 'out', hasEnded }
  }

  #renewIn(delayMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#renew(), delayMs)
  }
}

const RETRY_MS = 10_000
const NOWHERE: Directory = { institutions: [] }
