// Weighs what a browser loads, in brotli bytes: for the login page, until the first picture is on the screen, and all there is.
// Fails above the budget.
import { readdir, readFile, stat } from 'node:fs/promises'

const DIST = new URL('../dist/', import.meta.url)
const BUDGET_KIB = 60

/** The parts of the page on the way to the first picture, as the build's manifest names them. */
const WAY_TO_THE_FIRST_PICTURE = [
  'src/patients/PatientsPage.svelte',
  'src/patients/PatientPage.svelte',
  'src/viewer/ViewerPage.svelte',
]

const manifest = JSON.parse(await readFile(new URL('.vite/manifest.json', DIST), 'utf8'))

function filesOf(key, seen = new Set()) {
  const chunk = manifest[key]
  if (!chunk) throw new Error(`${key} is not in the build's manifest`)
  if (seen.has(chunk.file)) return seen
  seen.add(chunk.file)
  for (const file of [...(chunk.css ?? []), ...(chunk.assets ?? [])]) seen.add(file)
  for (const next of chunk.imports ?? []) filesOf(next, seen)
  return seen
}

async function kibibytesOf(files) {
  const sizes = await Promise.all([...files].map(async (file) => (await stat(new URL(`${file}.br`, DIST))).size))
  return sizes.reduce((sum, size) => sum + size, 0) / 1024
}

/** A browser loads the texts of one language. */
async function heaviestTexts() {
  const files = Object.entries(manifest).flatMap(([key, { file }]) => (/^src\/shared\/texts\/[a-z]{2}\.ts\?page$/.test(key) ? [file] : []))
  if (!files.length) throw new Error("there are no texts in the build's manifest")
  const sizes = await Promise.all(files.map(async (file) => [await kibibytesOf([file]), file]))
  return sizes.sort(([one], [other]) => other - one)[0][1]
}

const login = new Set(['index.html', ...filesOf('index.html'), await heaviestTexts()])
const picture = new Set(login)
for (const key of WAY_TO_THE_FIRST_PICTURE) for (const file of filesOf(key)) picture.add(file)

const [loginKib, pictureKib] = await Promise.all([kibibytesOf(login), kibibytesOf(picture)])
console.log(`login page: ${loginKib.toFixed(1)} KiB brotli in ${login.size} files`)
console.log(`to the first picture: ${pictureKib.toFixed(1)} KiB brotli in ${picture.size} files (budget ${BUDGET_KIB} KiB)`)
const everything = (await readdir(new URL('assets/', DIST))).filter((name) => /\.(js|css)$/.test(name)).map((name) => `assets/${name}`)
console.log(`all there is, in every language: ${(await kibibytesOf(everything)).toFixed(1)} KiB brotli in ${everything.length} files`)
if (pictureKib > BUDGET_KIB) {
  console.error(`the page is ${(pictureKib - BUDGET_KIB).toFixed(1)} KiB over its budget`)
  process.exit(1)
}
