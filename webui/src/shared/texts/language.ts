/** The first of the languages that whoever reads prefers (BCP 47) in which there are texts. */
export function preferred<T>(languages: Record<string, T>, fallback: T, wanted = globalThis.navigator?.languages ?? []): T {
  const known = wanted.map((language) => languages[language.split('-')[0]!.toLowerCase()])
  return known.find((texts) => texts !== undefined) ?? fallback
}
