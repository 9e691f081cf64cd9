/**
 * Whether somebody logged out and the toplevel could not be told. Their refresh cookie is still good then, and must not
 * let the next person in who opens the page: kept beyond the life of the page, and without a name.
 * index.html knows the key as well.
 */

const KEY = 'leaving'

export const isLeaving = (): boolean => localStorage.getItem(KEY) !== null

export function setLeaving(isLeaving: boolean): void {
  if (isLeaving) localStorage.setItem(KEY, '1')
  else localStorage.removeItem(KEY)
}
