/** Where the pictures of a report lie. */

import type { Directory, ImageLink, InstitutionEntry } from '../api'

export function nodeUrlOf(institutions: InstitutionEntry[], nodeId: string): string | null {
  const nodes = institutions.flatMap((institution) => institution.nodes)
  return nodes.find(({ id }) => id === nodeId)?.base_url ?? null
}

/** The path of the small picture of a series, an instance or a frame. */
export function thumbnailPath({ study_uid, series_uid, instance_uid, frame }: ImageLink): string {
  const series = `/dicom-web/studies/${study_uid}/series/${series_uid}`
  if (instance_uid === null) return `${series}/thumbnail`
  const instance = `${series}/instances/${instance_uid}`
  return frame === null ? `${instance}/thumbnail` : `${instance}/frames/${frame}/thumbnail`
}

export const institutionNameOf = ({ institutions }: Pick<Directory, 'institutions'>, institutionId: string): string =>
  institutions.find(({ id }) => id === institutionId)?.name ?? ''
