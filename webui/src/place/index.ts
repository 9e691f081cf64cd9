export { default as PlaceNote } from './PlaceNote.svelte'
export { Whereabouts } from './whereabouts.svelte'
