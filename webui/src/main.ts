import { mount } from 'svelte'
import App from './App.svelte'
import { speak } from './shared/texts'

const place = document.getElementById('page')
if (!place) throw new Error('the document has no element #page')
void speak(navigator.languages).then((language) => {
  document.documentElement.lang = language
  mount(App, { target: place })
})
