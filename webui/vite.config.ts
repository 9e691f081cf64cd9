import { svelte } from '@sveltejs/vite-plugin-svelte'
import type { Plugin, Rolldown } from 'vite'
import { defineConfig } from 'vitest/config'

/**
 * Puts the files of the viewer's part into the document's script at %VIEWER_FILES%, so that an address of the viewer asks
 * for them with the first round trip and not when the page has come. Outside of a build there are none.
 */
const viewerFiles: Plugin = {
  name: 'viewer-files',
  transformIndexHtml: {
    order: 'post',
    handler: (html, { bundle }) => html.replace('%VIEWER_FILES%', () => JSON.stringify(bundle ? filesOfViewer(bundle) : [])),
  },
}

/**
 * Puts the languages of the page, each with its file, into the document's script at %LANGUAGE_FILES%, so that the texts are asked
 * for with the first round trip. Outside of a build there are none.
 */
const languageFiles: Plugin = {
  name: 'language-files',
  transformIndexHtml: {
    order: 'post',
    handler: (html, { bundle }) => html.replace('%LANGUAGE_FILES%', () => JSON.stringify(bundle ? filesOfLanguages(bundle) : {})),
  },
}

/**
 * The browser alone draws the page: what Svelte would need to take over one that a server drew is left out of the build, and so
 * are the steps of every template that are for this only.
 */
const noHydration: Plugin[] = [
  {
    name: 'no-hydration',
    apply: 'build',
    transform: {
      filter: { id: /\/svelte\/src\/internal\/client\/dom\/hydration\.js$/ },
      handler: (code) => replaced(replaced(code, 'export let hydrating = false', 'export const hydrating = false'), 'hydrating = value', ''),
    },
  },
  {
    name: 'no-hydration-steps',
    apply: 'build',
    enforce: 'post',
    transform: { filter: { id: /\.svelte$/ }, handler: (code) => code.replace(/^\s*\$\.(?:reset|next)\(\w*\);$/gm, '') },
  },
]

function replaced(code: string, before: string, after: string): string {
  if (!code.includes(before)) throw new Error(`Svelte has no "${before}" any more`)
  return code.replace(before, after)
}

/** The document's own script is read before anything else can be asked for: it goes without what explains it. */
const shortDocument: Plugin = {
  name: 'short-document',
  apply: 'build',
  transformIndexHtml: (html) => html.replace(/^\s*\/\/.*\n/gm, '').replace(/^ +/gm, ''),
}

function filesOfLanguages(bundle: Rolldown.OutputBundle): Record<string, string> {
  const files = Object.values(bundle).flatMap((one): [string, string][] => {
    const language = one.type === 'chunk' && /\/shared\/texts\/([a-z]{2})\.ts\?page$/.exec(one.facadeModuleId ?? '')?.[1]
    return language ? [[language, `/${one.fileName}`]] : []
  })
  if (!files.length) throw new Error('the build has no texts')
  return Object.fromEntries(files)
}

function filesOfViewer(bundle: Rolldown.OutputBundle): string[] {
  const chunks = Object.values(bundle).filter((one) => one.type === 'chunk')
  const entry = chunks.find(({ isEntry }) => isEntry)
  const viewer = chunks.find(({ facadeModuleId }) => facadeModuleId?.endsWith('/viewer/ViewerPage.svelte'))
  if (!entry || !viewer) throw new Error('the build has no part of the viewer')
  const files = new Set<string>()
  const take = (name: string): void => {
    const chunk = chunks.find(({ fileName }) => fileName === name)
    if (!chunk || chunk === entry || files.has(`/${name}`)) return
    files.add(`/${name}`)
    for (const style of chunk.viteMetadata?.importedCss ?? []) files.add(`/${style}`)
    for (const imported of chunk.imports) take(imported)
  }
  take(viewer.fileName)
  return [...files]
}

// The page is served under a strict Content-Security-Policy (script-src 'self'; style-src 'self'): nothing is inlined,
// neither small files as data: addresses nor the polyfill that Vite would put into the document.
export default defineConfig({
  plugins: [svelte(), noHydration, viewerFiles, languageFiles, shortDocument],
  build: {
    target: 'es2022',
    manifest: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        codeSplitting: {
          includeDependenciesRecursively: false,
          groups: [
            // What the viewer's later parts share with it, in one file with it: each small one would cost its own head and dictionary.
            { name: 'viewer-core', test: /src\/viewer\/(geometry\/(?!cube)|labels|window\.ts|view\.ts|shortcuts)/ },
          ],
        },
      },
    },
  },
  test: { include: ['src/**/*.spec.ts'], environment: 'node', setupFiles: ['src/shared/texts/spoken.ts'] },
})
