/**
 * Keys as somebody likes them. They are kept in this browser, under the id of the account: a layout of keys belongs to the
 * keyboard that somebody sits at as much as to them, and nobody is to wait for a server before a key means something.
 */

/** What is pressed, by what it means: the key that would mean it if nobody had chosen another. */
export type Chosen = Readonly<Record<string, string>>

const storeOf = (accountId: string): string => `keys ${accountId}`

export function chosenBy(accountId: string, store: Pick<Storage, 'getItem'> = localStorage): Chosen {
  try {
    const kept: unknown = JSON.parse(store.getItem(storeOf(accountId)) ?? '{}')
    const pairs = Object.entries(kept as object).filter(([usual, own]) => isKey(usual) && typeof own === 'string' && isKey(own))
    return Object.fromEntries(pairs) as Chosen
  } catch {
    return {}
  }
}

export function keep(accountId: string, chosen: Chosen, store: Pick<Storage, 'setItem' | 'removeItem'> = localStorage): void {
  if (Object.keys(chosen).length) store.setItem(storeOf(accountId), JSON.stringify(chosen))
  else store.removeItem(storeOf(accountId))
}

/** Letters and marks can be chosen; arrows, numbers and what the browser needs are as they are. */
export const isKey = (key: string): boolean => /^[A-Z.,;:+\-*/#'<>^ ?]$/.test(key)

/** `own` means from now on what `usual` means; what meant it before means what `own` left free. */
export function chosen(before: Chosen, usual: string, own: string): Chosen {
  const shown = pressedFor(before, usual)
  const other = meantBy(before, own)
  const after: Record<string, string> = { ...before, [usual]: own }
  if (other !== usual) after[other] = shown
  return Object.fromEntries(Object.entries(after).filter(([key, value]) => key !== value))
}

/** The key that is pressed for what `usual` means. */
export const pressedFor = (chosen: Chosen, usual: string): string => chosen[usual] ?? usual

/** What a pressed key means, as the usual key for it; a key that was given away means nothing. */
export function meantBy(chosen: Chosen, pressed: string): string {
  const usual = Object.keys(chosen).find((key) => chosen[key] === pressed)
  return usual ?? (pressed in chosen ? '' : pressed)
}
