export { Navigation } from './navigation.svelte'
export { addressOf, routeAt, type AdministrationPart, type Route } from './routes'
