import { describe, expect, it } from 'vitest'
import { failed, succeeded, type Place } from '../api'
import { Whereabouts } from './whereabouts.svelte'

const clinic: Place = { kind: 'institution', name: 'Clinic', toplevel_url: 'https://health.example', is_toplevel_away: false, heard_at: null }

describe('where the page comes from', () => {
  it('is the central server as long as nothing else is said', async () => {
    const whereabouts = new Whereabouts(async () => failed({ kind: 'unreachable' }))

    await whereabouts.look()

    expect(whereabouts.place.kind).toBe('toplevel')
    expect(whereabouts.isToplevelAway).toBe(false)
  })

  it('is an institution that says whether it can reach the central server', async () => {
    let answer: Place = clinic
    const whereabouts = new Whereabouts(async () => succeeded(answer))
    await whereabouts.look()
    const whileLight = whereabouts.isToplevelAway

    answer = { ...clinic, is_toplevel_away: true }
    await whereabouts.look()

    expect([whileLight, whereabouts.isToplevelAway]).toEqual([false, true])
  })

  it('is a central server that answers no longer, and then does', () => {
    const whereabouts = new Whereabouts(async () => succeeded({ kind: 'toplevel' }))

    whereabouts.note(true)
    const whileDark = whereabouts.isToplevelAway
    whereabouts.note(false)

    expect([whileDark, whereabouts.isToplevelAway]).toEqual([true, false])
  })

  it('is not taken for dark at an institution that answers no longer itself', async () => {
    const whereabouts = new Whereabouts(async () => succeeded(clinic))
    await whereabouts.look()

    whereabouts.note(true)

    expect(whereabouts.isToplevelAway).toBe(false)
  })
})
