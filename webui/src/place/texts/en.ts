const moment = (at: Date): string => at.toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' })

export const en = {
  dark: (name: string, heardAt: Date | null): string =>
    `The central server cannot be reached${heardAt ? ` (last heard ${moment(heardAt)})` : ''}. ${name} works on by itself: ` +
    'you find the patients, images and reports that are known here. What you write and store goes up when the line is back.',
  here: (name: string): string => `This is the own server of ${name}: it shows what is known here.`,
  everything: 'All institutions are at the central server',
  silent: 'The central server cannot be reached. What you opened goes on for some minutes.',
  atHome: (name: string): string => `${name} works on at its own address: log in there`,
}

export type PlaceTexts = typeof en
