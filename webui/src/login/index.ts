export { default as LoginPage } from './LoginPage.svelte'
export { Session } from './session.svelte'
