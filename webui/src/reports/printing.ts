import { succeeded, type Entrances, type Outcome } from '../api'
import { reportTexts as texts } from '../shared/texts'

/**
 * The PDF of a version, as a file. It is asked for here: a window of its own would go to the institution without the cookie by
 * which this page has entered there.
 */
export async function print(entrances: Entrances, baseUrl: string, reportId: string, version: number): Promise<Outcome<void>> {
  const path = `/api/reports/${reportId}/versions/${version}/print?language=${texts.language}`
  const outcome = await entrances.get(baseUrl, path)
  if (!outcome.ok) return outcome
  const address = URL.createObjectURL(await outcome.value.blob())
  const link = document.createElement('a')
  link.href = address
  link.download = `report-${reportId}-${version}.pdf`
  link.click()
  URL.revokeObjectURL(address)
  return succeeded(undefined)
}
