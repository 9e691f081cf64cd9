import { ask, failed, succeeded, type Outcome } from '../api'

const TIMEOUT_MS = 5_000

/** How long a server takes to say that it lives, in milliseconds, as seen from this browser: where the pictures go. */
export async function ping(baseUrl: string): Promise<Outcome<number>> {
  const began = performance.now()
  const outcome = await ask(`${baseUrl}/healthz`, { timeoutMs: TIMEOUT_MS, credentials: 'omit' })
  return outcome.ok ? succeeded(performance.now() - began) : failed(outcome.failure)
}
