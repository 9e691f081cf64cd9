import { mount } from 'svelte'
import App from './App.svelte'

const place = document.getElementById('page')
if (!place) throw new Error('the document has no element #page')
mount(App, { target: place })
