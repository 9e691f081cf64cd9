/** What administrators read, in English. Another language is another file of this shape. */

import type { AuditOutcome, BelievedState, LineTask } from '../contract'
import type { AdministrationPart } from '../../shared/router'
import type { Role } from '../../api'

const plural = (count: number, one: string, many: string): string => `${count.toLocaleString('en')} ${count === 1 ? one : many}`

export const en = {
  title: 'Administration',
  parts: {
    accounts: 'Accounts',
    institutions: 'Institutions',
    nodes: 'Nodes',
    'record-types': 'Record types',
    synchronisation: 'Synchronisation',
    audit: 'Audit trail',
  } satisfies Record<AdministrationPart, string>,

  list: {
    filter: 'Filter',
    all: 'all',
    none: 'Nothing matches.',
    count: (shown: number, total: number | null) =>
      total === null ? `${shown.toLocaleString('en')} shown` : `${shown.toLocaleString('en')} of ${total.toLocaleString('en')}`,
    more: 'Show more',
    again: 'Refresh',
    never: 'never',
    actions: 'Actions',
  },

  pointedTo: (what: string) => `This cannot be deleted: ${what} would point to nothing.`,
  pointing: {
    accounts: (count: number) => plural(count, 'account', 'accounts'),
    patients: (count: number) => plural(count, 'patient', 'patients'),
    numbers: (count: number) => plural(count, 'patient number', 'patient numbers'),
    studies: (count: number) => plural(count, 'study', 'studies'),
    is_believed: 'its enrolment',
  },
  refused: {
    'username-taken': 'This username is taken.',
    'password-length': 'The password is too short or too long.',
    'password-guessable': 'The password is easy to guess.',
    'wrong-email': 'This is no e-mail address.',
    'wrong-phone': 'A phone number has digits, blanks and +()/.-',
    'wrong-address': 'The address is too long.',
    'own-account': 'Somebody else changes the rights of your own account.',
    'changed-meanwhile': 'Somebody changed this meanwhile. Load the list again.',
    'other-institution': 'This is for administrators of that institution.',
    'missing-right': 'Your account may not do this.',
    'no-such-institution': 'There is no such institution.',
    'name-taken': 'There is one of this name already.',
  } as Record<string, string>,

  states: { here: 'here', enrolled: 'enrolled', 'not-enrolled': 'not enrolled' } satisfies Record<BelievedState, string>,
  stateHints: {
    here: 'In the same process: it need not be enrolled.',
    enrolled: 'It is believed by its key.',
    'not-enrolled': 'What it told stays; from now on it is not heard.',
  } satisfies Record<BelievedState, string>,

  accounts: {
    search: 'Name or username',
    institution: 'Institution',
    role: 'Role',
    roles: { physician: 'Physician', administrator: 'Administrator', superuser: 'Superuser' } satisfies Record<Role, string>,
    state: 'State',
    active: 'active',
    inactive: 'deactivated',
    name: 'Name',
    username: 'Username',
    reached: 'E-mail and phone',
    create: 'New account',
    edit: 'Change',
    deactivate: 'Deactivate',
    reactivate: 'Let in again',
    removeFactor: 'Remove second factor',
    factorRemoved: 'Only the password is asked for now.',
    familyName: 'Family name',
    givenName: 'Given name',
    email: 'E-mail',
    phone: 'Phone',
    address: 'Address',
    isDoctor: 'Doctor of medicine',
    password: 'Password to begin with',
    passwordHint: 'At least 15 characters. The person changes it after the first login.',
    newPassword: 'New password',
    replacePassword: 'Replace password',
    passwordReplaced: 'The password is another; the person is logged out everywhere.',
    noInstitution: 'no institution',
    save: 'Save',
    saving: 'Saving …',
  },

  institutions: {
    search: 'Name',
    name: 'Name',
    state: 'State',
    address: 'Address',
    reached: 'Reached at',
    seen: 'Heard of last',
    edit: 'Describe',
    nameHint: (own: string) => `Empty: as it calls itself, “${own}”.`,
    remove: 'Delete',
    endEnrolment: 'End enrolment',
    enrol: 'Let an institution in',
  },

  nodes: {
    name: 'Name',
    state: 'State',
    seen: 'Called last',
    holds: 'Holds',
    room: 'Room',
    studies: (count: number) => plural(count, 'study', 'studies'),
    free: (free: string, total: string) => `${free} free of ${total}`,
    full: 'full: nothing is taken in',
    enrol: 'Let a node in',
    remove: 'Delete',
    endEnrolment: 'End enrolment',
    none: 'This institution has no nodes.',
  },

  recordTypes: {
    explained: 'Of which types records may be, at every institution. Superusers say so. One that is retired stays with the records that are of it.',
    search: 'Name',
    name: 'Name',
    state: 'State',
    active: 'in use',
    retired: 'retired',
    create: 'Add',
    newName: 'New type',
    rename: 'Rename',
    retire: 'Retire',
    reuse: 'Use again',
  },

  enrolment: {
    explained: 'On the box that is to be let in, run this within the hour. The token is good once and is not shown again.',
    close: 'Done',
  },

  ping: {
    button: 'Ping',
    asking: '…',
    answers: (milliseconds: string) => `answers in ${milliseconds} ms`,
    silent: 'no answer',
  },

  synchronisation: {
    explained: 'How each role stands with the one above it. What waits goes up by itself when the line is back.',
    place: 'Where',
    role: 'Role',
    roles: { institution: 'Institution', node: 'Node' },
    waiting: 'Waiting',
    changes: (count: number) => plural(count, 'change', 'changes'),
    lag: 'Behind by',
    seconds: (seconds: string) => `${seconds} s`,
    heard: 'Heard of last',
    state: 'State',
    well: 'in order',
    tasks: { changes: 'changes do not go up', trust: 'keys do not come down', feed: 'the feed does not come down' } satisfies Record<
      LineTask,
      string
    >,
    none: 'Nothing here has an appliance above it.',
  },

  audit: {
    where: 'Trail of',
    toplevel: 'Toplevel',
    actor: 'Who',
    actorHint: 'Username or id, in full',
    action: 'What',
    outcome: 'How it ended',
    outcomes: { done: 'done', refused: 'refused', failed: 'failed' } satisfies Record<AuditOutcome, string>,
    subject: 'To what',
    subjectHint: 'UID, in full',
    since: 'From day',
    until: 'To day',
    at: 'When',
    from: 'From where',
    somebody: 'somebody unknown',
    amount: (instances: number) => plural(instances, 'object', 'objects'),
  },
}

export type AdministrationTexts = typeof en
