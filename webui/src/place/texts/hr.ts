import type { PlaceTexts } from './en'

const moment = (at: Date): string => at.toLocaleString('hr', { dateStyle: 'medium', timeStyle: 'short' })

export const hr: PlaceTexts = {
  dark: (name, heardAt) =>
    `Središnji poslužitelj nije dostupan${heardAt ? ` (zadnji put ${moment(heardAt)})` : ''}. ${name} radi samostalno: ` +
    'dostupni su pacijenti, slike i nalazi koji su ovdje poznati. Što napišete i pohranite prenijet će se kad se veza vrati.',
  here: (name) => `Ovo je vlastiti poslužitelj ustanove ${name}: prikazuje ono što je ovdje poznato.`,
  everything: 'Sve ustanove su na središnjem poslužitelju',
  silent: 'Središnji poslužitelj nije dostupan. Što ste otvorili radi još nekoliko minuta.',
  atHome: (name) => `${name} radi dalje na vlastitoj adresi: prijavite se ondje`,
}
