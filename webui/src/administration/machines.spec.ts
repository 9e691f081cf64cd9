import { describe, expect, it } from 'vitest'
import type { Finding, Verdict } from './contract'
import { subjectIn, worstFirst } from './machines'

const finding = (subject: string, verdict: Verdict): Finding => ({ subject, verdict, text: '', figures: {} })

describe('what is found of a machine', () => {
  it('is shown with what somebody should look at first, and else in the order of the server', () => {
    const found = [finding('pool', 'none'), finding('keys', 'well'), finding('clock', 'unknown'), finding('backup', 'danger'), finding('drill', 'well')]

    expect(worstFirst(found).map(({ subject }) => subject)).toEqual(['backup', 'clock', 'keys', 'drill', 'pool'])
    expect(found[0]!.subject).toBe('pool')
  })

  it('is called as the server calls it where the page has no word for it', () => {
    expect(subjectIn({ clock: 'Clock' }, 'clock')).toBe('Clock')
    expect(subjectIn({ clock: 'Clock' }, 'fan')).toBe('fan')
  })
})
