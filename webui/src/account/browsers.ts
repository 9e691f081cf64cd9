/** A browser and a system that people recognise, of a User-Agent; itself where it names none that is known here. */
export function browserOf(userAgent: string): string {
  const browser = first(userAgent, BROWSERS)
  const system = first(userAgent, SYSTEMS)
  return [browser, system].filter(Boolean).join(', ') || userAgent
}

// The order counts: Edge and Opera call themselves Chrome too, Chrome calls itself Safari, Android calls itself Linux.
const BROWSERS: [RegExp, string][] = [
  [/Edg\w*\//, 'Edge'],
  [/OPR\//, 'Opera'],
  [/Firefox\/|FxiOS\//, 'Firefox'],
  [/Chrom(e|ium)\/|CriOS\//, 'Chrome'],
  [/Safari\//, 'Safari'],
]
const SYSTEMS: [RegExp, string][] = [
  [/Android/, 'Android'],
  [/iPhone/, 'iPhone'],
  [/iPad/, 'iPad'],
  [/Windows/, 'Windows'],
  [/Mac OS X|Macintosh/, 'macOS'],
  [/CrOS/, 'ChromeOS'],
  [/Linux/, 'Linux'],
]

const first = (text: string, names: [RegExp, string][]): string => names.find(([pattern]) => pattern.test(text))?.[1] ?? ''
