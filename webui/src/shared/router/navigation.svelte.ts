import { addressOf, routeAt, type Route } from './routes'

/** Where the page is; follows links, the address bar and the back button. */
export class Navigation {
  route: Route = $state.raw({ at: 'nowhere' })

  /** Begins to follow; the function that comes back ends it. */
  start(): () => void {
    const follow = () => (this.route = routeAt(location.pathname))
    const click = (event: MouseEvent) => this.#followLink(event)
    follow()
    addEventListener('popstate', follow)
    document.addEventListener('click', click)
    return () => {
      removeEventListener('popstate', follow)
      document.removeEventListener('click', click)
    }
  }

  go(route: Route): void {
    history.pushState(null, '', addressOf(route))
    this.route = route
    scrollTo(0, 0)
  }

  /** Goes without leaving a step for the back button. */
  replace(route: Route): void {
    history.replaceState(null, '', addressOf(route))
    this.route = route
  }

  #followLink(event: MouseEvent): void {
    const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey
    const link = (event.target as Element | null)?.closest?.('a')
    if (!isPlain || event.defaultPrevented || !link || link.target || link.origin !== location.origin) return
    const route = routeAt(link.pathname)
    if (route.at === 'nowhere') return
    event.preventDefault()
    this.go(route)
  }
}
