export { followLine, type Line } from './line.svelte'
export { default as LineNote } from './LineNote.svelte'
