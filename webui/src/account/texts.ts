/**
 * The texts of one's own account, in English. They are a file of their own, beside those of the page, so that nobody has to wait
 * for them on the way to the first picture.
 */

export const accountTexts = {
  data: {
    title: 'My data',
    name: 'Name',
    username: 'Username',
    roles: 'Works as',
    institution: 'Institution',
    fixed: 'Name, roles and institution are changed by your administrator.',
    email: 'E-mail',
    phone: 'Phone',
    address: 'Address',
    save: 'Save',
    saved: 'Saved.',
    roleNames: { physician: 'Physician', administrator: 'Administrator', superuser: 'Superuser' },
  },

  password: {
    title: 'Password',
    hint: 'At least 15 characters. A few words in a row are easy to keep, and hard to guess. Other browsers are logged out.',
    old: 'Password now',
    wanted: 'New password',
    again: 'New password, once more',
    differs: 'The two new passwords are not the same.',
    save: 'Change the password',
    saved: 'The password was changed, and all other browsers were logged out.',
  },

  confirm: {
    password: 'Your password',
    go: 'Continue',
  },

  factor: {
    title: 'Second factor',
    explained: 'Beside your password, a login asks for a code of an app on your phone (any authenticator app: TOTP).',
    off: 'It is off.',
    on: 'It is on.',
    left: (count: number) => (count === 1 ? '1 recovery code is left.' : `${count} recovery codes are left.`),
    turnOn: 'Turn on …',
    turnOff: 'Turn off …',
    scan: 'Scan this with the app, or type the key into it.',
    qr: 'QR code for the app',
    key: 'Key',
    code: 'Code that the app shows now',
    check: 'Turn on',
    newCodes: 'New recovery codes …',
    codes: 'Recovery codes',
    codesExplained: 'Each logs you in once, in place of a code of the app. Print them or write them down now: they are not shown again.',
    codesKept: 'I have them',
  },

  passkeys: {
    title: 'Passkeys',
    explained:
      'A passkey logs you in by finger, face or PIN of your phone, computer or security key, with neither password nor code.',
    belong: (domain: string) => `They are good at ${domain} only.`,
    none: 'There are none.',
    noHostName: 'This appliance is opened by an address and not by a name, so there can be none.',
    add: 'Add a passkey …',
    name: 'Name',
    suggested: 'Passkey',
    make: 'Make it now',
    waiting: 'Follow your browser …',
    made: (date: string) => `made ${date}`,
    used: (date: string) => `used ${date}`,
    unused: 'never used',
    synced: 'copied to your other devices',
    rename: 'Rename',
    save: 'Save',
    remove: 'Remove',
    removeNow: (name: string) => `Remove “${name}” for good`,
    nameOf: (name: string) => `Name of ${name}`,
  },

  sessions: {
    title: 'Where you are logged in',
    here: 'here, now',
    since: (date: string) => `since ${date}`,
    seen: (date: string) => `last seen ${date}`,
    end: 'Log out there',
    endOf: (browser: string) => `Log out there: ${browser}`,
  },

  gestures: {
    'given-up': 'No passkey was used. Try again when you are ready.',
    'had-already': 'What you chose holds a passkey for you already.',
    'other-address': 'Passkeys do not work under the address that you opened this page with. Open it by its name.',
    'not-able': 'This browser cannot use passkeys, or nothing that it reaches can recognise you by finger, face or PIN.',
  },

  /** By the keys of problems. */
  refused: {
    'wrong-password': 'The password is wrong.',
    'password-length': 'A password has 15 to 1024 characters.',
    'password-guessable': 'This password is one of those that are tried first: common, repeated, or made of your own names.',
    'wrong-code': 'This is not the code that the app shows now.',
    'second-factor-on': 'The second factor is on already.',
    'no-second-factor': 'The second factor is not on any more.',
    'wrong-email': 'This is no e-mail address.',
    'wrong-phone': 'A phone number has digits, blanks and + ( ) / . -',
    'wrong-address': 'An address has at most 300 characters.',
    'wrong-name': 'A name has 1 to 64 characters.',
    'no-such-session': 'This session was over already.',
    'no-such-passkey': 'This passkey was removed already.',
    'unknown-passkey': 'This passkey is not known here, or not any more. Log in with your password, and remove it from your device.',
    'wrong-passkey': 'The passkey could not be verified.',
    'passkey-copied': 'This passkey was used elsewhere since: somebody has a copy of it. Log in with your password and remove it.',
    'passkey-known': 'This passkey is known here already.',
    'too-many-passkeys': 'You have as many passkeys as there can be. Remove one first.',
    'other-kind-of-passkey': 'What you chose makes passkeys of a kind that is not taken here.',
    'owner-not-recognised': 'You were not recognised by finger, face or PIN.',
    'challenge-over': 'This took too long. Please begin again.',
    'other-origin': 'Passkeys do not work under the address that you opened this page with. Open it by its name.',
    'no-host-name': 'This appliance is opened by an address and not by a name, so it has no passkeys.',
    'unreadable-passkey': 'The answer of your device could not be read.',
  } as Record<string, string>,
}
