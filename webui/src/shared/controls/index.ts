export { default as Centered } from './Centered.svelte'
export { default as FailureNote } from './FailureNote.svelte'
