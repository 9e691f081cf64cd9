/**
 * The texts of the page in one language: the first that whoever reads prefers and in which there are texts, English where there
 * is none. They are loaded room by room, before anything reads them.
 *
 * A language is one file in this folder. The query gives each room a module of its own, with the export of that room alone.
 */

import type { account, administration, inbox, keeping, marking, objects, outgoing, page, reports, upload, viewing } from './en'

type Files<T> = Record<string, () => Promise<T>>
type PageTexts = typeof page
type AccountTexts = typeof account
type AdministrationTexts = typeof administration
type InboxTexts = typeof inbox
type UploadTexts = typeof upload
type KeepingTexts = typeof keeping
type MarkingTexts = typeof marking
type ObjectTexts = typeof objects
type OutgoingTexts = typeof outgoing
type ReportTexts = typeof reports
type ViewingTexts = typeof viewing

const PAGE = import.meta.glob<PageTexts>('./??.ts', { import: 'page', query: '?page' })
const ACCOUNT = import.meta.glob<AccountTexts>('./??.ts', { import: 'account', query: '?account' })
const ADMINISTRATION = import.meta.glob<AdministrationTexts>('./??.ts', { import: 'administration', query: '?administration' })
const INBOX = import.meta.glob<InboxTexts>('./??.ts', { import: 'inbox', query: '?inbox' })
const UPLOAD = import.meta.glob<UploadTexts>('./??.ts', { import: 'upload', query: '?upload' })
const KEEPING = import.meta.glob<KeepingTexts>('./??.ts', { import: 'keeping', query: '?keeping' })
const MARKING = import.meta.glob<MarkingTexts>('./??.ts', { import: 'marking', query: '?marking' })
const OBJECTS = import.meta.glob<ObjectTexts>('./??.ts', { import: 'objects', query: '?objects' })
const OUTGOING = import.meta.glob<OutgoingTexts>('./??.ts', { import: 'outgoing', query: '?outgoing' })
const REPORTS = import.meta.glob<ReportTexts>('./??.ts', { import: 'reports', query: '?reports' })
const VIEWING = import.meta.glob<ViewingTexts>('./??.ts', { import: 'viewing', query: '?viewing' })

export let texts: PageTexts
export let accountTexts: AccountTexts
export let administrationTexts: AdministrationTexts
export let inboxTexts: InboxTexts
export let uploadTexts: UploadTexts
export let keepingTexts: KeepingTexts
export let markingTexts: MarkingTexts
export let objectTexts: ObjectTexts
export let outgoingTexts: OutgoingTexts
export let reportTexts: ReportTexts
export let viewingTexts: ViewingTexts

let language = 'en'

/** The language (ISO 639-1) of the page from now on, by those that whoever reads prefers (BCP 47); its first texts are there. */
export async function speak(preferred: readonly string[]): Promise<string> {
  language = preferred.map((tag) => tag.slice(0, 2)).find((code) => fileOf(code) in PAGE) ?? 'en'
  texts = await load(PAGE)
  return language
}

/** What `loading` brings, when its texts are there as well. */
export async function withAccountTexts<T>(loading: Promise<T>): Promise<T> {
  const [found, loaded] = await Promise.all([load(ACCOUNT), loading])
  accountTexts = found
  return loaded
}

export async function withAdministrationTexts<T>(loading: Promise<T>): Promise<T> {
  const [found, loaded] = await Promise.all([load(ADMINISTRATION), loading])
  administrationTexts = found
  return loaded
}

export async function withInboxTexts<T>(loading: Promise<T>): Promise<T> {
  const [found, loaded] = await Promise.all([load(INBOX), loading])
  inboxTexts = found
  return loaded
}

export async function withUploadTexts<T>(loading: Promise<T>): Promise<T> {
  const [found, loaded] = await Promise.all([load(UPLOAD), loading])
  uploadTexts = found
  return loaded
}

export async function withKeepingTexts<T>(loading: Promise<T>): Promise<T> {
  const [found, loaded] = await Promise.all([load(KEEPING), loading])
  keepingTexts = found
  return loaded
}

export async function withMarkingTexts<T>(loading: Promise<T>): Promise<T> {
  const [found, loaded] = await Promise.all([load(MARKING), loading])
  markingTexts = found
  return loaded
}

export async function withObjectTexts<T>(loading: Promise<T>): Promise<T> {
  const [found, loaded] = await Promise.all([load(OBJECTS), loading])
  objectTexts = found
  return loaded
}

export async function withOutgoingTexts<T>(loading: Promise<T>): Promise<T> {
  const [found, loaded] = await Promise.all([load(OUTGOING), loading])
  outgoingTexts = found
  return loaded
}

export async function withReportTexts<T>(loading: Promise<T>): Promise<T> {
  const [found, loaded] = await Promise.all([load(REPORTS), loading])
  reportTexts = found
  return loaded
}

export async function withViewingTexts<T>(loading: Promise<T>): Promise<T> {
  const [found, loaded] = await Promise.all([load(VIEWING), loading])
  viewingTexts = found
  return loaded
}

const fileOf = (code: string): string => `./${code}.ts`

/** Every file has every export: they are of one shape. */
const load = <T>(files: Files<T>): Promise<T> => files[fileOf(language)]!()
