import { loadAfterFirst } from '../shared/first'

export { Whereabouts } from './whereabouts.svelte'

/** Asked for after what the page was opened for. */
export const placeNote = () => loadAfterFirst(() => import('./PlaceNote.svelte'))
