import { expect, it } from 'vitest'
import type { Directory, NodeEntry } from '../api'
import { destinationFor } from './destination'

const node = (id: string): NodeEntry => ({ id, name: id, base_url: `https://${id}.example` })
const directory: Directory = {
  institutions: [
    { ...node('a'), nodes: [] },
    { ...node('b'), nodes: [node('b1'), node('b2')] },
  ],
}

it('is the first node of the own institution', () => expect(destinationFor(directory, 'b')?.id).toBe('b1'))
it('is the first of all for somebody without one', () => expect(destinationFor(directory, null)?.id).toBe('b1'))
it('is never a node of another institution', () => expect(destinationFor(directory, 'a')).toBeNull())
