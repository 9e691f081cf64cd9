import type { Account, Right } from './contract'

/** Why a server would refuse, by the key of its refusal; null where it would not. */
export function whyNot({ rights, institution_id }: Account, right: Right, institutionId: string | null): 'missing-right' | 'other-institution' | null {
  if (rights.everywhere.includes(right)) return null
  if (!rights.at_home.includes(right)) return 'missing-right'
  return institution_id !== null && institution_id === institutionId ? null : 'other-institution'
}

/** A link is made for one's own institution, whoever makes it: to a study of another it would lead nowhere. */
export function whyNotShare(account: Account, institutionId: string | null): 'missing-right' | 'other-institution' | null {
  const why = whyNot(account, 'share studies', institutionId)
  return why ?? (account.institution_id === institutionId ? null : 'other-institution')
}
