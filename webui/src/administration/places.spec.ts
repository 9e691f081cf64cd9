import { describe, expect, it } from 'vitest'
import type { Account, Directory } from '../api'
import { managedBy, serversOf, trailsOf } from './places'

const CENTRAL = 'https://central.example.org'
const DIRECTORY: Directory = {
  institutions: [
    { id: '1', name: 'Riverside', base_url: CENTRAL, nodes: [{ id: '11', name: 'Old', base_url: 'https://old.example.org' }] },
    { id: '2', name: 'Hill', base_url: 'https://hill.example.org', nodes: [{ id: '21', name: 'Box', base_url: 'https://hill.example.org' }] },
  ],
}

const somebody = (...roles: Account['roles']): Account => ({
  id: '9',
  username: 'adam',
  given_name: '',
  family_name: '',
  roles,
  rights: { everywhere: [], at_home: [] },
  institution_id: '2',
})

describe('what somebody administers', () => {
  it('is their own institution', () => {
    expect(managedBy(somebody('administrator'), DIRECTORY).map(({ name }) => name)).toEqual(['Hill'])
  })

  it('is every institution for a superuser', () => {
    expect(managedBy(somebody('superuser'), DIRECTORY)).toHaveLength(2)
  })

  it('is nothing where somebody belongs to no institution', () => {
    expect(managedBy({ ...somebody('administrator'), institution_id: null }, DIRECTORY)).toEqual([])
  })
})

describe('the servers', () => {
  it('are each named once, and the toplevel first, whatever shares its address', () => {
    expect(serversOf(DIRECTORY.institutions, CENTRAL)).toEqual([
      { name: '', baseUrl: '' },
      { name: 'Riverside · Old', baseUrl: 'https://old.example.org' },
      { name: 'Hill', baseUrl: 'https://hill.example.org' },
    ])
  })
})

describe('the trails', () => {
  it('are one for each role, also where roles share a server', () => {
    expect(trailsOf(DIRECTORY.institutions, 'Toplevel').map(({ name, room }) => [name, room])).toEqual([
      ['Toplevel', 'toplevel'],
      ['Riverside', 'institution'],
      ['Riverside · Old', 'node'],
      ['Hill', 'institution'],
      ['Hill · Box', 'node'],
    ])
  })
})
