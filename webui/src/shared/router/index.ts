export { Navigation } from './navigation.svelte'
export { addressOf, routeAt, type Route } from './routes'
