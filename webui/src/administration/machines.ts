import type { Finding, Verdict } from './contract'

const ORDER: Verdict[] = ['danger', 'attention', 'unknown', 'well', 'none']

/** Findings with what somebody should look at first; equals stay in the server's order. */
export function worstFirst(findings: readonly Finding[]): Finding[] {
  return [...findings].sort((a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict))
}

/** The subject in the reader's language, or as the server calls it where that is newer than the page. */
export function subjectIn(words: Readonly<Record<string, string>>, subject: string): string {
  return words[subject] ?? subject
}
