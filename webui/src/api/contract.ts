/** What the servers say, word for word as docs/api.md writes it. */

export type Role = 'physician' | 'administrator' | 'superuser'

/** As the servers call them; those that the page asks for. */
export type Right = 'measure' | 'report' | 'assign' | 'share studies' | 'make anonymised copies' | 'define record types'

export interface Account {
  id: string
  username: string
  given_name: string
  family_name: string
  roles: Role[]
  institution_id: string | null
  /** What they may do wherever it is, and what only at their own institution. */
  rights: { everywhere: string[]; at_home: string[] }
}

export interface SessionGrant {
  access_token: string
  expires_in_s: number
  account: Account
  /** Where it was asked for. */
  directory?: Directory
}

/** How somebody is reached, as they say themselves; empty where they do not. */
export interface Contact {
  email: string
  phone: string
  address: string
}

/** A browser in which somebody is logged in. */
export interface KeptSession {
  id: string
  began_at: string
  renewed_at: string
  address: string
  /** What it calls itself (User-Agent). */
  browser: string
  is_this: boolean
}

export interface SecondFactor {
  is_on: boolean
  /** How many are left. */
  recovery_codes: number
}

/** What an authenticator app is told, once. */
export interface NewAuthenticator {
  /** Base32. */
  secret: string
  uri: string
  /** `uri` as a QR code, row by row from the top; 1 is dark. */
  qr_code: string[]
}

export interface Passkey {
  id: string
  name: string
  created_at: string
  used_at: string | null
  is_synced: boolean
}

export interface PasskeyList {
  passkeys: Passkey[]
  /** The name that they belong to; null where the appliance has none, and so no passkeys. */
  relying_party_id: string | null
}

export interface NodeEntry {
  id: string
  name: string
  base_url: string
  /** The node whose store it draws from; null of one that keeps what it draws. */
  draws_for?: string | null
}

export interface InstitutionEntry extends NodeEntry {
  nodes: NodeEntry[]
}

export interface Directory {
  institutions: InstitutionEntry[]
}

/** Whose address the page was opened from. */
export type Place =
  | { kind: 'toplevel' }
  | { kind: 'institution'; name: string; toplevel_url: string; is_toplevel_away: boolean; heard_at: string | null }

export type Gender = 'F' | 'M' | 'O'

export interface Patient {
  id: string
  family_name: string
  given_name: string
  birth_date: string | null
  gender: Gender | null
  identities: { institution_id: string; issuer: string; value: string }[]
  institution_ids: string[]
  address: string
  email: string
  phone: string
  /** Of what is said of them, as it was seen. */
  tag: string
}

export interface PatientToKeep {
  family_name: string
  given_name: string
  birth_date: string | null
  gender: Gender | null
  address: string
  email: string
  phone: string
  insurance_numbers: { issuer: string; value: string }[]
}

export interface PatientList {
  patients: Patient[]
  total: number
}

export interface Study {
  study_uid: string
  node_id: string
  date: string | null
  time: string | null
  description: string
  accession_number: string
  modalities: string[]
  series_count: number
  instance_count: number
}

export type WaitingReason =
  | 'not-asked'
  | 'no-id'
  | 'unknown-id'
  | 'name-differs'
  | 'birth-date-differs'
  | 'name-and-birth-date-differ'
  | 'too-little'
  | 'several-patients'
  | 'taken-back'

/** The patient of a study as its DICOM names them. */
export interface PatientAsHeld {
  /** A value of VR PN. */
  name: string
  id: string
  issuer: string
  birth_date: string | null
  sex: string | null
}

export interface WaitingStudy {
  study_uid: string
  study: Study
  patient: PatientAsHeld
  /** Null of a study that does not wait. */
  reason: WaitingReason | null
  candidate_id: string | null
  since: string
}

export interface WaitingList {
  studies: WaitingStudy[]
  total: number
}

export interface Assignment {
  id: string
  study_uid: string
  patient_id: string | null
  previous_patient_id: string | null
  with_number: boolean
  assigned_at: string
  by: { id: string; name: string }
}

export interface StudyAndItsPatient extends WaitingStudy {
  patient_id: string | null
  assignments: Assignment[]
}

export interface NewPatient {
  family_name: string
  given_name: string
  birth_date: string | null
  gender: Gender | null
}

