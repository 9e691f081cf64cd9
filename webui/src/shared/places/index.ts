export { allThere, isAnyLoading, Places, type Answer, type Placed } from './places.svelte'
export { default as PlaceStates } from './PlaceStates.svelte'
