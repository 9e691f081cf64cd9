/** What the servers tell administrators, word for word as docs/api.md writes it. */

import type { Account, Role } from '../api'

export interface AccountEntry extends Omit<Account, 'rights'> {
  email: string
  phone: string
  address: string
  is_doctor: boolean
  is_active: boolean
}

export interface PersonToKeep {
  given_name: string
  family_name: string
  roles: Role[]
  institution_id: string | null
  email: string
  phone: string
  address: string
  is_doctor: boolean
}

export type BelievedState = 'here' | 'enrolled' | 'not-enrolled'

export interface InstitutionRecord {
  id: string
  name: string
  own_name: string
  address: string
  base_url: string
  node_urls: string[]
  state: BelievedState
  seen_at: string
}

export interface NodeRecord {
  id: string
  name: string
  base_url: string
  state: BelievedState
  seen_at: string | null
  studies: number
  /** The node whose store it draws from; null of one that keeps what it draws. */
  draws_for: string | null
}

export interface Capacity {
  total_bytes: number
  free_bytes: number
  floor_bytes: number
  studies: number
  series: number
  instances: number
}

export interface RecordType {
  id: string
  name: string
  is_active: boolean
}

export interface EnrolmentToken {
  token: string
  ends_at: string
}

export type LineTask = 'changes' | 'trust' | 'feed'

export interface LineState {
  role: 'institution' | 'node'
  child_id: string
  waiting: number
  lag_s: number
  heard_at: string | null
  errors: Partial<Record<LineTask, string>>
}

export type Verdict = 'none' | 'well' | 'unknown' | 'attention' | 'danger'

/** What `appliance doctor` says of one subject; the text is English. */
export interface Finding {
  subject: string
  verdict: Verdict
  text: string
  figures: Record<string, string | number | null>
}

export interface Examination {
  at: string
  verdict: Verdict
  findings: Finding[]
}

export type AuditOutcome = 'done' | 'refused' | 'failed'

export interface AuditRecord {
  sequence: number
  at: string
  actor: { kind: string; id: string; name: string; address: string }
  action: AuditAction
  subject: { kind: string; uid: string; study_uid: string }
  outcome: AuditOutcome
  reason: string
  instances: number
  size_bytes: number
  hash: string
}

/** A trail below the toplevel, as far as its heads have come up (docs/audit.md). */
export interface ToldChain {
  institution_id: string
  keeper_id: string
  room: 'node' | 'institution'
  sequence: number
  told_at: string
  fault: 'cut' | 'rewritten' | null
  fault_at: string | null
}

/** What events are called in an audit trail (docs/audit.md); a test of the server compares. */
export const ACTIONS = [
  'delete',
  'search',
  'open',
  'retrieve',
  'export',
  'anonymise',
  'share',
  'open-share',
  'end-share',
  'keep-apart',
  'resolve-conflict',
  'rotate-key',
  'log-in',
  'create-account',
  'change-account',
  'deactivate-account',
  'reactivate-account',
  'change-contact',
  'change-password',
  'turn-on-second-factor',
  'turn-off-second-factor',
  'make-recovery-codes',
  'add-passkey',
  'rename-passkey',
  'remove-passkey',
  'end-session',
  'rotate-signing-key',
  'list-inbox',
  'assign',
  'create-patient',
  'change-patient',
  'delete-patient',
  'merge-patients',
  'take-back',
  'read-reports',
  'break-glass',
  'write-report',
  'amend-report',
  'sign-report',
  'discard-draft',
  'print-report',
  'read-measurements',
  'measure',
  'delete-measurement',
  'export-measurements',
  'change-institution',
  'delete-institution',
  'create-record-type',
  'change-record-type',
  'read-audit',
  'delete-node',
  'make-enrolment-token',
  'enrol',
  'end-enrolment',
] as const

export type AuditAction = (typeof ACTIONS)[number]
