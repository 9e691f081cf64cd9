/** The texts of reports, in Croatian. */

import type { ReportTexts } from './en'

const RULES = new Intl.PluralRules('hr')

/** `1 slika, 2 slike, 5 slika`. */
const plural = (count: number, one: string, few: string, other: string): string => {
  const form = RULES.select(count)
  return `${count.toLocaleString('hr')} ${form === 'one' ? one : form === 'few' ? few : other}`
}

export const hr: ReportTexts = {
  language: 'hr',
  title: 'Izvješća',
  none: 'Nema izvješća.',
  noneYet: 'Zasad nema izvješća.',
  write: 'Novo izvješće',
  continue: 'Nastavi pisati',
  amend: 'Izmijeni',
  print: 'Ispis (PDF)',
  printFailed: 'PDF nije dostupan.',
  untitled: 'Izvješće',
  by: (author, institution) => `${author} · ${institution}`,
  states: { draft: 'Skica', signed: 'Potpisano', unsigned: 'Nije potpisano' },
  amended: (number) => `Izmijenjeno, verzija ${number}`,
  version: (number) => `Verzija ${number}`,
  versions: 'Sve verzije',
  reasonOf: (reason) => `Razlog: ${reason}`,
  signedBy: (name, at) => `Potpisano: ${name}, ${at}`,
  damaged: 'Ono što je pohranjeno nije ono što je potpisano.',
  hash: (digits) => `SHA-256 ${digits}`,

  institution: 'Ustanova',
  recordType: 'Vrsta zapisa',
  date: 'Datum',
  study: 'Studija',
  noStudy: 'Nijedna određena studija',
  description: 'Naslov',
  findings: 'Nalaz',
  conclusion: 'Zaključak',
  recommendation: 'Preporuka',
  reason: 'Zašto se mijenja?',
  sign: 'Potpiši',
  signing: 'Potpisujem …',
  close: 'Zatvori',
  discard: 'Odbaci skicu',
  discardSure: 'Odbaciti? Napisano će biti izgubljeno.',
  discardYes: 'Da, odbaci',
  needed: 'Napišite naslov i nalaz ili zaključak.',
  reasonNeeded: 'Napišite zašto se izvješće mijenja.',

  kept: { clean: 'Još nema ničega za pohranu.', local: 'Sačuvano u ovom pregledniku …', saving: 'Pohranjujem …', saved: 'Pohranjeno kao skica.' },
  waiting: 'Nema odgovora. Napisano je sačuvano u ovom pregledniku i pohranit će se kad se veza vrati.',
  refused: 'Nije pohranjeno.',
  conflict: (parts) => `Ova je skica u međuvremenu promijenjena na drugom mjestu: ${parts}.`,
  ended: 'Ova je verzija u međuvremenu potpisana ili odbačena na drugom mjestu. Napisano je sačuvano ovdje.',
  keepMine: 'Zadrži ono što je ovdje',
  takeOther: 'Uzmi ono što je tamo',
  parts: {
    description: 'naslov',
    findings: 'nalaz',
    conclusion: 'zaključak',
    recommendation: 'preporuka',
    record_type: 'vrsta zapisa',
    date: 'datum',
    study_uid: 'studija',
    images: 'slike',
    reason: 'razlog',
  },

  images: 'Slike',
  noImages: 'Nema priloženih slika.',
  attach: 'Priloži slike',
  attached: 'priloženo',
  detach: 'Ukloni',
  pick: 'Slike pacijenta iz svih ustanova',
  pickSeries: 'Priloži seriju',
  pickFrame: 'Priloži ovu sliku',
  choose: 'Odaberite studiju',
  frame: (position, count) => `Slika ${position} od ${count}`,
  slider: 'Slika serije',
  noPictures: 'Bez slika',
  openImage: (place) => `Otvori sliku u pregledniku (${place})`,
  imageGone: 'Slika sada nije dostupna',
  count: (count) => plural(count, 'slika', 'slike', 'slika'),

  locked: (institution) => `${institution} pokazuje izvješća drugim ustanovama samo uz razlog.`,
  closed: (institution) => `${institution} ne pokazuje izvješća drugim ustanovama.`,
  glassReason: 'Zašto su vam potrebna?',
  glass: 'Otvori na sat vremena',
  glassHint: 'Vaše ime, vrijeme i razlog se zapisuju.',
}