export interface ReportText {
  description: string
  findings: string
  conclusion: string
  recommendation: string
}

/** A series, an instance or a frame (counted from 1) that a report points to, at whatever institution. */
export interface ImageLink {
  institution_id: string
  node_id: string
  study_uid: string
  series_uid: string
  instance_uid: string | null
  frame: number | null
}

export interface DraftToKeep extends ReportText {
  patient_id: string
  record_type: string
  date: string | null
  study_uid: string | null
  images: ImageLink[]
  reason: string
}

export interface ReportSignature {
  by: { id: string; name: string }
  at: string
  institution_name: string
  sha256: string
  is_intact: boolean
}

export interface ReportVersion extends ReportText {
  number: number
  state: 'draft' | 'signed' | 'unsigned'
  author: { id: string; name: string }
  begun_at: string
  changed_at: string
  record_type: string
  date: string | null
  study_uid: string | null
  images: ImageLink[]
  reason: string
  signature: ReportSignature | null
}

export interface Report {
  id: string
  patient_id: string
  /** Of the last version, as it was seen: what is changed says what it was made from. */
  tag: string
  /** The oldest first. */
  versions: ReportVersion[]
}

export interface SeriesSummary {
  series_uid: string
  number: number | null
  modality: string
  description: string
  body_part: string
  laterality: string
  instance_count: number
  frame_count: number
  drawable: boolean
  not_drawable_reason: string | null
}

export interface StudyAtNode {
  study_uid: string
  date: string | null
  time: string | null
  description: string
  patient: { name: string; id: string; birth_date: string | null; sex: string | null }
  institution_name: string
  series: SeriesSummary[]
}

/** A study, and the series of it that is looked at first; null where none has pictures. */
export interface OpenedStudy {
  study: StudyAtNode
  opened: Series | null
}

/** Patient coordinates (LPS), millimetres; or a direction in them. */
export type Vector = [number, number, number]

export interface SliceEntry {
  instance_uid: string
  /** Counts from 1. */
  frame: number
  number: number | null
  rows: number
  columns: number
  /** Centre of the first pixel. */
  position: Vector | null
  /** Direction in which the column index grows, then that in which the row index grows. */
  orientation: [number, number, number, number, number, number] | null
  /** Distance between rows first, then between columns, mm. */
  pixel_spacing: [number, number] | null
  /** Centre and width, in values after the modality LUT. */
  window: [number, number] | null
  /** Height of a pixel over its width, where there is no spacing that says it. */
  pixel_aspect_ratio?: number
  /** The stored pixels went through a lossy encoding. */
  is_lossy?: boolean
  /** The steps of it that the file tells: by which method, and how many bytes became one. */
  lossy?: { method: string; ratio: number | null }[]
  /** Where rows go to the right and columns down, in letters, as the file says it; of a projection all that is known. */
  patient_orientation?: [string, string] | null
  /** R, L, U (unpaired), B (both); empty where the file does not say. */
  laterality?: string
  /** Place of its choices in `voi` of the series; null where there is nothing to choose. */
  voi?: number | null
}

/** PS3.3 C.11.2.1.3. */
export type WindowFunction = 'linear' | 'linear-exact' | 'sigmoid'

export interface WindowPreset {
  name: string
  center: number
  width: number
  function: WindowFunction
}

/** One of the windows and tables that a file has for a frame. */
export interface VoiEntry {
  name: string
  /** As the parameter of that name asks for it: "window,1", "lut,2". */
  voi: string
  /** null, as the other two, of a table. */
  center: number | null
  width: number | null
  function: WindowFunction | null
}

export type VolumeEntry =
  | { ok: true; center: Vector; size_mm: Vector; warnings: string[] }
  | { ok: false; reason: string }

export interface Series extends SeriesSummary {
  frame_of_reference_uid: string | null
  rows: number
  columns: number
  is_colour: boolean
  presets: WindowPreset[]
  /** Lists of choices that slices have, each once. */
  voi: VoiEntry[][]
  value_unit: string
  slices: SliceEntry[]
  volume: VolumeEntry
  /** Names of transfer functions that suit it, the usual one first. */
  volume_presets: string[]
  /** By which the server draws now: a picture may be kept for good under an address that names them. */
  rules: string
}

export interface UploadAnswer {
  outcome: 'stored' | 'already-there'
  study_uid: string
  series_uid: string
  instance_uid: string
}
