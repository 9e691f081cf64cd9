/** What nodes say of objects that are no pictures, word for word as docs/api.md writes it. */

export type ObjectKind = 'report' | 'key-images' | 'pdf' | 'video' | 'waveform' | 'segmentation' | 'structures' | 'presentation'

export interface StudyObject {
  series_uid: string
  instance_uid: string
  kind: ObjectKind
  title: string
  /** As in DICOM (DA); empty where it does not say. */
  date: string
  about_series: string[]
  frame_of_reference_uid: string
  duration_s: number | null
}

export interface Code {
  value: string
  scheme: string
  meaning: string
}

export interface Pointer {
  sop_class_uid: string
  instance_uid: string
  /** Counted from 1; empty for all. */
  frames: number[]
  /** Empty where the document does not say; so the series. */
  study_uid: string
  series_uid: string
}

export interface Statement {
  kind: string
  relation: string
  name: Code | null
  text: string
  code: Code | null
  /** As it stands in the file. */
  number: string
  unit: Code | null
  missing: Code | null
  pointer: Pointer | null
  shape: string
  points: number[]
  same_as: string
  children: Statement[]
}

export interface Document {
  title: string
  template: string
  is_complete: boolean | null
  is_verified: boolean | null
  date: string | null
  time: string | null
  verifiers: { name: string; organisation: string; at: string }[]
  root: Statement
}

export interface DocumentAnswer {
  document: Document
  key_objects: Pointer[]
}

export interface Region {
  number: number
  name: string
  /** #rrggbb. */
  colour: string
}

/** A region on a slice, as SVG has it. */
export interface Shape {
  number: number
  path: string
  /** To pixels of the slice, (0, 0) being the outer corner of the first. */
  matrix: [number, number, number, number, number, number]
  opacity: number
  is_closed: boolean
}

export interface LaidOver {
  regions: Region[]
  slices: Shape[][]
  /** Frames or contours that lie on no slice of the series. */
  unplaced: number
}
