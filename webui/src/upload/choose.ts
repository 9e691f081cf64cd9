/** Files as a person hands them over: chosen, or dropped, folders with all that is in them. */

export interface ChosenFile {
  /** With the folders it lay in, as far as the browser tells. */
  path: string
  file: File
}

export const chosenIn = (files: FileList): ChosenFile[] =>
  [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }))

/** Must be called in the drop event itself: the browser empties the transfer right after. */
export async function droppedIn(transfer: DataTransfer): Promise<ChosenFile[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null)
  return (await Promise.all(entries.map(filesUnder))).flat()
}

async function filesUnder(entry: FileSystemEntry): Promise<ChosenFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
    return [{ path: entry.fullPath.replace(/^\//, ''), file }]
  }
  const children = await entriesIn(entry as FileSystemDirectoryEntry)
  return (await Promise.all(children.map(filesUnder))).flat()
}

/** A folder is read in portions (of 100 in Chromium); an empty one is the end. */
async function entriesIn(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader()
  const all: FileSystemEntry[] = []
  for (;;) {
    const portion = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (!portion.length) return all
    all.push(...portion)
  }
}
