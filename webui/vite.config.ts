import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

// The page is served under a strict Content-Security-Policy (script-src 'self'; style-src 'self'): nothing is inlined,
// neither small files as data: addresses nor the polyfill that Vite would put into the document.
export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    manifest: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  test: { include: ['src/**/*.spec.ts'], environment: 'node' },
})
