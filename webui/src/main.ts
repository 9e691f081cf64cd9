import { mount } from 'svelte'
import App from './App.svelte'
import { speak } from './shared/texts'

const place = document.getElementById('page')
if (!place) throw new Error('the document has no element #page')
void speak(navigator.languages).then(async (language) => {
  document.documentElement.lang = language
  // A link that shows a study to somebody without an account.
  const { default: Page } = location.pathname === '/shared' ? await import('./guest/GuestPage.svelte') : { default: App }
  mount(Page, { target: place })
})
