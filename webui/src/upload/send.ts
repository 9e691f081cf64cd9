import {
  bearer,
  failed,
  isUnauthenticated,
  succeeded,
  withToken,
  type Outcome,
  type Problem,
  type TokenSource,
  type UploadAnswer,
} from '../api'

/**
 * Sends one file to a node, as it lies on the disk. XMLHttpRequest and not fetch: only it tells how much has gone out.
 */
export async function sendFile(
  nodeUrl: string,
  file: File,
  tokens: TokenSource,
  onProgress: (sentBytes: number) => void,
  signal: AbortSignal,
): Promise<Outcome<UploadAnswer>> {
  return withToken(tokens, async (token) => {
    const outcome = await post(`${nodeUrl}/api/uploads`, file, bearer(token), onProgress, signal)
    if (isUnauthenticated(outcome)) onProgress(0)
    return outcome
  })
}

function post(
  url: string,
  file: File,
  headers: Record<string, string>,
  onProgress: (sentBytes: number) => void,
  signal: AbortSignal,
): Promise<Outcome<UploadAnswer>> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest()
    const stop = () => request.abort()
    signal.addEventListener('abort', stop)
    request.upload.onprogress = (event) => onProgress(Math.min(event.loaded, file.size))
    request.onload = () => resolve(outcomeOf(request))
    request.onerror = () => resolve(failed({ kind: 'unreachable' }))
    request.onabort = () => resolve(failed({ kind: 'aborted' }))
    request.onloadend = () => signal.removeEventListener('abort', stop)
    request.open('POST', url)
    request.setRequestHeader('Content-Type', 'application/octet-stream')
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
    if (signal.aborted) resolve(failed({ kind: 'aborted' }))
    else request.send(file)
  })
}

function outcomeOf(request: XMLHttpRequest): Outcome<UploadAnswer> {
  const body = parsed(request.responseText)
  if (request.status >= 200 && request.status < 300) return succeeded(body as unknown as UploadAnswer)
  const bare: Problem = { type: `status-${request.status}`, title: request.statusText, status: request.status }
  return failed({ kind: 'refused', problem: { ...bare, ...body }, retryAfterS: null })
}

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return {}
  }
}
