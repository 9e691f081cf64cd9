export { default as ReportsPanel } from './ReportsPanel.svelte'
