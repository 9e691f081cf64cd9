/** What administrators read, in Croatian. */

import type { AdministrationTexts } from './en'

const RULES = new Intl.PluralRules('hr')

/** `1 studija, 2 studije, 5 studija`. */
const plural = (count: number, one: string, few: string, other: string): string => {
  const form = RULES.select(count)
  return `${count.toLocaleString('hr')} ${form === 'one' ? one : form === 'few' ? few : other}`
}

export const hr: AdministrationTexts = {
  title: 'Upravljanje',
  parts: {
    accounts: 'Računi',
    institutions: 'Ustanove',
    nodes: 'Čvorovi',
    'record-types': 'Vrste zapisa',
    synchronisation: 'Usklađivanje',
    audit: 'Dnevnik pristupa',
  },

  list: {
    filter: 'Izbor',
    all: 'sve',
    none: 'Ništa ne odgovara.',
    count: (shown, total) =>
      total === null ? `prikazano ${shown.toLocaleString('hr')}` : `${shown.toLocaleString('hr')} od ${total.toLocaleString('hr')}`,
    more: 'Prikaži još',
    again: 'Osvježi',
    never: 'nikad',
    actions: 'Radnje',
  },

  pointedTo: (what) => `Ovo se ne može izbrisati. Na to upućuje: ${what}.`,
  pointing: {
    accounts: (count) => plural(count, 'račun', 'računa', 'računa'),
    patients: (count) => plural(count, 'pacijent', 'pacijenta', 'pacijenata'),
    numbers: (count) => plural(count, 'broj pacijenta', 'broja pacijenata', 'brojeva pacijenata'),
    studies: (count) => plural(count, 'studija', 'studije', 'studija'),
    is_believed: 'njezin upis',
  },
  refused: {
    'username-taken': 'To je korisničko ime zauzeto.',
    'password-length': 'Lozinka je prekratka ili preduga.',
    'password-guessable': 'Lozinku je lako pogoditi.',
    'wrong-email': 'Ovo nije adresa e-pošte.',
    'wrong-phone': 'Telefonski broj ima znamenke, razmake i +()/.-',
    'wrong-address': 'Adresa je preduga.',
    'own-account': 'Prava vašeg računa mijenja netko drugi.',
    'changed-meanwhile': 'Netko je ovo u međuvremenu promijenio. Učitajte popis ponovno.',
    'other-institution': 'Ovo je za administratore te ustanove.',
    'missing-right': 'Vaš račun to ne smije.',
    'no-such-institution': 'Takve ustanove nema.',
    'name-taken': 'To ime već postoji.',
  },

  states: { here: 'ovdje', enrolled: 'upisana', 'not-enrolled': 'nije upisana' },
  stateHints: {
    here: 'U istom procesu: ne treba upis.',
    enrolled: 'Vjeruje joj se po njezinu ključu.',
    'not-enrolled': 'Ono što je javila ostaje; odsad se ne sluša.',
  },

  accounts: {
    search: 'Ime ili korisničko ime',
    institution: 'Ustanova',
    role: 'Uloga',
    roles: { physician: 'Liječnik', administrator: 'Administrator', superuser: 'Superkorisnik' },
    state: 'Stanje',
    active: 'aktivan',
    inactive: 'isključen',
    name: 'Ime',
    username: 'Korisničko ime',
    reached: 'E-pošta i telefon',
    create: 'Novi račun',
    edit: 'Promijeni',
    deactivate: 'Isključi',
    reactivate: 'Ponovno uključi',
    removeFactor: 'Ukloni drugi faktor',
    factorRemoved: 'Odsad se traži samo lozinka.',
    familyName: 'Prezime',
    givenName: 'Ime',
    email: 'E-pošta',
    phone: 'Telefon',
    address: 'Adresa',
    isDoctor: 'Doktor medicine',
    password: 'Početna lozinka',
    passwordHint: 'Najmanje 15 znakova. Osoba je mijenja nakon prve prijave.',
    newPassword: 'Nova lozinka',
    replacePassword: 'Zamijeni lozinku',
    passwordReplaced: 'Lozinka je zamijenjena; osoba je svuda odjavljena.',
    noInstitution: 'bez ustanove',
    save: 'Spremi',
    saving: 'Sprema se …',
  },

  institutions: {
    search: 'Naziv',
    name: 'Naziv',
    state: 'Stanje',
    address: 'Adresa',
    reached: 'Dostupna na',
    seen: 'Zadnji glas',
    edit: 'Opiši',
    nameHint: (own) => `Prazno: kako se sama zove, „${own}”.`,
    remove: 'Izbriši',
    endEnrolment: 'Prekini upis',
    enrol: 'Upiši ustanovu',
  },

  nodes: {
    name: 'Naziv',
    state: 'Stanje',
    seen: 'Zadnji poziv',
    holds: 'Čuva',
    room: 'Mjesta',
    studies: (count) => plural(count, 'studiju', 'studije', 'studija'),
    free: (free, total) => `slobodno ${free} od ${total}`,
    full: 'puno: ništa se ne prima',
    enrol: 'Upiši čvor',
    remove: 'Izbriši',
    endEnrolment: 'Prekini upis',
    none: 'Ova ustanova nema čvorova.',
  },

  recordTypes: {
    explained: 'Kojih vrsta zapisi mogu biti, u svim ustanovama. To određuju superkorisnici. Umirovljena vrsta ostaje zapisima koji su te vrste.',
    search: 'Naziv',
    name: 'Naziv',
    state: 'Stanje',
    active: 'u upotrebi',
    retired: 'umirovljena',
    create: 'Dodaj',
    newName: 'Nova vrsta',
    rename: 'Preimenuj',
    retire: 'Umirovi',
    reuse: 'Vrati u upotrebu',
  },

  enrolment: {
    explained: 'Na uređaju koji se upisuje pokrenite ovo u roku od sat vremena. Token vrijedi jednom i više se ne prikazuje.',
    close: 'Gotovo',
  },

  ping: {
    button: 'Provjeri',
    asking: '…',
    answers: (milliseconds) => `odgovara za ${milliseconds} ms`,
    silent: 'ne odgovara',
  },

  synchronisation: {
    explained: 'Kako svaka uloga stoji s onom iznad sebe. Ono što čeka odlazi samo kad se veza vrati.',
    place: 'Gdje',
    role: 'Uloga',
    roles: { institution: 'Ustanova', node: 'Čvor' },
    waiting: 'Čeka',
    changes: (count) => plural(count, 'promjena', 'promjene', 'promjena'),
    lag: 'Kasni',
    seconds: (seconds) => `${seconds} s`,
    heard: 'Zadnji glas',
    state: 'Stanje',
    well: 'u redu',
    tasks: { changes: 'promjene ne odlaze', trust: 'ključevi ne dolaze', feed: 'novosti ne dolaze' },
    none: 'Ovdje ništa nema uređaj iznad sebe.',
  },

  audit: {
    where: 'Dnevnik',
    toplevel: 'Središte',
    actor: 'Tko',
    actorHint: 'Korisničko ime ili oznaka, u cijelosti',
    action: 'Što',
    outcome: 'Ishod',
    outcomes: { done: 'obavljeno', refused: 'odbijeno', failed: 'neuspjelo' },
    subject: 'Nad čim',
    subjectHint: 'UID, u cijelosti',
    since: 'Od dana',
    until: 'Do dana',
    at: 'Kada',
    from: 'Odakle',
    somebody: 'netko nepoznat',
    amount: (instances) => plural(instances, 'objekt', 'objekta', 'objekata'),
  },
}
